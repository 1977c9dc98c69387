"""Domctls on vCPUs: what they do, and where they may run."""

from __future__ import annotations

from errno import EINVAL, ENOENT, ESRCH
from functools import cache
from struct import Struct

from xenfs.simulator.layouts import Layouts
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import Domain, Vcpu

AFFINITY = "xen_domctl_vcpuaffinity"


def getvcpuinfo(xen: Machine, domain: Domain, op: memoryview) -> int:
    """One vCPU. A missing one is EINVAL beyond the last and ESRCH in a gap, and ENOENT since 4.22."""
    form, asked = _vcpuinfo(xen.layouts)
    number = asked.unpack_from(op)[0]
    vcpus = domain.vcpus  # and no calls for what is one step: a scrape asks about tens of thousands
    vcpu = vcpus[number] if number < len(vcpus) else None
    if vcpu is None:
        if xen.release >= (4, 22):
            return -ENOENT
        return -ESRCH if number < domain.max_vcpus else -EINVAL
    world = xen.world
    ticks = world.clock.ticks()
    running = number in world.placement.running(ticks).get(domain.domid, ())
    form.pack_into(
        op,
        0,
        number,
        vcpu.online,
        vcpu.online and not running and vcpu.waiting and domain.waiting,
        running,
        vcpu.used_ns + vcpu.rate * (ticks - domain.since),
        vcpu.cpu.id if vcpu.cpu else 0,
    )
    return 0


@cache
def _vcpuinfo(layouts: Layouts) -> tuple[Struct, Struct]:
    """How the answer is packed, and how the vCPU is that it is about: its first member."""
    struct = "xen_domctl_getvcpuinfo"
    answer = layouts.array(struct, "vcpu", "online", "blocked", "running", "cpu_time", "cpu")
    return answer, layouts.format(struct, "vcpu")[0]


def getvcpuaffinity(xen: Machine, domain: Domain, op: memoryview) -> int:
    """The CPUs where a vCPU may run (hard), and those where it would rather run (soft)."""
    vcpu, code, hard, soft = _asked(xen, domain, op)
    if vcpu is None:
        return -code
    nr_cpus = xen.world.host.nr_cpus
    if hard:
        xen.write_bitmap(op, AFFINITY, "cpumap_hard", vcpu.hard, nr_cpus)
    if soft:
        xen.write_bitmap(op, AFFINITY, "cpumap_soft", vcpu.soft, nr_cpus)
    return 0


def setvcpuaffinity(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Set either or both, and answer with what will be in effect. EINVAL where no CPU of the pool is left."""
    vcpu, code, hard, soft = _asked(xen, domain, op)
    if vcpu is None:
        return -code
    nr_cpus, before, pool = xen.world.host.nr_cpus, vcpu.hard, domain.pool.cpus
    if hard:
        wanted = xen.read_bitmap(op, AFFINITY, "cpumap_hard", nr_cpus)
        if not wanted & pool:
            return -EINVAL
        vcpu.hard = wanted
        xen.write_bitmap(op, AFFINITY, "cpumap_hard", wanted & pool, nr_cpus)
    if soft:
        try:
            vcpu.soft = xen.read_bitmap(op, AFFINITY, "cpumap_soft", nr_cpus)
        except Exception:
            vcpu.hard = before
            raise
        xen.write_bitmap(op, AFFINITY, "cpumap_soft", vcpu.soft & pool & vcpu.hard, nr_cpus)
    xen.world.placement.again(domain, xen.world.clock.ticks())
    return 0


def _asked(xen: Machine, domain: Domain, op: memoryview) -> tuple[Vcpu | None, int, bool, bool]:
    """(the vCPU, or None and an errno, whether hard and whether soft affinity is meant)."""
    number, flags = xen.get(op, AFFINITY, "vcpu", "flags")
    hard, soft = (bool(flags & xen.constant(f"XEN_VCPUAFFINITY_{name}")) for name in ("HARD", "SOFT"))
    if number >= domain.max_vcpus:
        return None, EINVAL, hard, soft
    vcpu = domain.vcpu(number)
    if vcpu is None:
        return None, ESRCH, hard, soft
    null_hard = hard and xen.bitmap_is_null(op, AFFINITY, "cpumap_hard")
    null_soft = soft and xen.bitmap_is_null(op, AFFINITY, "cpumap_soft")
    if not flags or null_hard or null_soft:
        return None, EINVAL, hard, soft
    return vcpu, 0, hard, soft


OPERATIONS: Answers = {
    "XEN_DOMCTL_getvcpuinfo": getvcpuinfo,
    "XEN_DOMCTL_getvcpuaffinity": getvcpuaffinity,
    "XEN_DOMCTL_setvcpuaffinity": setvcpuaffinity,
}
