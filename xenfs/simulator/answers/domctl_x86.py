"""Domctls that only x86 has: the time stamp counter, and the older way to ask for the paging pool."""

from __future__ import annotations

from errno import EINVAL

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import Domain

MIB = 1 << 20


def gettscinfo(xen: Machine, domain: Domain, op: memoryview) -> int:
    """As the host's, since the domain began; never the caller's own."""
    if domain.domid == 0:
        return -EINVAL
    mode, khz, incarnation, began = domain.kept.get("tsc", (0, xen.world.host.cpu_khz, 0, 0))
    elapsed = xen.world.clock.now() - began
    xen.put(op, "xen_domctl_tsc_info", tsc_mode=mode, gtsc_khz=khz, incarnation=incarnation, elapsed_nsec=elapsed)
    return 0


def settscinfo(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Another mode, frequency and count; one move more than was said."""
    mode, khz, incarnation, elapsed = xen.get(
        op, "xen_domctl_tsc_info", "tsc_mode", "gtsc_khz", "incarnation", "elapsed_nsec"
    )
    if domain.domid == 0 or mode > 2:
        return -EINVAL
    began = xen.world.clock.now() - elapsed
    domain.kept["tsc"] = mode, khz or xen.world.host.cpu_khz, incarnation + 1, began
    return 0


OPERATIONS: Answers = {
    "XEN_DOMCTL_gettscinfo": gettscinfo,
    "XEN_DOMCTL_settscinfo": settscinfo,
}
