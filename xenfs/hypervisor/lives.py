"""Which life of a domain an observation belongs to.

Domain ids are reused. A *life* is a number that changes whenever the same id comes to mean another domain. From Xen
4.21 Xen's own unique_id tells. Before, what getdomaininfo shows must do. The UUID and the kind of guest never change
within a life, and CPU time does not fall. A PV guest's shared page stays, and a dying domain does not recover. Two
lives that agree in all of that, with no observation in between, cannot be told apart. As xl gives each domain another
handle, that is a domain restored under its old id and UUID.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count, islice
from time import perf_counter_ns
from typing import NamedTuple

from xenfs.abi.numbers import DomInf

# Plain integers: this runs for every read of a domain's file, and enum members are ten times slower to combine.
_KIND = int(DomInf.hvm_guest)
_DYING = int(DomInf.dying)
# Xen adds what runs at this moment from the clock of the CPU that answers, and clocks differ: by microseconds on
# hardware, by 11 ms as seen on an emulated machine. A new life begins near zero, so only a real fall tells.
_CLOCKS_DIFFER_NS = 500_000_000
_LONGEST_NS = 60_000_000_000  # no answer is under way for so long


class Domain(NamedTuple):
    """One life of one domain: what files, directories and open descriptors belong to."""

    domid: int
    life: int


class Sight(NamedTuple):
    """What getdomaininfo said of a domain that helps to tell lives apart."""

    uuid: bytes
    flags: int
    cpu_time: int
    shared_frame: int
    unique_id: int = 0


def _same(old: Sight, new: Sight, *, ordered: bool) -> bool:
    uuid, flags, time, frame, unique = old  # by name each would take longer than all that is done with it
    new_uuid, new_flags, new_time, new_frame, new_unique = new
    if unique and new_unique:
        return unique == new_unique
    if ordered and (new_time + _CLOCKS_DIFFER_NS < time or flags & ~new_flags & _DYING):
        return False
    if uuid != new_uuid or (flags ^ new_flags) & _KIND:
        return False
    return bool(new_flags & _KIND) or frame == new_frame


class Roll(NamedTuple):
    """The names of all domains as they were listed, and how to see that the same list still holds."""

    identities: list[bytes]
    changes: int
    names: list[tuple[str, Domain]]


class Lives:
    """The lives that are known to go on; every sight of a domain passes through `observe`. `ended` is told of each one
    that is over."""

    def __init__(self, ended: Callable[[Domain], object] = lambda domain: None) -> None:
        self._told = ended
        self._serials = count(1)
        self._seen: dict[int, tuple[Domain, Sight, int]] = {}
        self._over: dict[int, tuple[Domain, Sight, int]] = {}  # the last life that ended, and when that was known
        self.changes = 0  # how many lives have begun or ended
        self.roll: Roll | None = None

    def observe(self, domid: int, sight: Sight, asked_ns: int) -> Domain:
        """The life that a fresh sight belongs to: the one known, or a new one.

        `asked_ns` is the perf_counter_ns from before the hypercall: of two calls that overlapped, in two
        threads, neither is known to be the later one, and CPU time may seem to fall between them. For the same reason
        a sight that was asked for before it was known that a life had ended may be one of that life.
        """
        known = self._seen.get(domid)
        if known is not None and _same(known[1], sight, ordered=asked_ns > known[2]):
            domain = known[0]
            if not sight.unique_id and known[1].unique_id:
                sight = sight._replace(unique_id=known[1].unique_id)
        else:
            over = self._over.get(domid)
            if over is not None and asked_ns <= over[2] and _same(over[1], sight, ordered=False):
                return over[0]
            domain = Domain(domid, next(self._serials))
            self.changes += 1
            if known is not None:
                self._end(known)
        self._seen[domid] = (domain, sight, perf_counter_ns())
        return domain

    def renamed(self, domain: Domain, uuid: bytes) -> None:
        """The same life has a new UUID, because xenfs itself gave it one."""
        known = self._seen.get(domain.domid)
        if known is not None and known[0] == domain:
            self._seen[domain.domid] = (domain, known[1]._replace(uuid=uuid), known[2])

    def gone(self, domid: int, asked_ns: int) -> None:
        """Xen said that there is no such domain: whoever has this id next is another.

        One that was seen since the question was asked may have begun after the answer, and goes on.
        """
        known = self._seen.get(domid)
        if known is not None and asked_ns > known[2]:
            self._seen.pop(domid, None)
            self.changes += 1
            self._end(known)

    def _end(self, known: tuple[Domain, Sight, int]) -> None:
        domain, sight, _ = known
        now = perf_counter_ns()
        self._over.pop(domain.domid, None)
        self._over[domain.domid] = (domain, sight, now)  # the last of all
        for domid in list(islice(self._over, 2)):
            if self._over[domid][2] < now - _LONGEST_NS:
                self._over.pop(domid, None)
        self._told(domain)

    def keep_only(self, domids: Iterable[int], asked_ns: int) -> None:
        """A whole listing was read, which was begun at `asked_ns`: whatever is not in it is over."""
        here = set(domids)
        for domid in [domid for domid in list(self._seen) if domid not in here]:  # a difference of sets lets nobody in
            self.gone(domid, asked_ns)

    def known(self, domain: Domain) -> Sight | None:
        """The last sight of this life, None where the id is not known to be this one's any more."""
        known = self._seen.get(domain.domid)
        return known[1] if known is not None and known[0] == domain else None

    def ended(self, domain: Domain) -> bool:
        """True where it is known, without asking Xen, that this life is over."""
        known = self._seen.get(domain.domid)
        return known is None or known[0] != domain
