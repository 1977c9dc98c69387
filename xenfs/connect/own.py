"""The domain that xenfs itself runs in."""

from __future__ import annotations

from xenfs.connect import sanity
from xenfs.errors import XenfsError
from xenfs.hypervisor.base import Hypervisor


def own_domid(xen: Hypervisor) -> int:
    """The id of the domain that xenfs runs in, from xenstore; 0, the usual control domain, where it does not say."""
    known = xen.own_domid
    if known is None:
        try:
            raw = xen.store.read("domid") if xen.store is not None else None
        except XenfsError:
            return _own_by_uuid(xen)  # xenstore is away for now: it is asked again the next time
        known = xen.own_domid = int(raw) if raw and raw.isdigit() else 0
    return known


def _own_by_uuid(xen: Hypervisor) -> int:
    """The id of the domain with the UUID that Xen says the caller has; 0 where there is none."""
    own = sanity.own(xen)
    return int(own.domain) if own is not None else 0
