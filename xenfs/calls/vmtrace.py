"""Traces of a vCPU that its processor writes (Intel's Processor Trace); domctl vmtrace_op (x86, Xen 4.15).

The buffer that they lie in is a resource, by the number of the vCPU.
"""

from __future__ import annotations

from xenfs.abi.numbers import Domctl, Resource, VmtraceOp
from xenfs.abi.operations import operation
from xenfs.calls.control import domctl
from xenfs.calls.resources import nr_frames, pages
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.foreign import PAGE

OPERATIONS = {each: operation(Domctl.vmtrace_op, each.name) for each in VmtraceOp}


def control(xen: Hypervisor, domid: int, vcpu: int, what: VmtraceOp) -> None:
    """enable, disable or reset_and_enable; vmtrace_op.

    EINVAL for a domain that was made without a buffer (vmtrace_buf_kb of xl.cfg), ENOENT without the vCPU, EOPNOTSUPP.
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


def nbytes(xen: Hypervisor, domid: int, vcpu: int) -> int:
    """How many bytes its buffer has; EINVAL for a domain that was made without. acquire_resource."""
    return nr_frames(xen, domid, Resource.vmtrace_buf, vcpu) * PAGE


def part(xen: Hypervisor, domid: int, vcpu: int, offset: int, size: int) -> bytes:
    """Bytes of its buffer, a few pages mapped at a time."""
    frames = range(offset // PAGE, (offset + size - 1) // PAGE + 1)
    found = b"".join(pages(xen, domid, Resource.vmtrace_buf, vcpu, frames))
    return found[offset % PAGE : offset % PAGE + size]


def _ask(xen: Hypervisor, domid: int, vcpu: int, what: VmtraceOp, **given: int) -> int:
    return int(domctl(xen, OPERATIONS[what], domid, "vmtrace_op", cmd=what, vcpu=vcpu, **given).value)
