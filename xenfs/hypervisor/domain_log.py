"""What has become of domains since somebody last looked: created, named, shutdown, dying, gone.

Each comes once in a life, but that a domain can be named anew, and shut down again once it was resumed.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from time import monotonic
from typing import NamedTuple, Protocol

from xenfs.abi.numbers import DomInf
from xenfs.hypervisor.lives import Domain

_KEPT = 4096
_SHUTDOWN, _DYING = int(DomInf.shutdown), int(DomInf.dying)


class Info(Protocol):
    """The part of what getdomaininfo says that matters here."""

    @property
    def flags(self) -> int:
        """XEN_DOMINF_* bits."""

    @property
    def handle(self) -> bytes:
        """The UUID."""


Listed = Sequence[tuple[Domain, Info]]
_REASON_SHIFT, _REASON_MASK = 16, 0xFF


class Change(NamedTuple):
    """What happened to a domain; the reason, a shutdown code, where it has shut down, and the name, empty without."""

    kind: str
    domid: int
    uuid: bytes
    reason: int | None = None
    name: bytes = b""


def _no_names(domids: Iterable[int]) -> dict[int, bytes]:
    return {}


class Happening(NamedTuple):
    """A line of domains/events. Numbers go up by one: who misses some sees which."""

    seq: int
    kind: str
    domid: int
    uuid: bytes
    reason: int | None
    name: bytes


class _Known:
    """What was last seen of a domain."""

    __slots__ = ("domain", "dying", "name", "reason", "shutdown", "uuid")

    def __init__(self, domain: Domain, uuid: bytes, name: bytes | None) -> None:
        self.domain, self.uuid, self.name = domain, uuid, name
        self.shutdown = self.dying = False
        self.reason: int | None = None

    def change(self, kind: str) -> Change:
        """That this happened to it."""
        return Change(kind, self.domain.domid, self.uuid, self.reason, self.name or b"")


class Census:
    """Compares each listing of all domains with the one before.

    Whoever is gone has been dying, seen or not, so that each life ends in the same words whatever was missed. Nothing
    can be said of a life that began and ended between two listings.
    """

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}
        self._begun = False

    def update(self, listed: Listed, names: Mapping[int, bytes] | None = None) -> list[Change]:
        """What happened: first to those who are gone, then to those who have come or changed, by domid.

        `names` are those that are known of now. Who is there at first has not just been named, however late its name
        becomes known: its first name is no news.
        """
        here = {domain.domid for domain, _ in listed}
        found: list[Change] = []
        first = None if not self._begun else b""
        self._begun = True
        for domid in [domid for domid in self._known if domid not in here]:
            found += _end(self._known.pop(domid))
        for domain, info in listed:
            known = self._known.get(domain.domid)
            if known is None or known.domain != domain:
                found += _end(known) if known else []
                known = self._known[domain.domid] = _Known(domain, info.handle, first)
                found.append(known.change("created"))
            known.uuid = info.handle
            name = names.get(domain.domid) if names else None
            if name is not None and name != known.name:
                found += _named(known, name)
            flags = info.flags
            if flags & (_SHUTDOWN | _DYING) or known.shutdown:
                found += _changed(known, flags)
        return found

    def resumed(self, domain: Domain) -> None:
        """It has not shut down any more, seen or not."""
        known = self._known.get(domain.domid)
        if known is not None and known.domain == domain:
            known.shutdown = False

    @property
    def dying(self) -> int:
        """How many are dying: no watch tells when they are gone."""
        return sum(known.dying for known in self._known.values())


def _end(known: _Known) -> list[Change]:
    return [known.change(kind) for kind in (("gone",) if known.dying else ("dying", "gone"))]


def _named(known: _Known, name: bytes) -> list[Change]:
    """A name that is taken away, as a toolstack does before it ends a domain, is still what it was called."""
    before, known.name = known.name, name or known.name or b""
    return [] if before is None or not name else [known.change("named")]


def _changed(known: _Known, flags: int) -> list[Change]:
    """A domain that was resumed can shut down once more; one that dies does neither."""
    found: list[Change] = []
    if known.dying:
        return []
    known.reason = flags >> _REASON_SHIFT & _REASON_MASK if flags & _SHUTDOWN else None
    if flags & _SHUTDOWN and not known.shutdown:
        found.append(known.change("shutdown"))
    known.shutdown = bool(flags & _SHUTDOWN)
    if flags & _DYING:
        known.dying = True
        found.append(known.change("dying"))
    return found


class DomainLog:
    """The last happenings, for any number of readers who each remember the number that they have come to."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._lock = threading.Lock()
        self._census = Census()
        self._ring: deque[Happening] = deque(maxlen=kept)
        self._begun = False
        self._reasons: Counter[int] = Counter()
        self._looked_at = float("-inf")
        self.told: Callable[[], object] | None = None  # called when somebody, whoever, has found something
        self.last = 0  # the number of the last happening
        self.took_s = 0.0  # how long the last look took
        self.dying = 0  # how many domains were dying then

    def catch_up(
        self,
        list_domains: Callable[[], Listed],
        names: Callable[[Iterable[int]], Mapping[int, bytes]] = _no_names,
        *,
        not_older_s: float = 0.0,
    ) -> bool:
        """List all domains, unless that was begun less than `not_older_s` ago; whether something has happened.

        The first look finds out who is there: nothing has happened to them. `names` gives those that are known of.
        """
        with self._lock:
            began = monotonic()
            if began - self._looked_at < not_older_s:
                return False
            before = self.last
            listed = list_domains()
            happened = self._census.update(listed, names(domain.domid for domain, _ in listed))
            if self._begun:
                for change in happened:
                    self.last += 1
                    self._ring.append(Happening(self.last, *change))
                    if change.kind == "shutdown" and change.reason is not None:
                        self._reasons[change.reason] += 1
            self._begun, self._looked_at = True, began
            self.took_s, self.dying = monotonic() - began, self._census.dying
            news = self.last != before
        told = self.told
        if news and told is not None:
            told()
        return news

    def resumed(self, domain: Domain) -> None:
        """Said behind the call that has let it go on: should it end before the next look, that is another end."""
        with self._lock:
            self._census.resumed(domain)

    def reasons(self) -> dict[int, int]:
        """How many domains were seen to shut down, by shutdown code."""
        with self._lock:
            return dict(self._reasons)

    def since(self, seq: int) -> list[Happening]:
        """What has happened after this number, as far as it is kept."""
        with self._lock:
            if seq >= self.last:
                return []
            known = max(0, seq - (self.last - len(self._ring)))
            return list(islice(self._ring, known, None))
