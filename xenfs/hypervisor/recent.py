"""What was seen a moment ago: enough to say which names there are, never what a value is or whether to act.

The kernel looks up every name of a path. A walk of the whole tree asks a hundred things of each domain, most of them
again and again. So answers about names are kept for as long as the kernel keeps the names themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import monotonic
from typing import Any, TypeVar

Answer = TypeVar("Answer")

KEPT_S = 0.5  # at most; at least half of it
_FURTHEST = 32  # domains: about more than a walk comes to in that time, nobody needs to ask


class RecentAnswers:
    """Answers by question, forgotten soon, and at once when something is done that may change them.

    There are two generations, so that nothing has a clock of its own and what is old goes away by itself. At most
    `furthest` things are asked about at once.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._newer: dict[Hashable, Any] = {}
        self._older: dict[Hashable, Any] = {}
        self._turn_at = 0.0
        self.forgotten = 0  # how often all was forgotten because something was done
        self.furthest = _FURTHEST
        self._last, self._ahead = 2**16, 1
        self._lock = threading.Lock()  # for a few instructions: what is forgotten is not to come back as the older ones

    def get(self, question: Hashable) -> Any:
        """The answer that was kept, None where there is none."""
        self._turn()
        found = self._newer.get(question)
        return self._older.get(question) if found is None else found

    def keeping(self) -> Callable[[Hashable, Any], None]:
        """What keeps answers to questions that are asked from now on: none, if all is forgotten in the meantime."""
        self._turn()
        return self._newer.__setitem__

    def answer(self, question: Hashable, ask: Callable[[], Answer]) -> Answer:
        """The kept answer, or a new one; None is not kept."""
        found = self.get(question)
        if found is None:
            keep = self.keeping()
            found = ask()
            keep(question, found)
        return found  # type: ignore[no-any-return]

    def read_ahead(self, at: int) -> int:
        """How many things to ask about that begin with this one: twice as many with each step of a walk upwards.

        Half as many with a step back, of which there are some where names are in the order of the alphabet.
        """
        if 0 < at - self._last <= 2 * self._ahead:
            self._ahead = min(2 * self._ahead, self.furthest)
        elif at < self._last:
            self._ahead = max(1, self._ahead // 2)
        self._last = at
        return self._ahead

    def forget(self) -> None:
        """Something was done: ask anew whatever is asked next, and let what is being asked now be kept by nobody."""
        with self._lock:
            self.forgotten += 1
            self._newer, self._older = {}, {}

    def tidy(self) -> None:
        """Give back what is old, where nobody asks any more."""
        self._turn()

    def _turn(self) -> None:
        now = self._clock()
        if now < self._turn_at:
            return
        with self._lock:
            if now >= self._turn_at:
                self._older = self._newer if now < self._turn_at + KEPT_S / 2 else {}
                self._newer = {}
                self._turn_at = now + KEPT_S / 2


LISTING_KEPT_S = 0.25


class Listings:
    """Whole listings, for questions about names that need one: made once for all who ask within a quarter of a second.

    For worker threads, which wait for one another here; the event loop never asks.
    """

    def __init__(self, recent: RecentAnswers, clock: Callable[[], float] = monotonic) -> None:
        self._recent, self._clock = recent, clock
        self._locks: dict[Hashable, threading.Lock] = {}
        self._kept: dict[Hashable, tuple[float, int, Any]] = {}
        self.waiting: Callable[[], AbstractContextManager[object]] = nullcontext  # around waiting for somebody

    def recent(self, question: Hashable, ask: Callable[[], Answer]) -> Answer:
        """The last answer where it was begun within LISTING_KEPT_S and nothing was done since; else a new one."""
        with self._held(self._locks.setdefault(question, threading.Lock())):
            begun_at, forgotten, answer = self._kept.get(question, (float("-inf"), 0, None))
            if self._clock() - begun_at > LISTING_KEPT_S or forgotten != self._recent.forgotten:
                begun_at, forgotten = self._clock(), self._recent.forgotten
                answer = ask()
                self._kept[question] = begun_at, forgotten, answer
            return answer  # type: ignore[no-any-return]

    @contextmanager
    def _held(self, lock: threading.Lock) -> Iterator[None]:
        if not lock.acquire(blocking=False):
            with self.waiting():
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def tidy(self) -> None:
        """Give back what is old."""
        for question, (begun_at, _, _) in list(self._kept.items()):
            if self._clock() - begun_at > LISTING_KEPT_S:
                self._kept.pop(question, None)
