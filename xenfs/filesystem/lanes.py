"""Where the work of a request is done: at once for what is prompt, in worker threads for what may wait."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import trio

from xenfs.errors import XenfsError

Args = TypeVarTuple("Args")
Result = TypeVar("Result")

_THREADS = 8  # one lock serialises most of Xen's control operations: more threads would only wait there
_MOST_WAITING = 48  # pyfuse3 has 99 handlers, and a mount whose handlers all wait is stuck
_PATIENCE_S = 20.0  # who has waited so long for a thread that none will come soon is told so


class Kind:
    """What one sort of slow work has of the lane: half of it and no more, so that what hangs leaves room for others."""

    def __init__(self) -> None:
        self.limiter = trio.CapacityLimiter(_THREADS // 2)
        self.waiting = 0


class Lanes:
    """A prompt lane (the event loop itself) and a slow one, which turns work away before it fills up."""

    def __init__(self, patience_s: float = _PATIENCE_S) -> None:
        self._limiter = trio.CapacityLimiter(_THREADS)
        self._patience_s = patience_s
        self._waiting = 0
        self._kinds: dict[object, Kind] = {}

    @property
    def waiting(self) -> int:
        """How many requests are in the slow lane, running ones included."""
        return self._waiting

    async def run(self, kind: object, slow: bool, work: Callable[[*Args], Result], *args: *Args) -> Result:
        """The result of `work(*args)`, where slow work of one `kind` (an entry of the tables) cannot take all threads.

        EAGAIN when too many slow requests are waiting already, in all or of this kind, or when one has waited for
        long: never once it has begun. A thread is never abandoned: Xen would go on writing into memory that was
        lent to someone else by then.
        """
        if not slow:
            return work(*args)
        own = self._kinds.get(kind) or Kind()
        if self._waiting >= _MOST_WAITING or own.waiting >= _MOST_WAITING // 2:
            raise XenfsError("too many slow operations at once", errno.EAGAIN)
        self._kinds[kind] = own
        own.waiting += 1
        self._waiting += 1
        try:
            with trio.move_on_after(self._patience_s):  # which cannot end what has begun: trio waits for the thread
                async with own.limiter:
                    return await trio.to_thread.run_sync(work, *args, limiter=self._limiter)
        finally:
            self._waiting -= 1
            own.waiting -= 1
            if not own.waiting:
                del self._kinds[kind]
        raise XenfsError("slow operations hold up others: none was begun in time", errno.EAGAIN)
