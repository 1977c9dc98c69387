"""What Xen tells a listener about a guest (domctl monitor_op), and what a debugger of a guest sets (domctl debug_op and
its kin). EPERM and EINVAL for one's own domain."""

from __future__ import annotations

from typing import Any

from xenfs.abi.numbers import DebugOp, Domctl, MonitorEvent, MonitorOp
from xenfs.abi.operations import Operation, operation
from xenfs.calls.control import domctl
from xenfs.hypervisor.base import Hypervisor

GET_CAPABILITIES = operation(Domctl.monitor_op, "GET_CAPABILITIES")
EMULATE_EACH_REP = operation(Domctl.monitor_op, "EMULATE_EACH_REP")
CONTROL_REGISTERS = operation(Domctl.monitor_op, "CONTROL_REGISTERS")
ENABLE = {event: operation(Domctl.monitor_op, "ENABLE").part(event.name) for event in MonitorEvent}
DISABLE = {event: operation(Domctl.monitor_op, "DISABLE").part(event.name) for event in MonitorEvent}
SET_ACCESS_REQUIRED = operation(Domctl.set_access_required)
SETDEBUGGING = operation(Domctl.setdebugging)
DOMSTATUS = operation(Domctl.gdbsx_domstatus)
PAUSEVCPU = operation(Domctl.gdbsx_pausevcpu)
UNPAUSEVCPU = operation(Domctl.gdbsx_unpausevcpu)
SINGLE_STEP = {each: operation(Domctl.debug_op, each.name) for each in DebugOp}


def capabilities(xen: Hypervisor, domid: int) -> int:
    """A bit for each MonitorEvent that there can be of a domain, 0 for PV; monitor_op GET_CAPABILITIES.

    ENOSYS, EOPNOTSUPP where Xen was built without.
    """
    return int(_monitor(xen, GET_CAPABILITIES, domid, MonitorOp.GET_CAPABILITIES).event)


def enable(xen: Hypervisor, domid: int, event: MonitorEvent, **arguments: Any) -> None:
    """Tell of it from now on; EEXIST where it is told of already, EOPNOTSUPP where it cannot be.

    ENXIO of an MSR while nobody listens. monitor_op ENABLE.
    """
    _monitor(xen, ENABLE[event], domid, MonitorOp.ENABLE, event=event, u=arguments)


def disable(xen: Hypervisor, domid: int, event: MonitorEvent, **arguments: Any) -> None:
    """Tell of it no more; EEXIST where it is not told of. monitor_op DISABLE."""
    _monitor(xen, DISABLE[event], domid, MonitorOp.DISABLE, event=event, u=arguments)


def emulate_each_rep(xen: Hypervisor, domid: int, wanted: bool) -> None:
    """Whether every round of a rep instruction is told of; EINVAL while nobody listens. monitor_op EMULATE_EACH_REP."""
    _monitor(xen, EMULATE_EACH_REP, domid, MonitorOp.EMULATE_EACH_REP, event=wanted)


def control_registers(xen: Hypervisor, domid: int) -> None:
    """Let a listener set the guest's control registers, for as long as it lives; monitor_op CONTROL_REGISTERS."""
    _monitor(xen, CONTROL_REGISTERS, domid, MonitorOp.CONTROL_REGISTERS)


def _monitor(xen: Hypervisor, op: Operation, domid: int, what: MonitorOp, **given: Any) -> Any:
    return domctl(xen, op, domid, "monitor_op", op=what, **given)


def set_access_required(xen: Hypervisor, domid: int, wanted: bool) -> None:
    """Whether a vCPU that touches what it may not waits for a listener, or goes on without one; set_access_required."""
    domctl(xen, SET_ACCESS_REQUIRED, domid, "access_required", access_required=wanted)


def attach(xen: Hypervisor, domid: int, wanted: bool) -> None:
    """Whether a breakpoint or a trap of the guest's pauses it for a debugger; domctl setdebugging."""
    domctl(xen, SETDEBUGGING, domid, "setdebugging", enable=wanted)


def debug_status(xen: Hypervisor, domid: int) -> Any:
    """struct xen_domctl_gdbsx_domstatus: paused, vcpu_id that an event paused (2**32 - 1 for none), vcpu_ev.

    Xen forgets the event that it tells. gdbsx_domstatus (x86).
    """
    return domctl(xen, DOMSTATUS, domid, "gdbsx_domstatus")


def pause_vcpu(xen: Hypervisor, domid: int, vcpu: int) -> None:
    """Stop one vCPU; Xen counts. EBUSY while the domain is not paused, EINVAL without the vCPU. gdbsx_pausevcpu."""
    domctl(xen, PAUSEVCPU, domid, "gdbsx_pauseunp_vcpu", vcpu=vcpu)


def unpause_vcpu(xen: Hypervisor, domid: int, vcpu: int) -> None:
    """Take one such pause back; EINVAL where there is none. gdbsx_unpausevcpu."""
    domctl(xen, UNPAUSEVCPU, domid, "gdbsx_pauseunp_vcpu", vcpu=vcpu)


def single_step(xen: Hypervisor, domid: int, vcpu: int, wanted: bool) -> None:
    """Whether a vCPU of an HVM domain stops after each instruction; EOPNOTSUPP on CPUs other than Intel's. debug_op."""
    what = DebugOp.SINGLE_STEP_ON if wanted else DebugOp.SINGLE_STEP_OFF
    domctl(xen, SINGLE_STEP[what], domid, "debug_op", op=what, vcpu=vcpu)
