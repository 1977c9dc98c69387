"""Work in a thread that is nobody's request: housekeeping, which can wait until a thread is to be had."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVarTuple

import trio

log = logging.getLogger(__name__)

Args = TypeVarTuple("Args")
_AGAIN_S = 1.0


async def in_a_thread(
    work: Callable[[*Args], object], *args: *Args, limiter: trio.CapacityLimiter | None = None
) -> None:
    """Do it in a thread. Where the kernel gives none, as under somebody's fork bomb, try again each second."""
    begun = False

    def run() -> None:
        nonlocal begun
        begun = True
        work(*args)

    while True:
        try:
            return await trio.to_thread.run_sync(run, limiter=limiter)
        except RuntimeError as problem:
            if begun:
                raise
            log.debug("no thread is to be had: %s", problem)
        await trio.sleep(_AGAIN_S)
