"""memory_op's populate-on-demand: how much memory a guest is to have before it has touched all of it."""

from __future__ import annotations

from errno import EINVAL, ESRCH

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import ALIVE, Domain
from xenfs.simulator.world.refused import Refused

STRUCT = "xen_pod_target"
CACHE, ENTRIES = "pod_cache_pages", "pod_entries"


def get_pod_target(xen: Machine, address: int) -> int:
    """What it has, what is kept for it, and what it has not touched."""
    op, domain = _asked(xen, address)
    return _told(xen, op, domain)


def set_pod_target(xen: Machine, address: int) -> int:
    """So much in all: the part that is kept grows, up to what was not touched; without such pages, no effect."""
    op, domain = _asked(xen, address)
    (target,) = xen.get(op, STRUCT, "target_pages")
    if target > domain.max_pages:
        return -EINVAL
    entries, cache = domain.kept.get(ENTRIES, 0), domain.kept.get(CACHE, 0)
    if entries and domain.dying == ALIVE and target >= domain.tot_pages:
        wanted = min(target - (domain.tot_pages - cache), entries)
        xen.world.give_pages(domain, domain.tot_pages - cache + wanted)
        domain.kept[CACHE] = wanted
    return _told(xen, op, domain)


def _asked(xen: Machine, address: int) -> tuple[memoryview, Domain]:
    op = xen.struct(address, STRUCT)
    (domid,) = xen.get(op, STRUCT, "domid")
    domain = xen.world.any_domain(domid)
    if domain is None:
        raise Refused(ESRCH)
    if not domain.hvm:
        raise Refused(EINVAL)
    return op, domain


def _told(xen: Machine, op: memoryview, domain: Domain) -> int:
    kept = {member: domain.kept.get(member, 0) for member in (CACHE, ENTRIES)}
    xen.put(op, STRUCT, tot_pages=domain.tot_pages, **kept)
    return 0


OPERATIONS_X86: Answers = {"XENMEM_get_pod_target": get_pod_target, "XENMEM_set_pod_target": set_pod_target}
