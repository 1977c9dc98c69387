"""The sysctl with the parameters of a cpupool's scheduler."""

from __future__ import annotations

from errno import EINVAL, ESRCH

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.cpupools import ARINC653, CREDIT, CREDIT2, Cpupool
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


def _arinc653(xen: Machine, body: memoryview, pool: Cpupool, put: bool) -> None:
    struct = "xen_sysctl_arinc653_schedule"
    members = [f"sched_entries.{name}" for name in ("dom_handle", "vcpu_id", "runtime")]
    (address,) = xen.get(body, "xen_sysctl_sched_arinc653", "schedule")
    memory = xen.struct(address, struct)
    most = xen.constant("ARINC653_MAX_DOMAINS_PER_SCHEDULE")
    stride = xen.layouts.field(struct, "sched_entries")[1] // most
    if put:
        frame, count = xen.get(memory, struct, "major_frame", "num_sched_entries")
        slots = [xen.get(memory[index * stride :], struct, *members) for index in range(min(count, most))]
        times = [runtime for *_, runtime in slots]
        if not 1 <= count <= most or not all(0 < time < 1 << 63 for time in (frame, *times)) or sum(times) > frame:
            raise Refused(EINVAL)
        pool.frame_ns, pool.slots = frame, slots
    else:
        memory[:] = b"\xff" * len(memory)
        for index, slot in enumerate(pool.slots):
            xen.put(memory[index * stride :], struct, **dict(zip(members, slot, strict=True)))
        xen.put(memory, struct, major_frame=pool.frame_ns, num_sched_entries=len(pool.slots))


def _set_ratelimit(xen: Machine, pool: Cpupool, ratelimit: int) -> None:
    low, high = xen.layouts.constants("XEN_SYSCTL_SCHED_RATELIMIT_MIN", "XEN_SYSCTL_SCHED_RATELIMIT_MAX")
    if ratelimit and not low <= ratelimit <= high:
        raise Refused(EINVAL)
    if bool(ratelimit) != bool(pool.ratelimit_us):
        xen.world.console.print(f"{'Enabling' if ratelimit else 'Disabling'} context switch rate limiting")
    pool.ratelimit_us = ratelimit


_SCHEDULERS = {CREDIT: _credit, CREDIT2: _credit2, ARINC653: _arinc653}
OPERATIONS: Answers = {"XEN_SYSCTL_scheduler_op": scheduler_op}
