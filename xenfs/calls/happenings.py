"""Looking what has become of the domains, for the log that everybody reads."""

from __future__ import annotations

from xenfs.calls import domains
from xenfs.calls.domains import DomainInfo
from xenfs.calls.rows import free
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain


def looked(xen: Hypervisor) -> list[tuple[Domain, DomainInfo]]:
    """Every domain with the life that it is in. It is one look more at what has happened to them, by the same list."""
    found: list[tuple[Domain, DomainInfo]] = []

    def listing() -> list[tuple[Domain, DomainInfo]]:
        found[:] = domains.living(xen)
        return found

    xen.happenings.catch_up(listing, xen.names.known)
    return found


def catch_up(xen: Hypervisor, *, not_older_s: float = 0.0) -> bool:
    """Whether anything has happened to any domain since the last look; sysctl getdomaininfolist.

    Without a call where the last look was begun less than `not_older_s` ago.
    """
    found: list[tuple[Domain, DomainInfo]] = []

    def listing() -> list[tuple[Domain, DomainInfo]]:
        found[:] = domains.living(xen)
        return found

    try:
        return xen.happenings.catch_up(listing, xen.names.known, not_older_s=not_older_s)
    finally:
        free(found)
