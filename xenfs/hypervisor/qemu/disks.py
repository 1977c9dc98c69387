"""What has gone through the disks that QEMU serves, for a daemon that may not ask QEMU itself: somebody asks for it.

One answer is all that a caller waits for, and until a deadline. A QEMU that was silent or slow, or had nothing to tell,
is not waited for by those who ask for all: it is asked now and then beside them, and waited for again when it has told
of a disk. Who was waited for in vain before is kept apart for longer each time: it may do so on purpose.
"""

from __future__ import annotations

import errno
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from time import monotonic
from typing import NamedTuple

from xenfs.errors import XenfsError
from xenfs.hypervisor.qemu.qmp import Disks

PATIENCE_S = 1.0  # for the process that asks them, beyond what they have
KEPT_S = 0.5
"""How old an answer may be: a reader in a loop would take half of its QEMU's time, and so slow its guest's disks."""
_SILENT_S = 2.0  # so long nobody waits again for who was waited for in vain: a grep reads many counters of one domain
_MOST_KEPT = 1024
_AGAIN_S = 30.0
_LONGEST_APART_S = 3600.0
_FORGOTTEN_S = 86400.0
_WORDS = {
    errno.ENOENT: "this domain's QEMU has no socket for such questions",
    errno.ECONNREFUSED: "this domain's QEMU is gone",
    errno.EBUSY: "this domain's QEMU does not talk to us: somebody else does, such as xentop, or it hangs",
    errno.ETIMEDOUT: "this domain's QEMU does not answer",
    errno.EPERM: "the socket of this domain's QEMU is not one that root alone has made",
    errno.EPROTO: "this domain's QEMU answers nonsense",
    errno.EMSGSIZE: "this domain's QEMU answers without end",
    errno.ECONNRESET: "this domain's QEMU hangs up",
    errno.EMFILE: "there are too many QEMUs that do not answer to ask this domain's",
}


def answer_s(count: int) -> float:
    """So long QEMUs have for their answers, all together that are asked at a time: each needs half a millisecond."""
    return 1.5 + 0.002 * count


class Told(NamedTuple):
    """Of one domain: 0, or the errno that there is instead, and its disks."""

    errno: int
    disks: Disks


class Answers(ABC):
    """To one question about many domains, as they come."""

    @abstractmethod
    def by(self, deadline: float) -> dict[int, Told]:
        """Those that have come by then, by domain; at once when all have, and without waiting where it is past."""

    def close(self) -> None:  # noqa: B027 - a pretended QEMU holds nothing
        """No more of them are wanted."""


Ask = Callable[[str, Sequence[int]], Answers]
"""Given `listed` (which domains have a QEMU that can be asked: of no domain in particular), `there` (whether these
have) or `disks`, and the domains. OSError: there is nobody to ask any more."""


@contextmanager
def _somebody_asks() -> Iterator[None]:
    """XenfsError where there is nobody to ask any more."""
    try:
        yield
    except OSError as problem:
        raise XenfsError("the process that asks QEMU is gone", problem.errno or errno.EIO) from problem


