"""Where the work of a request is done: in the event loop what costs nothing much, in threads what grows or waits.

There are four lanes of threads: for bulk work and for what may take long, and each of these for what is read and for
what root does or anybody writes. Readers can fill only their own. Of what is read and grows, one is computed at a time.
"""

from __future__ import annotations

import contextvars
import errno
import logging
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

import trio

from xenfs.errors import XenfsError
from xenfs.filesystem.computing import Computing, LoopAtWork, Turn
from xenfs.nodes.tables.cost import NOTHING, Cost

log = logging.getLogger(__name__)
Args = TypeVarTuple("Args")
Result = TypeVar("Result")

ROOT = 0
_BULK_THREADS = 2  # the interpreter runs one of them at a time, and each slows the event loop down
_LONG_THREADS = 8  # one lock serialises most of Xen's control operations: more threads would only wait there
_LONG = Cost.MEMORY | Cost.WAITS
_COMPUTES = Cost.CPUS | Cost.VCPUS | Cost.DOMAINS | Cost.LENGTH
SOON_S = 0.1
_PATIENCE_S = 20.0  # who has waited so long for a thread that none will come soon is told so
_OF_ONE, _OF_ALL, _FOR_EACH = 96, 256, 8  # requests of readers that wait: of one user, of all; and for who comes then
_OF_ROOT, _OF_WRITER = 96, 24  # of root and of those who write: in all, of one user and of one kind

_MOST_READERS = _OF_ALL + 16 * _FOR_EACH
MOST_WAITING = _MOST_READERS + _OF_ROOT
"""How many requests wait at the most; a mount whose handlers all wait would be stuck."""


class Gate:
    """As trio.Event is, but those who waited go on one by one, so that requests of others come in between."""

    __slots__ = ("_lot", "_open")

    def __init__(self) -> None:
        self._lot, self._open = trio.lowlevel.ParkingLot(), False

    def is_set(self) -> bool:
        """Whether it is open."""
        return self._open

    def set(self) -> None:
        """Open it."""
        self._open = True
        self._lot.unpark()

    async def wait(self) -> None:
        """Return when it is open; each who was kept waiting lets the next one go."""
        if not self._open:
            await self._lot.park()
            self._lot.unpark()


class Job:
    """A piece of work, done once for all who wait for it."""

    __slots__ = ("begun", "done", "error", "key", "kind", "started", "uids", "value", "waiting", "work")

    def __init__(self, kind: object, key: Hashable, work: Callable[[], Any]) -> None:
        self.kind, self.key, self.work = kind, key, work
        self.begun, self.started, self.done = False, trio.Event(), Gate()
        self.value: Any = None
        self.error: Exception | None = None
        self.uids: list[int] = []
        self.waiting = 0


