"""The domctl with a domain's parameters for the scheduler of its cpupool."""

from __future__ import annotations

from collections.abc import Callable
from errno import EINVAL
from functools import cache
from struct import Struct

from xenfs.simulator.layouts import Layouts
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.cpupools import CREDIT, CREDIT2, RTDS
from xenfs.simulator.world.domains import RTDS_BUDGET_US, RTDS_PERIOD_US, Domain
from xenfs.simulator.world.refused import Refused

STRUCT = "xen_domctl_scheduler_op"
KEEP = 0xFFFF  # a cap that credit leaves as it is; a weight of 0 likewise
SHORTEST_US = 10


def scheduler_op(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Read or set them; EINVAL when the domain's pool has another scheduler."""
    scheduler, cmd = xen.get(op, STRUCT, "sched_id", "cmd")
    function = _functions(xen.layouts).get((scheduler, cmd))
    if scheduler != domain.pool.scheduler or function is None:
        return -EINVAL
    function(xen, domain, op)
    return 0


@cache
def _functions(layouts: Layouts) -> dict[tuple[int, int], Callable[[Machine, Domain, memoryview], None]]:
    return {
        (scheduler, layouts.constant(f"XEN_DOMCTL_SCHEDOP_{name}")): function
        for scheduler, functions in _SCHEDULERS.items()
        for name, function in functions.items()
    }


def _body(xen: Machine, op: memoryview) -> memoryview:
    return op[xen.layouts.offset(STRUCT, "u") :]


def _get_weight(xen: Machine, domain: Domain, op: memoryview) -> None:
    form, at = _weight_and_cap(xen.layouts)
    form.pack_into(op, at, domain.weight, domain.cap)


@cache
def _weight_and_cap(layouts: Layouts) -> tuple[Struct, int]:
    """How they are packed, and where in the domctl's part: thousands of domains are asked about at once."""
    form, at = layouts.format("xen_domctl_sched_credit2", "weight", "cap")
    return form, layouts.offset(STRUCT, "u") + at


def _put_credit(xen: Machine, domain: Domain, op: memoryview) -> None:
    weight, cap = xen.get(_body(xen, op), "xen_domctl_sched_credit", "weight", "cap")
    domain.weight = weight or domain.weight
    domain.cap = domain.cap if cap == KEEP else cap


def _put_credit2(xen: Machine, domain: Domain, op: memoryview) -> None:
    weight, cap = xen.get(_body(xen, op), "xen_domctl_sched_credit2", "weight", "cap")
    domain.weight = weight or domain.weight
    if cap > 100 * len(domain.existing()):
        raise Refused(EINVAL)
    domain.cap = cap


def _get_rtds(xen: Machine, domain: Domain, op: memoryview) -> None:
    """The defaults, whatever the vCPUs have."""
    xen.put(_body(xen, op), "xen_domctl_sched_rtds", period=RTDS_PERIOD_US, budget=RTDS_BUDGET_US)


def _put_rtds(xen: Machine, domain: Domain, op: memoryview) -> None:
    period, budget = xen.get(_body(xen, op), "xen_domctl_sched_rtds", "period", "budget")
    if not SHORTEST_US <= budget <= period:
        raise Refused(EINVAL)
    for vcpu in domain.existing():
        vcpu.period_us, vcpu.budget_us = period, budget


def _each_vcpu(xen: Machine, domain: Domain, op: memoryview, put: bool) -> None:
    struct = "xen_domctl_schedparam_vcpu"
    address, count = xen.get(op, STRUCT, "u.v.vcpus", "u.v.nr_vcpus")
    size = xen.layouts.size(struct)
    for index in range(count):
        entry = xen.at(address + index * size, size)
        vcpu = domain.vcpu(*xen.get(entry, struct, "vcpuid"))
        if vcpu is None:
            raise Refused(EINVAL)
        extra = xen.constant("XEN_DOMCTL_SCHEDRT_extra")
        period, budget, flags = xen.get(entry, "xen_domctl_sched_rtds", "period", "budget", "flags")
        if not put:
            flags = flags | extra if vcpu.extratime else flags & ~extra
            xen.put(entry, "xen_domctl_sched_rtds", period=vcpu.period_us, budget=vcpu.budget_us, flags=flags)
        elif not SHORTEST_US <= budget <= period:
            raise Refused(EINVAL)
        else:
            vcpu.period_us, vcpu.budget_us, vcpu.extratime = period, budget, bool(flags & extra)


def _get_vcpus(xen: Machine, domain: Domain, op: memoryview) -> None:
    _each_vcpu(xen, domain, op, False)


def _put_vcpus(xen: Machine, domain: Domain, op: memoryview) -> None:
    _each_vcpu(xen, domain, op, True)


_SCHEDULERS = {
    CREDIT: {"getinfo": _get_weight, "putinfo": _put_credit},
    CREDIT2: {"getinfo": _get_weight, "putinfo": _put_credit2},
    RTDS: {"getinfo": _get_rtds, "putinfo": _put_rtds, "getvcpuinfo": _get_vcpus, "putvcpuinfo": _put_vcpus},
}
OPERATIONS: Answers = {"XEN_DOMCTL_scheduler_op": scheduler_op}