class Qemus:
    """The QEMUs of this host. Thread-safe; who calls waits, so never the event loop."""

    def __init__(self, ask: Ask, clock: Callable[[], float] = monotonic) -> None:
        self._ask, self._clock = ask, clock
        self.made: dict[int, frozenset[int]] = {}  # which disks domains have, as the toolstack was last seen to say
        self._lock = threading.Lock()
        self._kept: tuple[float, dict[int, Disks]] = (float("-inf"), {})
        self._apart: set[int] = set()  # who told of no disk when they were last asked, or late
        self._lapses: dict[int, _Lapse] = {}
        self._later: Answers | None = None
        self._later_at = float("-inf")
        self._again_at = float("-inf")
        self._recent: dict[int, _Kept] = {}  # of single domains
        self._recent_lock = threading.Lock()

    def there(self, domid: int) -> bool:
        """Whether a domain has a QEMU that can be asked. It is not, for this."""
        try:
            return self._one("there", domid).errno == 0
        except OSError:
            return False

    def of(self, domid: int) -> Disks:
        """The disks of one domain, as they were half a second ago at most. XenfsError says why that is not known."""
        with _somebody_asks():
            told = self._recently(domid)
        if told.errno:
            raise XenfsError(_WORDS.get(told.errno, "this domain's QEMU cannot be asked"), told.errno)
        return told.disks

    def of_all(self) -> dict[int, Disks]:
        """Those of all domains whose QEMU answers in time, half a second old at most: asked once for all who come."""
        with self._lock:
            at, found = self._kept
            now = self._clock()
            if now - at > KEPT_S:
                with _somebody_asks():
                    found = self._asked(set(self._answers("listed", [])), now)
                self._kept = now, found
            return found

    def forget(self, domid: int) -> None:
        """That domain is over: what was told of its QEMU, or is about to be, is not told of the next one's."""
        with self._recent_lock:
            self._recent = {each: kept for each, kept in self._recent.items() if each != domid}
        self.made.pop(domid, None)

    def _recently(self, domid: int) -> Told:
        began = self._clock()
        with self._recent_lock:
            recent = self._recent
            kept = recent.get(domid)
        if kept is not None and began < kept.until:
            return kept.told
        told = self._one("disks", domid)
        now = self._clock()
        kept_s = _SILENT_S if told.errno and now - began > KEPT_S else KEPT_S
        with self._recent_lock:
            before = recent.get(domid)
            if before is None or before.asked_at <= began:  # or a counter would go back
                if len(recent) >= _MOST_KEPT:
                    recent.clear()
                recent[domid] = _Kept(began, now + kept_s, told)
        return told

    def _one(self, question: str, domid: int) -> Told:
        return self._answers(question, [domid]).get(domid, Told(errno.ETIMEDOUT, {}))

    def _answers(self, question: str, domids: Sequence[int]) -> dict[int, Told]:
        return self._answers_and_late(question, domids)[0]

    def _answers_and_late(self, question: str, domids: Sequence[int]) -> tuple[dict[int, Told], set[int]]:
        """And who needed more than half of the time."""
        has_s = answer_s(len(domids))
        with closing(self._ask(question, domids)) as asked:
            began = self._clock()
            late = set(domids) - asked.by(began + has_s / 2).keys()
            return asked.by(began + has_s + PATIENCE_S), late

    def _asked(self, domids: set[int], now: float) -> dict[int, Disks]:
        self._apart &= domids
        for gone in self._lapses.keys() - domids:
            del self._lapses[gone]
        if self._later is not None:
            told = self._later.by(now)
            self._apart -= {each for each in self._apart & told.keys() if told[each].disks and self._is_over(each, now)}
        waited_for = sorted(domids - self._apart)
        if self._apart and now >= self._again_at:
            if self._later is not None:
                self._later.close()
            self._later, self._later_at = self._ask("disks", sorted(self._apart)), now
            self._again_at = now + _AGAIN_S
        answers, late = self._answers_and_late("disks", waited_for) if waited_for else ({}, set())
        found = {domid: told.disks for domid, told in answers.items() if told.disks}
        if not self._apart:
            self._again_at = now + _AGAIN_S
        for domid in late:
            self._lapses[domid] = _next(self._lapses.get(domid), now)
        self._apart |= (set(waited_for) - found.keys()) | late
        return found

    def _is_over(self, domid: int, now: float) -> bool:
        lapse = self._lapses.get(domid)
        return lapse is None or (now >= lapse.until and self._later_at > lapse.at)  # what it has told before is stale


class _Kept(NamedTuple):
    """What one has told, when it was asked, and until when others are told the same."""

    asked_at: float
    until: float
    told: Told


class _Lapse(NamedTuple):
    """One was waited for in vain or for long: when last, and until when it is not waited for again."""

    at: float
    apart_s: float

    @property
    def until(self) -> float:
        return self.at + self.apart_s


def _next(before: _Lapse | None, now: float) -> _Lapse:
    """The first costs it nothing more than to be asked apart; each one after that within a day twice as long."""
    if before is None or now - before.at > _FORGOTTEN_S:
        return _Lapse(now, 0.0)
    return _Lapse(now, min(_LONGEST_APART_S, 2 * before.apart_s or 2 * _AGAIN_S))
