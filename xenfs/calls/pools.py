"""What changes cpupools: sysctl cpupool_op, and the parameters of their schedulers."""

from __future__ import annotations

import errno
from typing import Any

from xenfs.abi.numbers import CpupoolOp, SchedId, Sysctl, SysctlSched
from xenfs.abi.operations import operation
from xenfs.calls.again import again
from xenfs.calls.control import sysctl
from xenfs.calls.sysctl import Cpupool
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor

CHANGE = operation(Sysctl.cpupool_op)
SET_PARAMETERS = operation(Sysctl.scheduler_op, "putinfo").as_whole()


def _change(xen: Hypervisor, action: CpupoolOp, *codes: int, **given: int) -> None:
    again(lambda: sysctl(xen, CHANGE, "cpupool_op", op=action, **given), (errno.EAGAIN, *codes))


def create(xen: Hypervisor, pool: int, sched_id: int) -> None:
    """A new pool with this id, without CPUs; EEXIST, ENOENT for a scheduler that Xen lacks. cpupool_op CREATE."""
    _change(xen, CpupoolOp.CREATE, cpupool_id=pool, sched_id=sched_id)


def destroy(xen: Hypervisor, pool: int) -> None:
    """Remove a pool; EBUSY while it has domains or CPUs. cpupool_op DESTROY."""
    _change(xen, CpupoolOp.DESTROY, cpupool_id=pool)


def add_cpu(xen: Hypervisor, pool: int, cpu: int) -> None:
    """Give a free CPU to a pool; ENODEV where it is not free or offline. cpupool_op ADDCPU."""
    _change(xen, CpupoolOp.ADDCPU, cpupool_id=pool, cpu=cpu)


def remove_cpu(xen: Hypervisor, pool: int, cpu: int) -> None:
    """Take a CPU from a pool; EBUSY for the last one of a pool with domains. cpupool_op RMCPU.

    Xen says EAGAIN while a vCPU that runs on the CPU cannot be moved, EADDRINUSE while one is pinned there for a
    moment: it is asked again, for some seconds. After EAGAIN the CPU is in no pool, yet not free: `settle` ends that.
    """
    _change(xen, CpupoolOp.RMCPU, errno.EADDRINUSE, cpupool_id=pool, cpu=cpu)


def settle(xen: Hypervisor, cpu: int) -> None:
    """End a removal of a free CPU that somebody left half done, if there is one; EAGAIN where that is not possible yet.

    Xen tells nobody that a CPU is moving. One that is must neither be added to a pool nor taken offline: with credit
    that ends the host, seen on a real 4.20. Asked to remove a CPU that is free, it goes on with the removal, or says
    EADDRNOTAVAIL. cpupool_op RMCPU.
    """
    try:
        remove_cpu(xen, 0, cpu)
    except HypercallError as problem:
        if problem.errno not in (errno.EADDRNOTAVAIL, errno.EINVAL):
            raise


def move_domain(xen: Hypervisor, domid: int, pool: int) -> None:
    """Move a domain to another pool; EPERM for one's own, ENOENT for a pool without CPUs. cpupool_op MOVEDOMAIN."""
    _change(xen, CpupoolOp.MOVEDOMAIN, cpupool_id=pool, domid=domid)


def set_parameters(xen: Hypervisor, pool: Cpupool, now: Any, **values: int) -> None:
    """Set some of a pool's scheduler parameters, the others keep what `now` (pool_parameters) has.

    EINVAL out of range. scheduler_op putinfo.
    """
    arm = "sched_credit2" if pool.sched_id == SchedId.CREDIT2 else "sched_credit"
    full: dict[str, Any] = {name: int(getattr(now, name)) for name, _ in xen.abi.ffi.typeof(now).item.fields} | values
    sysctl(
        xen, SET_PARAMETERS, "scheduler_op",
        cpupool_id=pool.id, sched_id=pool.sched_id, cmd=SysctlSched.putinfo, u={arm: full},
    )  # fmt: skip
