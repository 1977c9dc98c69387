"""What was seen a moment ago: enough to say which names there are, never what a value is or whether to act.

The kernel looks up every name of a path. A walk of the whole tree asks a hundred things of each domain, most of them
again and again. So answers about names are kept for as long as the kernel keeps the names themselves.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import monotonic
from typing import Any, TypeVar

from xenfs.errors import XenfsError

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
LISTING_WAIT_S = 20.0  # for one of somebody else's, from its beginning; as long as for a thread


class _Making:
    """The lock of who makes a listing, and since when he does; infinite while nobody does."""

    __slots__ = ("lock", "since")

    def __init__(self) -> None:
        self.lock, self.since = threading.Lock(), float("inf")


class Listings:
    """Whole listings, for questions about names that need one: made once for all who ask within a quarter of a second.

    For worker threads, which wait for one another here; the event loop never asks. Who makes one may hang in Xen.
    Nobody then makes another: it would hang as well, and each such call takes a thread, and a processor of the control
    domain's. Who waits gives his thread back after a while, and who comes later is told at once.
    """

    def __init__(
        self, recent: RecentAnswers, clock: Callable[[], float] = monotonic, wait_s: float = LISTING_WAIT_S
    ) -> None:
        self._recent, self._clock, self._wait_s = recent, clock, wait_s
        self._making: dict[Hashable, _Making] = {}
        self._kept: dict[Hashable, tuple[float, int, Any]] = {}
        self.waiting: Callable[[], AbstractContextManager[object]] = nullcontext  # around waiting for somebody

    def recent(self, question: Hashable, ask: Callable[[], Answer]) -> Answer:
        """The last answer where it was begun no earlier than LISTING_KEPT_S ago, and nothing was done since; else a new
        one. EAGAIN where somebody has been making it for too long."""
        came = self._clock()  # what was begun while this one waited is new enough for him
        with self._held(self._making.setdefault(question, _Making())):
            begun_at, forgotten, answer = self._kept.get(question, (float("-inf"), 0, None))
            if came - begun_at > LISTING_KEPT_S or forgotten != self._recent.forgotten:
                begun_at, forgotten = self._clock(), self._recent.forgotten
                answer = ask()
                self._kept[question] = begun_at, forgotten, answer
            return answer  # type: ignore[no-any-return]

    @contextmanager
    def _held(self, making: _Making) -> Iterator[None]:
        if not making.lock.acquire(blocking=False) and not self._waited(making):
            raise XenfsError("a listing that this needs is being made, and does not end", errno.EAGAIN)
        making.since = self._clock()
        try:
            yield
        finally:
            making.since = float("inf")
            making.lock.release()

    def _waited(self, making: _Making) -> bool:
        most_s = min(self._wait_s, making.since + self._wait_s - self._clock())
        if most_s <= 0:
            return False
        with self.waiting():
            return making.lock.acquire(timeout=most_s)

    def tidy(self) -> None:
        """Give back what is old."""
        for question in list(self._kept):  # of pairs Python up to 3.11 might let another thread in between two
            if self._clock() - self._kept[question][0] > LISTING_KEPT_S:
                self._kept.pop(question, None)
