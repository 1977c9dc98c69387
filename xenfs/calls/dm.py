"""dm_op: what a device model may ask of an HVM or PVH domain."""

from __future__ import annotations

from typing import Any

from xenfs.abi.numbers import DmOp
from xenfs.abi.operations import Operation, operation
from xenfs.hypervisor.base import Hypervisor

NR_VCPUS = operation(DmOp.nr_vcpus)


def nr_vcpus(xen: Hypervisor, domid: int) -> int:
    """How many vCPUs a domain was created with room for; dm_op nr_vcpus (Xen 4.15).

    EPERM for one's own domain, EINVAL for a PV domain.
    """
    answer = _dm_op(xen, NR_VCPUS, domid)
    return int(answer.u.nr_vcpus.vcpus)


def _dm_op(xen: Hypervisor, op: Operation, domid: int) -> Any:
    """Run one and return a copy of its struct, which travels as the first of an array of buffers."""
    size = xen.abi.sizeof("struct xen_dm_op")
    with xen.pool.take(size) as body, xen.pool.take(xen.abi.sizeof("struct xen_dm_op_buf")) as buf:
        view = xen.abi.view("struct xen_dm_op", body)
        view.op = op.cmd
        entry = xen.abi.view("struct xen_dm_op_buf", buf)
        entry.size = size
        buf.attach(entry, "h", body, size)
        xen.hypercall(op, domid, 1, buf, domid=domid)
        return xen.abi.copy(view)
