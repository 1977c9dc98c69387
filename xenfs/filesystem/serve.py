"""From mount to unmount: signals, readiness, and an orderly end whatever is in flight."""

from __future__ import annotations

import os
from collections.abc import Callable

import pyfuse3
import trio

from xenfs.filesystem import garbage
from xenfs.filesystem.giving_back import give_back
from xenfs.filesystem.lanes import MOST_WAITING
from xenfs.filesystem.operations import Operations
from xenfs.filesystem.promptness import be_prompt
from xenfs.filesystem.stopping import Stopping
from xenfs.filesystem.turnstile import turnstile

GRACE_S = 4.0
_HANDLERS = MOST_WAITING + 64  # so many are never all waiting


def fuse_options(allow_other: bool, ro: bool) -> set[str]:
    """What the kernel is told of the mount: the modes are the access control, and nothing here is a program.

    Root's are open to others as far as the kernel goes; what lets nobody in are the modes (rights.py). Otherwise others
    could not look at the directory that the mount is in, nor could root itself with another group.

    A question is written: a read-only mount with raw/ is one by what its tree has, or the kernel would let nobody ask.
    """
    chosen = {"fsname=xenfs", "subtype=xenfs", "default_permissions", "nosuid", "nodev", "noexec"}
    chosen |= {"allow_other"} if allow_other else set()
    return chosen | ({"ro"} if ro else set())


async def serve(
    ops: Operations,
    mountpoint: str,
    ready: Callable[[], None],
    grace_s: float = GRACE_S,
    unmount: Callable[[], None] = lambda: None,
) -> None:
    """Mount, call `ready`, and serve until unmounted or told to stop by a signal. `unmount` is for who has given up the
    right to do it: it is called before pyfuse3 tries.

    The first signal lets calls in flight end; after `grace_s`, or at a second one, the mount goes without them.
    """

    def last_words() -> None:
        ops.witness.last_words()
        unmount()

    be_prompt()
    stopping = Stopping(grace_s, last_words)  # nothing that comes before the mount is missed
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ops.witness.record.tend)
        await nursery.start(ops.waiting.run)
        pyfuse3.init(
            ops,
            mountpoint,
            fuse_options(ops.options.allow_other or os.getuid() == 0, ops.options.ro and not ops.options.raw),
        )
        try:
            async with trio.open_nursery() as inner:
                inner.start_soon(_main, inner.cancel_scope)
                inner.start_soon(ops.departed.run)
                inner.start_soon(ops.keeping.run)
                inner.start_soon(garbage.tend)
                inner.start_soon(give_back, ops.lanes.at_work)
                ready()
                stopping.listen()
            await ops.lanes.drained()
            stopping.in_order = True
        finally:
            last_words()
            stopping.unmount()
        nursery.cancel_scope.cancel()


async def _main(others: trio.CancelScope) -> None:
    """Serve until the mount is gone; what goes on beside it ends with it."""
    with turnstile():
        await pyfuse3.main(max_tasks=_HANDLERS)
    others.cancel()
