"""Domctls that only x86 has: the time stamp counter, and the older way to ask for the paging pool."""

from __future__ import annotations

from errno import EINVAL

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import ALIVE, Domain

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


def shadow_op(xen: Machine, domain: Domain, op: memoryview) -> int:
    """The paging pool in MiB, rounded up; of the other operations only the one that ends logging."""
    if domain.domid == 0:
        return -EINVAL
    wanted, mib = xen.get(op, "xen_domctl_shadow_op", "op", "mb")
    off, get, put = (
        xen.constant(f"XEN_DOMCTL_SHADOW_OP_{name}") for name in ("OFF", "GET_ALLOCATION", "SET_ALLOCATION")
    )
    if domain.dying != ALIVE or wanted == off:
        return 0
    if wanted not in (get, put):
        return -EINVAL
    if wanted == put and domain.hvm:
        domain.mempool_bytes = mib * MIB
    xen.put(op, "xen_domctl_shadow_op", mb=-(-domain.mempool_bytes // MIB))
    return 0


OPERATIONS: Answers = {
    "XEN_DOMCTL_gettscinfo": gettscinfo,
    "XEN_DOMCTL_settscinfo": settscinfo,
    "XEN_DOMCTL_shadow_op": shadow_op,
}
