"""The domain that xenfs itself runs in."""

from __future__ import annotations

from xenfs.abi.numbers import Domid
from xenfs.connect import sanity
from xenfs.errors import XenfsError
from xenfs.hypervisor.base import Hypervisor

_DIGITS = 5


def own_domid(xen: Hypervisor) -> int:
    """The id of the domain that xenfs runs in; 0, the usual control domain, where nobody says. No call after the first:
    it is learned as the hypervisor is opened, before anybody can be held up by it."""
    if xen.own_domid is None:
        xen.own_domid = _learned(xen)
    return xen.own_domid


def _learned(xen: Hypervisor) -> int:
    """From xenstore; from Xen, by UUID, where xenstore does not answer, or answers nonsense."""
    try:
        raw = xen.store.read("domid") if xen.store is not None else None
    except (XenfsError, OSError):
        return _own_by_uuid(xen)
    if raw is None:
        return 0
    return int(raw) if raw.isdigit() and len(raw) <= _DIGITS and int(raw) < Domid.FIRST_RESERVED else _own_by_uuid(xen)


def _own_by_uuid(xen: Hypervisor) -> int:
    """The id of the domain with the UUID that Xen says the caller has; 0 where there is none."""
    own = sanity.own(xen)
    return int(own.domain) if own is not None else 0