class Lane:
    """Some threads, which users take in turns: no user and no kind of work (an entry of the tables) has more than half.

    Root may have all. Jobs that have the same key are never done at once.
    """

    def __init__(self, threads: int) -> None:
        self._threads, self._part = threads, max(1, threads // 2)
        self._queues: dict[int, deque[Job]] = {}  # in the order of turns
        self._gathering: dict[Hashable, Job] = {}  # jobs with a key that have not begun
        self._busy = 0
        self._of_user: Counter[int] = Counter()
        self._of_kind: Counter[object] = Counter()
        self._keys: set[Hashable] = set()  # of jobs that have begun

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing is counted."""
        return not (self._busy or self._queues or self._gathering or self._keys or self._of_user or self._of_kind)

    def put(self, uid: int, kind: object, key: Hashable, work: Callable[[], Any]) -> Job:
        """A job for this user: the one with this key that others wait for already, unless it has begun."""
        job = self._gathering.get(key) if key is not None else None
        if job is None:
            job = Job(kind, key, partial(contextvars.copy_context().run, work))
            if key is not None:
                self._gathering[key] = job
        if uid not in job.uids:  # it is done when it is the turn of the first of them
            job.uids.append(uid)
            self._queues.setdefault(uid, deque()).append(job)
        job.waiting += 1
        self._go_on()
        return job

    async def result(self, job: Job, patience_s: float) -> Any:
        """What comes of it. EAGAIN if it has not begun after so long; once it has, it is waited for whatever happens.

        A thread is never abandoned: Xen would go on writing into memory that was lent to someone else by then.
        """
        try:
            try:
                with trio.move_on_after(patience_s):
                    await job.done.wait()
            except trio.Cancelled:
                if not job.begun:
                    raise
            if not job.begun:
                raise XenfsError("other operations hold this one up: it was not begun in time", errno.EAGAIN)
            with trio.CancelScope(shield=True):
                await job.done.wait()
        finally:
            self._leave(job)
        if job.error is not None:
            raise job.error
        return job.value

    async def begun(self, job: Job, patience_s: float, soon_s: float) -> Any:
        """What comes of it where it is over within `soon_s`; else None, as soon as that has passed since it began."""
        try:
            with trio.move_on_after(patience_s):
                await job.started.wait()
            if job.begun:
                with trio.move_on_after(soon_s):
                    await job.done.wait()
        except trio.Cancelled:
            self._leave(job)
            raise
        if job.begun and not job.done.is_set():
            return self._leave(job)
        return await self.result(job, 0)

    def _leave(self, job: Job) -> None:
        """One less waits for it; what nobody waits for does not begin."""
        job.waiting -= 1
        if not job.waiting and not job.begun:
            self._withdraw(job)

    def _go_on(self) -> None:
        while self._busy < self._threads and (found := self._next()) is not None:
            self._begin(*found)

    def _next(self) -> tuple[int, Job] | None:
        """The first job that may begin, of the user whose turn it is."""
        for uid, queue in self._queues.items():
            if uid == ROOT or self._of_user[uid] < self._part:
                for job in queue:
                    if job.key not in self._keys and self._of_kind[job.kind] < self._part:
                        return uid, job
        return None

    def _begin(self, uid: int, job: Job) -> None:
        self._withdraw(job)
        if uid in self._queues:
            self._queues[uid] = self._queues.pop(uid)  # to the end
        job.begun = True
        job.started.set()
        self._busy += 1
        self._of_user[uid] += 1
        self._of_kind[job.kind] += 1
        if job.key is not None:
            self._keys.add(job.key)
        token = trio.lowlevel.current_trio_token()

        def deliver(result: Any) -> None:
            with suppress(trio.RunFinishedError):  # the mount was left with this still under way
                token.run_sync_soon(self._end, uid, job, result)

        trio.lowlevel.start_thread_soon(job.work, deliver, name="xenfs-work")

    def _end(self, uid: int, job: Job, result: Any) -> None:
        self._busy -= 1
        _less(self._of_user, uid)
        _less(self._of_kind, job.kind)
        self._keys.discard(job.key)
        try:
            job.value = result.unwrap()
        except Exception as problem:
            job.error = problem
            if not job.waiting:
                log.warning("%s: what was begun has failed after it was answered: %s", job.kind, problem)
        job.done.set()
        self._go_on()

    def _withdraw(self, job: Job) -> None:
        for uid in job.uids:
            self._queues[uid].remove(job)
            if not self._queues[uid]:
                del self._queues[uid]
        if job.key is not None:
            del self._gathering[job.key]


class Lanes:
    """The four lanes, and how many requests may wait: of one user, and of one kind of what root does or is written."""

    def __init__(self, patience_s: float = _PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._bulk, self._long = Lane(_BULK_THREADS), Lane(_LONG_THREADS)
        self._own_bulk, self._own_long = Lane(_BULK_THREADS), Lane(_LONG_THREADS)
        self._at_work = LoopAtWork()
        self.computing = Computing(self._at_work)
        self._turn, self._own_turn = Turn(), Turn()
        self._reading: Counter[int] = Counter()  # by user
        self._own: Counter[object] = Counter()  # by user and by kind
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
            with self._at_work if computes else nullcontext():
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
            _less(self._reading, uid)

    @contextmanager
    def own_place(self, uid: int, kind: object) -> Iterator[None]:
        """Root, or somebody who writes, waits inside."""
        user = None if uid == ROOT else uid
        if self._others >= _OF_ROOT or self._own[kind] >= _OF_WRITER or (user and self._own[user] >= _OF_WRITER):
            raise XenfsError("too many operations of this kind, or of this user, are waiting", errno.EAGAIN)
        self._others += 1
        self._own[kind] += 1
        self._own[user] += 1
        try:
            yield
        finally:
            self._others -= 1
            _less(self._own, kind)
            _less(self._own, user)


def _less(counter: Counter[Any], key: object) -> None:
    """One less; nothing is kept of what there is none of."""
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
