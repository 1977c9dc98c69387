"""The domain that xenfs itself runs in: what must not, or cannot, be done to it."""

from __future__ import annotations

import errno

from xenfs.abi.numbers import DomInf, PhysCap
from xenfs.calls.domains import DomainInfo
from xenfs.calls.neighbours import info_recent
from xenfs.calls.sysctl import capabilities
from xenfs.connect.own import own_domid
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain


def require_other(xen: Hypervisor, domain: Domain, code: int = errno.EINVAL) -> None:
    """Xen says EINVAL or EPERM of a caller's own id; say so in words, before."""
    if domain.domid == own_domid(xen):
        raise BadInput("this is the domain that xenfs itself runs in", code)


def require_paused(info: DomainInfo) -> None:
    """Before something that goes wrong, or means nothing, while vCPUs run."""
    if not info.flags & DomInf.paused:
        raise BadInput("the domain must be paused: write 1 to freeze first", errno.EBUSY, at=0)


def is_other(xen: Hypervisor, domain: Domain, *_: object) -> bool:
    """Whether this is another domain than xenfs's own."""
    return domain.domid != own_domid(xen)


def is_own(xen: Hypervisor, domain: Domain, *_: object) -> bool:
    """Whether this is xenfs's own domain."""
    return domain.domid == own_domid(xen)


def is_hvm(xen: Hypervisor, domain: Domain, *_: object) -> bool:
    """Whether this is an HVM or PVH domain. That never changes in a life: what was seen before will do."""
    sight = xen.lives.known(domain) or info_recent(xen, domain)
    return bool(sight.flags & DomInf.hvm_guest)


def is_pv(xen: Hypervisor, domain: Domain, *_: object) -> bool:
    """Whether this is a PV domain."""
    return not is_hvm(xen, domain)


def is_other_hvm(xen: Hypervisor, domain: Domain, *_: object) -> bool:
    """Whether this is an HVM or PVH domain other than xenfs's own."""
    return is_other(xen, domain) and is_hvm(xen, domain)


def is_other_pv(xen: Hypervisor, domain: Domain, *_: object) -> bool:
    """Whether this is a PV domain other than xenfs's own."""
    return is_other(xen, domain) and is_pv(xen, domain)


def has_vcpus(xen: Hypervisor, domain: Domain, *_: object) -> bool:
    """Whether its vCPUs have been made: a domain that is still being built has none."""
    return info_recent(xen, domain).has_vcpus


def has_paging(xen: Hypervisor, domain: Domain, *_: object) -> bool:
    """Whether Xen tells of its page tables, a moment ago: another domain, with vCPUs, that is not being taken apart."""
    if not is_other(xen, domain):
        return False
    info = info_recent(xen, domain)
    return info.has_vcpus and not info.dying


def has_tables_noted(xen: Hypervisor, domain: Domain, *_: object) -> bool:
    """The same where Xen can also note what is written to: of a PV domain only if it was built with shadow paging."""
    return has_paging(xen, domain) and (is_hvm(xen, domain) or bool(capabilities(xen) & PhysCap.shadow))


def has_state(xen: Hypervisor, domain: Domain, *_: object) -> bool:
    """Whether Xen could save its state, a moment ago."""
    return can_be_saved(xen, info_recent(xen, domain))


def can_be_saved(xen: Hypervisor, info: DomainInfo) -> bool:
    """Whether Xen can save its state: another HVM or PVH domain, with vCPUs, that is not being taken apart."""
    if info.domain == own_domid(xen):
        return False
    return bool(info.flags & DomInf.hvm_guest) and not info.dying and info.has_vcpus
