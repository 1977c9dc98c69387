"""Scheduler parameters of domains: what each scheduler knows, read and written as one struct."""

from __future__ import annotations

import errno
from typing import Any

from xenfs.abi.numbers import Domctl, DomctlSched, SchedId
from xenfs.abi.operations import operation
from xenfs.calls.control import domctl
from xenfs.errors import answered_by
from xenfs.hypervisor.base import Hypervisor

SCHEDULER_OP = operation(Domctl.scheduler_op, "getinfo").as_whole()
SET_PARAMETERS = operation(Domctl.scheduler_op, "putinfo").as_whole()

# scheduler: (member of the union, its parameters)
PARAMETERS: dict[int, tuple[str, tuple[str, ...]]] = {
    SchedId.CREDIT: ("credit", ("weight", "cap")),
    SchedId.CREDIT2: ("credit2", ("weight", "cap")),
    SchedId.RTDS: ("rtds", ("period", "budget")),
}


def parameters(xen: Hypervisor, domid: int, sched_id: int) -> Any:
    """What scheduler `sched_id` holds for a domain: weight and cap, or period and budget in us; scheduler_op.

    Of rtds those of vCPU 0, which a set gives all vCPUs: asked for the domain's, Xen answers with its defaults.
    """
    if sched_id == SchedId.RTDS:
        with answered_by(errno.EINVAL):  # a domain without vCPUs
            return vcpu_parameters(xen, domid, 0)
    arm, _ = PARAMETERS[sched_id]
    found = domctl(xen, SCHEDULER_OP, domid, "scheduler_op", sched_id=sched_id, cmd=DomctlSched.getinfo)
    return xen.abi.copy(getattr(found.u, arm))


def set_parameters(xen: Hypervisor, domid: int, sched_id: int, **values: int) -> None:
    """Set some of them; the others keep their values. EINVAL for what the scheduler does not take; scheduler_op."""
    arm, names = PARAMETERS[sched_id]
    now = parameters(xen, domid, sched_id)
    full = {name: values.get(name, getattr(now, name)) for name in names}
    domctl(
        xen, SET_PARAMETERS, domid, "scheduler_op",
        sched_id=sched_id, cmd=DomctlSched.putinfo, u={arm: full},
    )  # fmt: skip


def vcpu_parameters(xen: Hypervisor, domid: int, vcpu: int) -> Any:
    """What RTDS holds for one vCPU: period and budget in us, flags; scheduler_op getvcpuinfo."""
    return _vcpu_op(xen, domid, vcpu, DomctlSched.getvcpuinfo)


def set_vcpu_parameters(xen: Hypervisor, domid: int, vcpu: int, **values: int) -> None:
    """Set all three; EINVAL for a budget beyond its period, or a time of less than 10 us. putvcpuinfo."""
    _vcpu_op(xen, domid, vcpu, DomctlSched.putvcpuinfo, **values)


def _vcpu_op(xen: Hypervisor, domid: int, vcpu: int, cmd: DomctlSched, **values: int) -> Any:
    with xen.pool.take(xen.abi.sizeof("struct xen_domctl_schedparam_vcpu")) as buf:
        view = xen.abi.view("struct xen_domctl_schedparam_vcpu", buf)
        view.vcpuid = vcpu
        for name, value in values.items():
            setattr(view.u.rtds, name, value)
        domctl(
            xen, SCHEDULER_OP if cmd == DomctlSched.getvcpuinfo else SET_PARAMETERS, domid, "scheduler_op",
            sched_id=SchedId.RTDS, cmd=cmd, u={"v": {"vcpus": (buf, buf.nbytes), "nr_vcpus": 1}},
        )  # fmt: skip
        return xen.abi.copy(view.u.rtds)
