"""Where the work of a request is done: at once for what is prompt, in worker threads for what may wait."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import trio

from xenfs.errors import XenfsError

Args = TypeVarTuple("Args")
Result = TypeVar("Result")

_THREADS = 4  # one lock serialises most of Xen's control operations: more threads would only wait there
_MOST_WAITING = 48  # pyfuse3 has 99 handlers, and a mount whose handlers all wait is stuck


class Lanes:
    """A prompt lane (the event loop itself) and a slow one, which turns work away before it fills up."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(_THREADS)
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """How many requests are in the slow lane, running ones included."""
        return self._waiting

    async def run(self, slow: bool, work: Callable[[*Args], Result], *args: *Args) -> Result:
        """The result of `work(*args)`; EAGAIN when too many slow requests are waiting already.

        A thread is never abandoned: Xen would go on writing into memory that was lent to someone else by then.
        """
        if not slow:
            return work(*args)
        if self._waiting >= _MOST_WAITING:
            raise XenfsError("too many slow operations at once", errno.EAGAIN)
        self._waiting += 1
        try:
            return await trio.to_thread.run_sync(work, *args, limiter=self._limiter)
        finally:
            self._waiting -= 1
