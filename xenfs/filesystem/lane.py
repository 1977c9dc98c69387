"""One lane of threads, which users take in turns; and the jobs that are done there, once for all who wait for one."""

from __future__ import annotations

import contextvars
import errno
import logging
from collections import Counter, deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import trio

from xenfs.errors import XenfsError

log = logging.getLogger(__name__)

ROOT = 0


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


class _NotBegun(NamedTuple):
    """As trio has it where work fails."""

    error: Exception


class Lane:
    """Some threads, which users take in turns: no user and no kind of work (an entry of the tables) has more than half.

    Root may have all, half for one kind. What all `others` together may have is less where root has work here: half of
    that is one user's then, and one kind's. Jobs that have the same key are never done at once.
    """

    def __init__(self, threads: int, others: int | None = None) -> None:
        self._threads, self._of_root = threads, max(1, threads // 2)
        self._others = threads if others is None else others
        self._part = max(1, (self._others + 1) // 2)
        self._queues: dict[int, deque[Job]] = {}  # in the order of turns
        self._gathering: dict[Hashable, Job] = {}  # jobs with a key that have not begun
        self._busy = 0
        self._of_user: Counter[int] = Counter()
        self._of_kind: Counter[tuple[object, bool]] = Counter()  # root's are counted apart
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
        error = job.error
        if error is None:
            return job.value
        if not job.waiting:
            job.error = None  # its traceback has this job: the two would keep each other
        try:
            raise error
        finally:
            del error

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
            own = uid == ROOT
            if own or (self._of_user[uid] < self._part and self._busy - self._of_user[ROOT] < self._others):
                most = self._of_root if own else self._part
                for job in queue:
                    if job.key not in self._keys and self._of_kind[job.kind, own] < most:
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
        self._of_kind[job.kind, uid == ROOT] += 1
        if job.key is not None:
            self._keys.add(job.key)
        token = trio.lowlevel.current_trio_token()

        def deliver(result: Any) -> None:
            with suppress(trio.RunFinishedError):  # the mount was left with this still under way
                token.run_sync_soon(self._end, uid, job, result)

        try:
            trio.lowlevel.start_thread_soon(job.work, deliver, name="xenfs-work")
        except RuntimeError as problem:  # it comes out as any end does: out of `_end` it would end the event loop
            deliver(_NotBegun(XenfsError(f"no thread is to be had: {problem}", errno.EAGAIN)))

    def _end(self, uid: int, job: Job, result: Any) -> None:
        self._busy -= 1
        less(self._of_user, uid)
        less(self._of_kind, (job.kind, uid == ROOT))
        self._keys.discard(job.key)
        problem = getattr(result, "error", None)
        if not isinstance(problem, Exception):
            job.value = result.unwrap()
        else:
            job.error = _told(problem)
            if not job.waiting:
                log.warning("%s: what was begun has failed after it was answered: %s", job.kind, problem)
                job.error = None
        job.done.set()
        self._go_on()

    def _withdraw(self, job: Job) -> None:
        for uid in job.uids:
            self._queues[uid].remove(job)
            if not self._queues[uid]:
                del self._queues[uid]
        if job.key is not None:
            del self._gathering[job.key]


def _told(problem: Exception) -> Exception:
    """An error without the way that it took through the thread: by that it would keep itself, until Python looked.

    Of a mistake of xenfs's own it stays, for the log.
    """
    step: BaseException | None = problem
    while isinstance(step, (XenfsError, OSError)):
        step.__traceback__ = None
        step = step.__cause__ or step.__context__
    return problem


def less(counter: Counter[Any], key: object) -> None:
    """One less; nothing is kept of what there is none of."""
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
