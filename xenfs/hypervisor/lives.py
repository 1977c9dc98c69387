"""Which life of a domain an observation belongs to.

Domain ids are reused. A *life* is a number that changes whenever the same id comes to mean another domain. From Xen
4.21 Xen's own unique_id tells. Before, what getdomaininfo shows must do. The UUID and the kind of guest never change
within a life, and CPU time does not fall. A PV guest's shared page stays, and a dying domain does not recover. Two
lives that agree in all of that, with no observation in between, cannot be told apart. As xl gives each domain another
handle, that is a domain restored under its old id and UUID.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count, islice
from time import perf_counter_ns
from typing import NamedTuple

from xenfs.abi.numbers import DomInf

# Plain integers: this runs for every read of a domain's file, and enum members are ten times slower to combine.
_KIND = int(DomInf.hvm_guest)
_DYING = int(DomInf.dying)
# Xen adds what runs at this moment from the clock of the CPU that answers, and clocks differ: by microseconds on
# hardware, by 11 ms as seen on an emulated machine. A new life begins near zero, so only a real fall tells.
CLOCKS_DIFFER_NS = 500_000_000
_LONGEST_NS = 3600 * 10**9  # no answer is under way for so long, in a daemon that was stopped meanwhile neither


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
    if ordered and (new_time + CLOCKS_DIFFER_NS < time or flags & ~new_flags & _DYING):
        return False
    if uuid != new_uuid or (flags ^ new_flags) & _KIND:
        return False
    return bool(new_flags & _KIND) or frame == new_frame


class Roll(NamedTuple):
    """The names of all domains as they were listed, and how to see that the same list still holds."""

    identities: list[bytes]
    changes: int
    names: list[tuple[str, Domain]]


class _Life:
    """A life that goes on: the sight of it that was asked for last, when it was asked for, and when it had come.

    They are replaced together: what a thread writes late into a life that has ended meanwhile brings nobody back.
    """

    __slots__ = ("domain", "last")

    def __init__(self, domain: Domain, sight: Sight, asked_ns: int) -> None:
        self.domain = domain
        self.last = sight, asked_ns, perf_counter_ns()

    def see(self, sight: Sight, asked_ns: int) -> None:
        """Once more. A listing knows of no unique id."""
        if not sight.unique_id and (unique_id := self.last[0].unique_id):
            sight = sight._replace(unique_id=unique_id)
        self.last = sight, asked_ns, perf_counter_ns()


class Lives:
    """The lives that are known to go on; every sight of a domain passes through `observe`. `ended` is told of each one
    that is over, and asks nothing.

    Thread-safe. Lives begin and end under a lock; to see one again, as thousands are in each listing, takes none.
    """

    def __init__(self, ended: Callable[[Domain], object] = lambda domain: None) -> None:
        self._told = ended
        self._serials = count(1)
        self._lock, self._renaming = threading.Lock(), threading.Lock()
        self._seen: dict[int, _Life] = {}
        self._over: dict[int, int] = {}  # when it was known that nobody has the id any more; the last one comes last
        self._given: dict[int, bytes] = {}  # UUIDs that xenfs has given
        self.changes = 0  # how many lives have begun or ended
        self.roll: Roll | None = None

    def observe(self, domid: int, sight: Sight, asked_ns: int) -> Domain | None:
        """The life that a fresh sight belongs to: the one known, or a new one; None where it does not tell, and Xen has
        to be asked once more.

        `asked_ns` is the perf_counter_ns from before the hypercall: of two calls that overlapped, in two
        threads, neither is known to be the later one, and CPU time may seem to fall between them. For the same reason
        a sight that was asked for before another life was seen, or the end of one, may be of whoever was there before.
        """
        life = self._seen.get(domid)
        if life is not None:
            known, asked, come = life.last
            if _same(known, sight, ordered=asked_ns > come):
                if asked_ns >= asked:
                    life.see(sight, asked_ns)
                return life.domain
        return self._another(domid, sight, asked_ns)

    def _another(self, domid: int, sight: Sight, asked_ns: int) -> Domain | None:
        """The same where it is not the life that was known a moment ago."""
        with self._lock:
            life = self._seen.get(domid)
            if life is not None:
                known, _, come = life.last
                named = sight if sight.uuid != self._given.get(domid) else sight._replace(uuid=known.uuid)
                if _same(known, named, ordered=asked_ns > come):
                    if asked_ns > come:
                        life.see(sight, asked_ns)
                    return life.domain
            if asked_ns <= (self._over.get(domid, -1) if life is None else come):
                return None
            if life is not None:
                self._end(life.domain)
            begun = self._seen[domid] = _Life(Domain(domid, next(self._serials)), sight, asked_ns)
            self.changes += 1
            return begun.domain

    def _end(self, domain: Domain) -> None:
        """Under the lock also who is told: what he forgets of an id is not to be what the next life has brought."""
        del self._seen[domain.domid]
        self.changes += 1
        self._given.pop(domain.domid, None)
        self._told(domain)

    @contextmanager
    def renaming(self, domid: int, uuid: bytes) -> Iterator[None]:
        """While xenfs gives a domain another UUID: it is the same life with either, and afterwards with this one.

        One at a time, so that of two the last one counts for Xen as well.
        """
        with self._renaming:
            before = self._given.get(domid)
            self._given[domid] = uuid
            try:
                yield
            except BaseException:
                self._given[domid] = before or b""
                raise
            with self._lock:
                life, now = self._seen.get(domid), perf_counter_ns()
                if life is None:
                    self._note_over(domid)
                elif domid in self._given:  # or another has begun meanwhile
                    life.last = life.last[0]._replace(uuid=uuid), now, now

    def gone(self, domid: int, asked_ns: int) -> None:
        """Xen said that there is no such domain: whoever has this id next is another.

        One that was seen since the question was asked may have begun after the answer, and goes on.
        """
        with self._lock:
            life = self._seen.get(domid)
            if life is None or asked_ns <= life.last[2]:
                return
            self._note_over(domid)
            self._end(life.domain)

    def _note_over(self, domid: int) -> None:
        now = perf_counter_ns()
        self._over.pop(domid, None)
        self._over[domid] = now
        for longest in list(islice(self._over, 2)):
            if self._over[longest] < now - _LONGEST_NS:
                del self._over[longest]

    def keep_only(self, domids: Iterable[int], asked_ns: int) -> None:
        """A whole listing was read, which was begun at `asked_ns`: whatever is not in it is over."""
        here = set(domids)
        for domid in [domid for domid in list(self._seen) if domid not in here]:  # a difference of sets lets nobody in
            self.gone(domid, asked_ns)

    def known(self, domain: Domain) -> Sight | None:
        """The last sight of this life, None where the id is not known to be this one's any more."""
        life = self._seen.get(domain.domid)
        return life.last[0] if life is not None and life.domain == domain else None

    def ended(self, domain: Domain) -> bool:
        """True where it is known, without asking Xen, that this life is over."""
        life = self._seen.get(domain.domid)
        return life is None or life.domain != domain
