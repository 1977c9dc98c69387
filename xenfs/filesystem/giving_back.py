"""Memory that is free goes back to the kernel when what needed it is over.

The C library keeps what was freed for whoever asks next. After a crowd on a large host that is as much as all the rest.
To have it keep less at all times would make each scrape slower.
"""

from __future__ import annotations

import ctypes
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from xenfs.filesystem.computing import LoopAtWork
from xenfs.filesystem.threads import in_a_thread

_AFTER_S = 30.0


async def trim() -> None:
    """Have the C library give back all that is free, in a thread. Who allocates meanwhile waits: some milliseconds."""
    with suppress(AttributeError):  # another C library
        await in_a_thread(ctypes.CDLL(None).malloc_trim, ctypes.c_size_t(0))


async def give_back(at_work: LoopAtWork, trim: Callable[[], Awaitable[None]] = trim, after_s: float = _AFTER_S) -> None:
    """Until cancelled: some time after something was computed, as soon as nobody computes. While nothing is, sleep."""
    while True:
        await at_work.computed.wait()
        await trio.sleep(after_s)
        at_work.computed = trio.Event()
        while at_work.computes:  # others may begin before this goes on
            await at_work.computed.wait()
            at_work.computed = trio.Event()
        await trim()
