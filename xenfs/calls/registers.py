"""The registers of a vCPU; domctl getvcpucontext and setvcpucontext."""

from __future__ import annotations

import errno
from typing import Any

from xenfs.abi.numbers import Domctl
from xenfs.abi.operations import operation
from xenfs.calls.control import domctl
from xenfs.errors import answered_by
from xenfs.hypervisor.base import Hypervisor

GETVCPUCONTEXT = operation(Domctl.getvcpucontext)
SETVCPUCONTEXT = operation(Domctl.setvcpucontext)
_STRUCT = "struct vcpu_guest_context"


def context(xen: Hypervisor, domid: int, vcpu: int) -> Any:
    """struct vcpu_guest_context; Xen pauses the vCPU meanwhile. domctl getvcpucontext.

    EINVAL for a vCPU that does not exist or makes the call, ENODATA for one that was never started.
    """
    with xen.pool.take(xen.abi.sizeof(_STRUCT)) as buf:
        domctl(xen, GETVCPUCONTEXT, domid, "vcpucontext", vcpu=vcpu, ctxt=(buf, xen.abi.sizeof(_STRUCT)))
        return xen.abi.copy(xen.abi.view(_STRUCT, buf))


def context_or_none(xen: Hypervisor, domid: int, vcpu: int) -> Any:
    """The same; None for a vCPU that was never started."""
    with answered_by(errno.ENODATA):
        return context(xen, domid, vcpu)
    return None


def context_size(xen: Hypervisor) -> int:
    """Bytes of struct vcpu_guest_context."""
    return xen.abi.sizeof(_STRUCT)


def empty(xen: Hypervisor) -> Any:
    """A struct vcpu_guest_context of zeros."""
    return xen.abi.ffi.new(f"{_STRUCT} *")


def set_context(xen: Hypervisor, domid: int, vcpu: int, data: bytes) -> None:
    """Give a vCPU registers, by which one that was never started becomes one that can run. domctl setvcpucontext.

    EINVAL for a vCPU that does not exist or makes the call, and for what no vCPU can have; EOPNOTSUPP where a PV vCPU
    that was started would get other page tables, another GDT or LDT.
    """
    with xen.pool.take(len(data)) as buf:
        buf.fill(data)
        domctl(xen, SETVCPUCONTEXT, domid, "vcpucontext", vcpu=vcpu, ctxt=(buf, xen.abi.sizeof(_STRUCT)))
