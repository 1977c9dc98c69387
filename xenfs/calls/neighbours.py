"""Domains as they were a moment ago, for questions about names: a walk over many asks about many at once.

Who looks at one domain after the other is answered for as many more with each step, as a disk reads ahead; who looks
at one is answered for that one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any, NamedTuple, TypeVar

from xenfs.calls import domains
from xenfs.calls.domains import DomainInfo, infos_from
from xenfs.calls.lists import batches
from xenfs.errors import Stale
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain

Answer = TypeVar("Answer")


class Sighting(NamedTuple):
    """A domain that was seen, and where in the row of those that were seen together."""

    domain: Domain
    info: DomainInfo
    row: list[Sighting]
    at: int


def info_recent(xen: Hypervisor, domain: Domain) -> DomainInfo:
    """What getdomaininfo said of this life of a domain a moment ago; Stale when it is over."""
    return _sighting(xen, domain).info


def require_recent(xen: Hypervisor, domain: Domain, *_: object) -> None:
    """Raise Stale unless this life of a domain went on a moment ago."""
    _sighting(xen, domain)


def life_recent(xen: Hypervisor, domid: int) -> Domain | None:
    """The life that went on under this id a moment ago, None where there is none."""
    found = _found(xen, domid)
    return found.domain if found else None


def living(xen: Hypervisor) -> list[tuple[Domain, DomainInfo]]:
    """Every domain, as `domains.living` has them: who looks at each of them next need not ask again."""
    keep, found = xen.recent.keeping(), domains.living(xen)
    for part in batches(found, xen.recent.furthest):
        row: list[Sighting] = []
        for domain, info in part:
            row.append(Sighting(domain, info, row, len(row)))
            keep(domain.domid, row[-1])
    return found


def together(question: Callable[[Hypervisor, Sequence[DomainInfo]], Sequence[Answer]]) -> Callable[..., Answer]:
    """What a question about many domains says of one, a moment ago or now; the next ones are asked about with it."""

    def ask(xen: Hypervisor, domain: Domain, *_: object) -> Answer:
        known = xen.recent.get((question, domain))
        if known is None:
            sighting, keep = _sighting(xen, domain), xen.recent.keeping()
            row = sighting.row[sighting.at :]
            answers = question(xen, [each.info for each in row])
            for each, answer in zip(row, answers, strict=True):
                keep((question, each.domain), answer)
            known = answers[0]
        return known  # type: ignore[no-any-return]

    return ask


def _sighting(xen: Hypervisor, domain: Domain) -> Sighting:
    found = _found(xen, domain.domid)
    if found is None or found.domain != domain:
        raise Stale(f"domain {domain.domid}")
    return found


def _found(xen: Hypervisor, domid: int) -> Sighting | None:
    found: Any = xen.recent.get(domid)
    if found is None or xen.lives.ended(found.domain):
        found = _look(xen, domid)
    return found  # type: ignore[no-any-return]


def _look(xen: Hypervisor, domid: int) -> Sighting | None:
    """Look at a domain and those behind it; what is not there is over."""
    asked, keep = perf_counter_ns(), xen.recent.keeping()
    row: list[Sighting] = []
    for info in infos_from(xen, domid, xen.recent.read_ahead(domid)):
        life = xen.lives.observe(info.domain, info.sight(), asked)
        row.append(Sighting(life, info, row, len(row)))
        keep(info.domain, row[-1])
    if row and row[0].info.domain == domid:
        return row[0]
    xen.lives.gone(domid, asked)
    return None
