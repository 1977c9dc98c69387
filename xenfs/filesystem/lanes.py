"""Where the work of a request is done: in the event loop what costs nothing much, in threads what grows or waits.

There are four lanes of threads: for bulk work and for what may take long, and each of these for what is read and for
what root does or anybody writes. Readers can fill only their own. Of what is read and grows, one is computed at a time.
"""

from __future__ import annotations

import errno
import weakref
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

import trio

from xenfs.calls.rows import free
from xenfs.errors import XenfsError
from xenfs.filesystem.computing import Computing, LoopAtWork, Turn
from xenfs.filesystem.lane import ROOT, Lane, less
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables.base import Ids
from xenfs.nodes.tables.cost import NOTHING, Cost
from xenfs.nodes.tables.pieces import Content, Pieces

Args = TypeVarTuple("Args")
Result = TypeVar("Result")

_BULK_THREADS = 2  # the interpreter runs one of them at a time, and each slows the event loop down
_LONG_THREADS = 8  # one lock serialises most of Xen's control operations: more threads would only wait there
_LONG = Cost.MEMORY | Cost.WAITS
_COMPUTES = Cost.CPUS | Cost.VCPUS | Cost.DOMAINS | Cost.LENGTH
SOON_S = 0.1
_PATIENCE_S = 20.0  # who has waited so long for a thread that none will come soon is told so
_OF_ONE, _OF_ALL, _FOR_EACH = 96, 256, 8  # requests of readers that wait: of one user, of all; and for who comes then
_OF_ROOT, _OF_WRITER = 96, 24  # of root and of those who write: in all, of one user and of one kind
_OF_WRITERS = _OF_ROOT - _OF_WRITER  # of all who write but root
_WRITERS_BULK, _WRITERS_LONG = 1, 3  # of the threads for both; beside these and half for one kind, root has one more

_MOST_READERS = _OF_ALL + 16 * _FOR_EACH
MOST_WAITING = _MOST_READERS + _OF_ROOT
"""How many requests wait at the most; a mount whose handlers all wait would be stuck."""


class Lanes:
    """The four lanes, and how many requests may wait: of one user, and of one kind of what root does or is written."""

    def __init__(self, patience_s: float = _PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._bulk, self._long = Lane(_BULK_THREADS), Lane(_LONG_THREADS)
        self._own_bulk = Lane(_BULK_THREADS, _WRITERS_BULK)
        self._own_long = Lane(_LONG_THREADS, _WRITERS_LONG)
        self.at_work = LoopAtWork()
        self.computing = Computing(self.at_work)
        self._turn, self._own_turn, self._freeing = Turn(), Turn(), Turn()
        self._reading: Counter[int] = Counter()  # by user
        self._own: Counter[object] = Counter()  # by user and by kind; None is root
        self._readers = self._others = 0

    @property
    def waiting(self) -> int:
        """How many requests wait for a thread, or for one to end."""
        return self._readers + self._others

    @property
    def idle(self) -> bool:
        """Whether nothing is left over."""
        lanes = (self._bulk, self._long, self._own_bulk, self._own_long)
        return not self.waiting and not self._reading and not self._own and all(lane.idle for lane in lanes)

    async def run(
        self,
        uid: int,
        kind: object,
        cost: Cost,
        work: Callable[[*Args], Result],
        *args: *Args,
        writes: bool = False,
        key: Hashable = None,
        patience_s: float | None = None,
    ) -> Result:
        """The result of `work(*args)`, done where its cost says. `kind` is an entry of the tables.

        Requests with the same `key` share one result, which is not older than any of them. EAGAIN when too many wait
        already, or when it was not begun in time; never once it has begun.
        """
        if cost is NOTHING:
            return work(*args)
        own = writes or uid == ROOT
        with self.own_place(uid, kind) if own else self.place(uid):
            bulk, long = (self._own_bulk, self._own_long) if own else (self._bulk, self._long)
            lane = long if cost & _LONG else bulk
            done, computes = partial(work, *args), bool(cost & _COMPUTES) and not writes
            if computes:
                done = partial(self.computing.one_at_a_time, self._own_turn if own else self._turn, done)
            job = lane.put(uid, kind, key, done)
            with self.at_work if computes else nullcontext():
                found: Result = await lane.result(job, self._patience_s if patience_s is None else patience_s)
                return found

    async def begin(self, uid: int, kind: object, work: Callable[[], object], patience_s: float) -> None:
        """Have something long done that root, or who may write, wants, and return when it has begun.

        What goes wrong within SOON_S is the caller's; later it is in the log alone. A call that runs is seen in
        xenfs/calls/in_flight.
        """
        with self.own_place(uid, kind):
            job = self._own_long.put(uid, kind, None, work)
            await self._own_long.begun(job, patience_s, SOON_S)

    def lasting(self, make: Callable[[Hypervisor, Ids], Content], xen: Hypervisor, ids: Ids) -> Content:
        """Content that a thread frees, a few pieces at a time, when the last reader has closed it: the event loop,
        which closes it, would need 2 ms for 28 MB."""
        content = make(xen, ids)
        if isinstance(content, Pieces):
            self.free_after(content, content.pieces)
        return content

    def free_after(self, thing: object, rows: list[Any], free: Callable[[list[Any]], object] = free) -> None:
        """Have a thread free these rows, which this has, when nobody has it any more."""
        weakref.finalize(thing, self.free, rows, free).atexit = False

    def free(self, rows: list[Any], free: Callable[[list[Any]], object] = free) -> None:
        """Have a thread free these; a thread does it itself."""
        try:
            token = trio.lowlevel.current_trio_token()
        except RuntimeError:  # not in the event loop: a thread made it for somebody who did not wait for it
            free(rows)
            return

        def over(_: object) -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self.at_work.__exit__)

        self.at_work.__enter__()
        freeing = partial(self.computing.one_at_a_time, self._freeing, free, rows)
        try:
            trio.lowlevel.start_thread_soon(freeing, over, name="xenfs-free")
        except RuntimeError:  # none is to be had
            self.at_work.__exit__()

    async def drained(self) -> None:
        """Return when nothing runs in the background any more."""
        while not self.idle:
            await trio.sleep(SOON_S / 2)

    @contextmanager
    def place(self, uid: int) -> Iterator[None]:
        """A reader waits inside."""
        mine = self._reading[uid]
        if mine >= _OF_ONE or (self._readers >= _OF_ALL and mine >= _FOR_EACH) or self._readers >= _MOST_READERS:
            raise XenfsError(f"too much that user {uid} wants to read is waiting", errno.EAGAIN)
        self._readers += 1
        self._reading[uid] += 1
        try:
            yield
        finally:
            self._readers -= 1
            less(self._reading, uid)

    @contextmanager
    def own_place(self, uid: int, kind: object) -> Iterator[None]:
        """Root, or somebody who writes, waits inside."""
        whose = ("user", uid) if uid != ROOT else None
        of_kind = kind, whose is None  # nobody can use up what root has
        full = self._others >= _OF_ROOT or self._own[of_kind] >= _OF_WRITER
        if whose and (self._own[whose] >= _OF_WRITER or self._others - self._own[None] >= _OF_WRITERS):
            full = True
        if full:
            raise XenfsError("too many operations of this kind, or of this user, are waiting", errno.EAGAIN)
        self._others += 1
        self._own[of_kind] += 1
        self._own[whose] += 1
        try:
            yield
        finally:
            self._others -= 1
            less(self._own, of_kind)
            less(self._own, whose)
