"""Domains as they were a moment ago, for questions about names: a walk over many asks about many at once.

Who looks at one domain after the other is answered for as many more with each step, as a disk reads ahead; who looks
at one is answered for that one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from time import perf_counter_ns
from typing import Any, NamedTuple, TypeVar

from xenfs.calls import domains
from xenfs.calls.domains import DomainInfo, infos_from
from xenfs.calls.lists import batches
from xenfs.errors import Stale
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.politely import politely

Answer = TypeVar("Answer")


class Sighting(NamedTuple):
    """A domain that was seen, and where in the row of those that were seen together, which does not have it in turn."""

    domain: Domain
    info: DomainInfo
    row: Sequence[tuple[Domain, DomainInfo]]
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
    for row in batches(found, xen.recent.furthest):
        _keep(keep, row)
    return found


def together(question: Callable[[Hypervisor, Sequence[DomainInfo]], Sequence[Answer]]) -> Callable[..., Answer]:
    """What a question about many domains says of one, a moment ago or now; the next ones are asked about with it."""

    def ask(xen: Hypervisor, domain: Domain, *_: object) -> Answer:
        known = xen.recent.get((question, domain))
        if known is None:
            sighting, keep = _sighting(xen, domain), xen.recent.keeping()
            row = sighting.row[sighting.at :]
            answers = question(xen, [info for _, info in row])
            for (each, _), answer in zip(row, answers, strict=True):
                keep((question, each), answer)
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
    infos = infos_from(xen, domid, xen.recent.read_ahead(domid))
    seen = [(xen.lives.observe(info.domain, info.sight(), asked), info) for info in infos]
    row = [(life, info) for life, info in seen if life is not None]
    _keep(keep, row)
    if row and row[0][0].domid == domid:
        return Sighting(*row[0], row, 0)
    if infos and infos[0].domain == domid:
        alone = domains.seen_now(xen, domid)
        return Sighting(*alone, [alone], 0) if alone else None
    xen.lives.gone(domid, asked)
    return None


def _keep(keep: Callable[[Hashable, Any], object], row: Sequence[tuple[Domain, DomainInfo]]) -> None:
    for at, (domain, info) in enumerate(politely(row)):
        keep(domain.domid, Sighting(domain, info, row, at))
