"""Traces of a vCPU that its processor writes (Intel's Processor Trace); domctl vmtrace_op (x86, Xen 4.15)."""

from __future__ import annotations

from xenfs.abi.numbers import Domctl, VmtraceOp
from xenfs.abi.operations import operation
from xenfs.calls.control import domctl
from xenfs.hypervisor.base import Hypervisor

OPERATIONS = {each: operation(Domctl.vmtrace_op, each.name) for each in VmtraceOp}


def control(xen: Hypervisor, domid: int, vcpu: int, what: VmtraceOp) -> None:
    """enable, disable or reset_and_enable; vmtrace_op.

    EINVAL for a domain that was made without a buffer (vmtrace_kb of xl.cfg), ENOENT without the vCPU, EOPNOTSUPP.
    """
    _ask(xen, domid, vcpu, what)


def position(xen: Hypervisor, domid: int, vcpu: int) -> int:
    """How many bytes of the buffer have been written, since it was last full; output_position. Errnos as above."""
    return _ask(xen, domid, vcpu, VmtraceOp.output_position)


def option(xen: Hypervisor, domid: int, vcpu: int, key: int) -> int:
    """An MSR of the trace, RTIT_CTL and RTIT_STATUS; EINVAL for another. get_option."""
    return _ask(xen, domid, vcpu, VmtraceOp.get_option, key=key)


def set_option(xen: Hypervisor, domid: int, vcpu: int, key: int, value: int) -> None:
    """Set it; EINVAL for what it cannot be. set_option."""
    _ask(xen, domid, vcpu, VmtraceOp.set_option, key=key, value=value)


def _ask(xen: Hypervisor, domid: int, vcpu: int, what: VmtraceOp, **given: int) -> int:
    return int(domctl(xen, OPERATIONS[what], domid, "vmtrace_op", cmd=what, vcpu=vcpu, **given).value)
