"""What has become of domains since somebody last looked: created, shutdown, dying, gone, each once in a life."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
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


class Happening(NamedTuple):
    """A line of domains/events. Numbers go up by one: who misses some sees which."""

    seq: int
    kind: str
    domid: int
    uuid: bytes


class _Known:
    """What was last seen of a domain."""

    __slots__ = ("domain", "dying", "shutdown", "uuid")

    def __init__(self, domain: Domain, uuid: bytes) -> None:
        self.domain, self.uuid = domain, uuid
        self.shutdown = self.dying = False


class Census:
    """Compares each listing of all domains with the one before.

    Whoever is gone has been dying, seen or not, so that each life ends in the same words whatever was missed. Nothing
    can be said of a life that began and ended between two listings.
    """

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}

    def update(self, listed: Listed) -> list[tuple[str, int, bytes]]:
        """(what happened, domid, UUID): first who is gone, then who has come or changed, by domid."""
        here = {domain.domid for domain, _ in listed}
        found: list[tuple[str, int, bytes]] = []
        for domid in [domid for domid in self._known if domid not in here]:
            found += _end(self._known.pop(domid))
        for domain, info in listed:
            known = self._known.get(domain.domid)
            if known is None or known.domain != domain:
                found += _end(known) if known else []
                known = self._known[domain.domid] = _Known(domain, info.handle)
                found.append(("created", domain.domid, info.handle))
            flags = info.flags
            if flags & (_SHUTDOWN | _DYING) or known.shutdown:
                found += _changed(known, flags)
            known.uuid = info.handle
        return found

    @property
    def dying(self) -> int:
        """How many are dying: no watch tells when they are gone."""
        return sum(known.dying for known in self._known.values())


def _end(known: _Known) -> list[tuple[str, int, bytes]]:
    kinds = ("gone",) if known.dying else ("dying", "gone")
    return [(kind, known.domain.domid, known.uuid) for kind in kinds]


def _changed(known: _Known, flags: int) -> list[tuple[str, int, bytes]]:
    """A domain that was resumed can shut down once more; one that dies does neither."""
    kinds: list[str] = []
    if known.dying:
        return []
    if flags & _SHUTDOWN and not known.shutdown:
        kinds.append("shutdown")
    known.shutdown = bool(flags & _SHUTDOWN)
    if flags & _DYING:
        kinds.append("dying")
        known.dying = True
    return [(kind, known.domain.domid, known.uuid) for kind in kinds]


class DomainLog:
    """The last happenings, for any number of readers who each remember the number that they have come to."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._lock = threading.Lock()
        self._census = Census()
        self._ring: deque[Happening] = deque(maxlen=kept)
        self._begun = False
        self._looked_at = float("-inf")
        self.told: Callable[[], object] | None = None  # called when somebody, whoever, has found something
        self.last = 0  # the number of the last happening
        self.took_s = 0.0  # how long the last look took
        self.dying = 0  # how many domains were dying then

    def look(self, list_domains: Callable[[], Listed], *, not_older_s: float = 0.0) -> bool:
        """List all domains, unless that was begun less than `not_older_s` ago; whether something has happened.

        The first look finds out who is there: nothing has happened to them.
        """
        with self._lock:
            began = monotonic()
            if began - self._looked_at < not_older_s:
                return False
            before = self.last
            happened = self._census.update(list_domains())
            if self._begun:
                for kind, domid, uuid in happened:
                    self.last += 1
                    self._ring.append(Happening(self.last, kind, domid, uuid))
            self._begun, self._looked_at = True, began
            self.took_s, self.dying = monotonic() - began, self._census.dying
            news = self.last != before
        if news and self.told is not None:
            self.told()
        return news

    def since(self, seq: int) -> list[Happening]:
        """What has happened after this number, as far as it is kept."""
        with self._lock:
            if seq >= self.last:
                return []
            known = max(0, seq - (self.last - len(self._ring)))
            return list(islice(self._ring, known, None))
