"""HVM and PVH domains: their parameters (hvm_op) and the records of their saved state (domctl)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from xenfs.abi.numbers import Domctl, HvmOp, HvmParam, HvmRecord, Hypercall
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.calls.control import domctl, domctl_op
from xenfs.hypervisor.operation import Operation, operation

GET_PARAM = operation(Hypercall.hvm_op, HvmOp.get_param, repeatable=True)
SET_PARAM = operation(Hypercall.hvm_op, HvmOp.set_param)
GETHVMCONTEXT = domctl_op(Domctl.gethvmcontext, repeatable=True)
GETHVMCONTEXT_PARTIAL = domctl_op(Domctl.gethvmcontext_partial, repeatable=True)

_UNASKED = frozenset({HvmRecord.END, HvmRecord.HEADER})  # Xen does not give these one by one


class Record(NamedTuple):
    """Which record of a saved state: its type code, and the vCPU or the number of the device."""

    type: int
    instance: int


def param(xen: Hypervisor, domid: int, index: HvmParam) -> int:
    """A parameter; EINVAL for a PV domain or one that this Xen has not, EPERM for most of one's own. get_param."""
    return _param(xen, GET_PARAM, domid, index, 0)


def set_param(xen: Hypervisor, domid: int, index: HvmParam, value: int) -> None:
    """Set it; EINVAL for what it cannot be, EEXIST where it can be set only once. hvm_op set_param."""
    _param(xen, SET_PARAM, domid, index, value)


def _param(xen: Hypervisor, op: Operation, domid: int, index: HvmParam, value: int) -> int:
    with xen.pool.take(xen.abi.sizeof("struct xen_hvm_param")) as buf:
        view = xen.abi.view("struct xen_hvm_param", buf)
        view.domid, view.index, view.value = domid, index, value
        xen.hypercall(op, op.cmd, buf, domid=domid)
        return int(view.value)


def context(xen: Hypervisor, domid: int) -> bytes:
    """The saved state of a domain, which Xen pauses meanwhile; EINVAL for one's own, PV or dying. gethvmcontext."""
    size = domctl(xen, GETHVMCONTEXT, domid, "hvmcontext").size
    with xen.pool.take(size) as buf:
        filled = domctl(xen, GETHVMCONTEXT, domid, "hvmcontext", size=size, buffer=buf).size
        return bytes(buf.memory[:filled])


def records(xen: Hypervisor, domid: int) -> list[Record]:
    """Which records the saved state of a domain has that can be asked for one by one; gethvmcontext."""
    return [record for record in _walk(xen, context(xen, domid)) if record.type not in _UNASKED]


def _walk(xen: Hypervisor, stream: bytes) -> Iterator[Record]:
    """By the lengths in the descriptors: records grow in point releases."""
    size = xen.abi.sizeof("struct hvm_save_descriptor")
    at = 0
    while at + size <= len(stream):
        kind, instance = (int.from_bytes(stream[at + k : at + k + 2], "little") for k in (0, 2))
        yield Record(kind, instance)
        at += size + int.from_bytes(stream[at + 4 : at + 8], "little")


def record(xen: Hypervisor, domid: int, which: Record) -> bytes:
    """One record without its descriptor; ENOENT or ENODATA where there is none. gethvmcontext_partial."""
    wanted = {"type": which.type, "instance": which.instance}
    size = domctl(xen, GETHVMCONTEXT_PARTIAL, domid, "hvmcontext_partial", **wanted).bufsz
    with xen.pool.take(max(1, size)) as buf:
        filled = domctl(
            xen, GETHVMCONTEXT_PARTIAL, domid, "hvmcontext_partial", **wanted, bufsz=size, buffer=buf
        ).bufsz  # fmt: skip
        return bytes(buf.memory[:filled])
