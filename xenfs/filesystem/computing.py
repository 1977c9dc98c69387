"""One thread at a time makes lines of all that a host has: two would take the interpreter from the event loop in turn.

The loop gets the interpreter back when the thread that has it is asked to give it up. Another thread that computes may
be quicker to take it than the loop is, and so each one more makes every request of everybody slower.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import TypeVar, TypeVarTuple

import trio

from xenfs.politely import polite

Args = TypeVarTuple("Args")
Result = TypeVar("Result")

LEASE_S = 0.5  # who has waited so long for somebody who shows no sign of life computes beside him
MOST_S = 0.005  # of waiting for the event loop at a time
LINGER_S = 0.0001  # who was answered asks again: after an open comes a read


class LoopAtWork(trio.abc.Instrument):
    """Tells threads that compute while the event loop has something to do (`busy`), and wakes them when it has not.

    In a `with`, of the loop's own, while anybody computes: trio calls it twice in each turn of the loop.
    """

    def __init__(self) -> None:
        self.busy = False
        self._lock, self._taken = threading.Lock(), False
        self._computing = 0
        self.computed = trio.Event()  # set when nobody computes any more; whoever wants it again makes another

    @property
    def computes(self) -> bool:
        """Whether anybody computes."""
        return self._computing > 0

    def __enter__(self) -> None:
        if not self._computing:
            trio.lowlevel.add_instrument(self)
            self.after_io_wait(0)
        self._computing += 1

    def __exit__(self, *_: object) -> None:
        self._computing -= 1
        if not self._computing:
            trio.lowlevel.remove_instrument(self)
            self.before_io_wait(1)
            self.computed.set()

    def after_io_wait(self, timeout: float) -> None:
        """It goes on. Who is just being woken may have the lock; he looks once more whether it is busy."""
        self.busy = True
        self._taken = self._taken or self._lock.acquire(blocking=False)

    def before_io_wait(self, timeout: float) -> None:
        """It has nothing to do, unless it only asks for news."""
        if timeout > 0:
            self.busy = False
            if self._taken:
                self._taken = False
                self._lock.release()

    def wait(self, most_s: float) -> None:
        """Return when it has nothing to do any more, or after so long."""
        if self._lock.acquire(timeout=most_s):
            self._lock.release()


class Turn:
    """To compute: one thread has it at a time, as long as it gets on. One that hangs, in Xen, holds nobody up.

    It is handed to who has waited longest: whoever is quickest would be a user who asks again and again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # for a few instructions
        self._waiting: deque[threading.Lock] = deque()  # each is released to hand it over
        self.taken = False
        self.seen_at = 0.0  # when who has it last gave a sign of life

    def take(self) -> bool:
        """Have it; or not, where who has it hangs."""
        with self._lock:
            if not self.taken:
                self.taken, self.seen_at = True, monotonic()
                return True
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        while not mine.acquire(timeout=LEASE_S):
            with self._lock:
                if mine in self._waiting and monotonic() - self.seen_at > LEASE_S:
                    self._waiting.remove(mine)
                    return False
        self.seen_at = monotonic()
        return True

    def give_up(self) -> None:
        """Let the next one have it."""
        with self._lock:
            self.taken = bool(self._waiting)
            if self._waiting:
                self.seen_at = monotonic()
                self._waiting.popleft().release()


class Computing(threading.local):
    """Which turn this thread has, each one at the most; and how long it has waited for the event loop."""

    def __init__(self, at_work: LoopAtWork) -> None:
        self._turn: Turn | None = None
        self._at_work = at_work
        self._since = self._waited_s = 0.0

    def one_at_a_time(self, turn: Turn, work: Callable[[*Args], Result], *args: *Args) -> Result:
        """Do it while no other thread has this turn, or beside one that hangs."""
        if turn.take():
            self._turn = turn
        self._since, self._waited_s = monotonic(), 0.0
        try:
            with polite(self.pause):
                return work(*args)
        finally:
            self._leave()

    def pause(self) -> None:
        """Wait while the event loop has something to do: half of the time at the most, so that this ends as well."""
        if self._turn is not None:
            self._turn.seen_at = monotonic()
        while self._at_work.busy:
            began = monotonic()
            if 2 * self._waited_s > began - self._since:
                return
            self._at_work.wait(MOST_S)
            sleep(LINGER_S)
            self._waited_s += monotonic() - began

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let another thread have the turn, because this one waits for something; then have it again.

        Nobody waits for a lock with the turn who could wait for the turn with that lock: see docs/threads.md.
        """
        turn = self._turn
        self._leave()
        try:
            yield
        finally:
            if turn is not None and turn.take():
                self._turn = turn

    def _leave(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.give_up()
