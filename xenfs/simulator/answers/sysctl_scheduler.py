"""The sysctl with the parameters of a cpupool's scheduler."""

from __future__ import annotations

from errno import EINVAL, ESRCH

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.cpupools import CREDIT, CREDIT2, Cpupool
from xenfs.simulator.world.refused import Refused

STRUCT = "xen_sysctl_scheduler_op"


def scheduler_op(xen: Machine, op: memoryview) -> int:
    """Read or set them; EINVAL when the pool has another scheduler, or one without parameters."""
    number, scheduler, cmd = xen.get(op, STRUCT, "cpupool_id", "sched_id", "cmd")
    put, get = xen.layouts.constants("XEN_SYSCTL_SCHEDOP_putinfo", "XEN_SYSCTL_SCHEDOP_getinfo")
    if cmd not in (put, get):
        return -EINVAL
    pool = xen.world.pools.get(number, ESRCH)
    if pool.scheduler != scheduler or scheduler not in _SCHEDULERS:
        return -EINVAL
    _SCHEDULERS[scheduler](xen, op[xen.layouts.offset(STRUCT, "u") :], pool, cmd == put)
    return 0


def _credit(xen: Machine, body: memoryview, pool: Cpupool, put: bool) -> None:
    struct = "xen_sysctl_credit_schedule"
    if put:
        tslice, ratelimit, delay = xen.get(body, struct, "tslice_ms", "ratelimit_us", "vcpu_migr_delay_us")
        shortest, longest = xen.layouts.constants("XEN_SYSCTL_CSCHED_TSLICE_MIN", "XEN_SYSCTL_CSCHED_TSLICE_MAX")
        in_range = shortest <= tslice <= longest and ratelimit <= tslice * 1000
        if not in_range or delay > xen.constant("XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US"):
            raise Refused(EINVAL)
        _set_ratelimit(xen, pool, ratelimit)
        pool.tslice_ms, pool.migration_delay_us = tslice, delay
    xen.put(
        body, struct,
        tslice_ms=pool.tslice_ms, ratelimit_us=pool.ratelimit_us, vcpu_migr_delay_us=pool.migration_delay_us,
    )  # fmt: skip


def _credit2(xen: Machine, body: memoryview, pool: Cpupool, put: bool) -> None:
    struct = "xen_sysctl_credit2_schedule"
    if put:
        _set_ratelimit(xen, pool, *xen.get(body, struct, "ratelimit_us"))
    xen.put(body, struct, ratelimit_us=pool.ratelimit_us)


def _set_ratelimit(xen: Machine, pool: Cpupool, ratelimit: int) -> None:
    low, high = xen.layouts.constants("XEN_SYSCTL_SCHED_RATELIMIT_MIN", "XEN_SYSCTL_SCHED_RATELIMIT_MAX")
    if ratelimit and not low <= ratelimit <= high:
        raise Refused(EINVAL)
    if bool(ratelimit) != bool(pool.ratelimit_us):
        xen.world.console.print(f"{'Enabling' if ratelimit else 'Disabling'} context switch rate limiting")
    pool.ratelimit_us = ratelimit


_SCHEDULERS = {CREDIT: _credit, CREDIT2: _credit2}
OPERATIONS: Answers = {"XEN_SYSCTL_scheduler_op": scheduler_op}
