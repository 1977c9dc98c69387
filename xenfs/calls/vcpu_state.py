"""More of a vCPU's state than its registers: xsave area, MSRs, what a PV kernel said of system calls (domctl, x86)."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any, NamedTuple

from xenfs.abi.numbers import Domctl
from xenfs.abi.operations import operation
from xenfs.calls.control import domctl, fill
from xenfs.calls.rows import Rows
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor

GETVCPUEXTSTATE = operation(Domctl.getvcpuextstate)
GET_VCPU_MSRS = operation(Domctl.get_vcpu_msrs)
SET_VCPU_MSRS = operation(Domctl.set_vcpu_msrs)
GET_EXT_VCPUCONTEXT = operation(Domctl.get_ext_vcpucontext)

_MSR = "struct xen_domctl_vcpu_msr"


class Msr(NamedTuple):
    """A model specific register, and its value."""

    number: int
    value: int


class MsrRefused(HypercallError):
    """Xen refused one of several MSRs, up to 4.18 with EINVAL as for all else: ENXIO. Those before it were set."""

    def __init__(self, problem: HypercallError, msr: Msr) -> None:
        super().__init__(problem.operation, errno.ENXIO, f"MSR {msr.number:#x}")
        self.msr = msr


def xsave(xen: Hypervisor, domid: int, vcpu: int) -> bytes:
    """XCR0, all that was ever in it, and the xsave area uncompressed; the vCPU is paused meanwhile. getvcpuextstate.

    ESRCH for a vCPU that does not exist, EINVAL for the one that makes the call.
    """
    size = domctl(xen, GETVCPUEXTSTATE, domid, "vcpuextstate", vcpu=vcpu)
    with xen.pool.take(size.size) as area:
        asked = {"vcpu": vcpu, "size": size.size, "xfeature_mask": size.xfeature_mask, "buffer": area}
        filled = domctl(xen, GETVCPUEXTSTATE, domid, "vcpuextstate", **asked).size
        return bytes(area.memory[:filled])


def msrs(xen: Hypervisor, domid: int, vcpu: int) -> list[Msr]:
    """The MSRs of a PV vCPU that are not 0; EINVAL for one of an HVM domain. get_vcpu_msrs."""
    room = domctl(xen, GET_VCPU_MSRS, domid, "vcpu_msrs", vcpu=vcpu).msr_count
    rows = Rows(xen.abi, _MSR, ("index", "value"))
    with xen.pool.take(max(1, room) * rows.stride) as array:
        found = domctl(xen, GET_VCPU_MSRS, domid, "vcpu_msrs", vcpu=vcpu, msr_count=room, msrs=array).msr_count
        return [Msr(*row) for row in rows(bytes(array), found)]


def set_msrs(xen: Hypervisor, domid: int, vcpu: int, wanted: Sequence[Msr]) -> None:
    """Set MSRs of a PV vCPU, in turn; set_vcpu_msrs.

    ENXIO, as MsrRefused, for one that is not of a vCPU's own, or cannot be so; EINVAL for too many, or of HVM.
    """
    with xen.pool.take(xen.abi.sizeof(_MSR) * len(wanted)) as array:
        for place, msr in zip(xen.abi.array(_MSR, len(wanted), array), wanted, strict=True):
            place.index, place.value = msr
        with xen.pool.take(xen.abi.sizeof("struct xen_domctl")) as buf:
            view = xen.abi.view("struct xen_domctl", buf)
            view.cmd, view.interface_version, view.domain = SET_VCPU_MSRS.cmd, xen.abi.domctl, domid
            body = view.u.vcpu_msrs
            fill(xen.abi, buf, body, {"vcpu": vcpu, "msr_count": len(wanted), "msrs": array})
            try:
                xen.hypercall(SET_VCPU_MSRS, buf, domid=domid)
            except HypercallError as problem:
                if body.msr_count < len(wanted):  # the index of the one at fault: not every errno tells that
                    raise MsrRefused(problem, wanted[body.msr_count]) from None
                raise


def ext_context(xen: Hypervisor, domid: int, vcpu: int) -> Any:
    """struct xen_domctl_ext_vcpucontext: system call entries of a PV vCPU, its machine checks. get_ext_vcpucontext.

    ESRCH for a vCPU that does not exist, or makes the call.
    """
    return domctl(xen, GET_EXT_VCPUCONTEXT, domid, "ext_vcpucontext", vcpu=vcpu)
