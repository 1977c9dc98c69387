"""dm_op: what a device model may ask of an HVM or PVH domain, and do to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xenfs.abi.numbers import DmEvent, DmOp
from xenfs.abi.operations import Operation, operation
from xenfs.calls.control import fill
from xenfs.calls.multicall import in_a_row_each
from xenfs.hypervisor.base import Hypervisor

NR_VCPUS = operation(DmOp.nr_vcpus)
INFO = operation(DmOp.get_ioreq_server_info, "no_gfns")
INJECT_EVENT = operation(DmOp.inject_event)
INJECT_MSI = operation(DmOp.inject_msi)

MOST_SERVERS = 8  # of one domain
_NO_GFNS = 1  # XEN_DMOP_no_gfns: Xen maps nothing, so that to look changes nothing


def nr_vcpus(xen: Hypervisor, domid: int) -> int:
    """How many vCPUs a domain was created with room for; dm_op nr_vcpus (Xen 4.15).

    EPERM for one's own domain, EINVAL for a PV domain.
    """
    answer = _dm_op(xen, NR_VCPUS, domid, "nr_vcpus")
    return int(answer.vcpus)


def server_info(xen: Hypervisor, domid: int, server: int) -> Any:
    """struct xen_dm_op_get_ioreq_server_info of a device model's requests, without its frames; get_ioreq_server_info.

    ENOENT where there is none of this number, EPERM for one of another domain's.
    """
    return _dm_op(xen, INFO, domid, "get_ioreq_server_info", id=server, flags=_NO_GFNS)


def servers(xen: Hypervisor, domids: Sequence[int]) -> list[list[int]]:
    """The numbers of each domain's servers that are the caller's; get_ioreq_server_info of each there can be."""
    if not domids:
        return []
    asked = [(domid, server) for domid in domids for server in range(MOST_SERVERS)]
    size, step = xen.abi.sizeof("struct xen_dm_op"), xen.abi.sizeof("struct xen_dm_op_buf")
    with xen.pool.take(size * len(asked)) as structs, xen.pool.take(step * len(asked)) as bufs:
        places = xen.abi.array("struct xen_dm_op", len(asked), structs)
        for place, entry, (_, server) in zip(
            places, xen.abi.array("struct xen_dm_op_buf", len(asked), bufs), asked, strict=True
        ):
            place.op, entry.size = INFO.cmd, size
            place.u.get_ioreq_server_info.id, place.u.get_ioreq_server_info.flags = server, _NO_GFNS
        bufs.attach_each(xen.abi.offsetof("struct xen_dm_op_buf", "h"), step, structs, size, len(asked))
        results = in_a_row_each(xen, INFO, bufs, step, [(domid, 1) for domid, _ in asked])
    found: dict[int, list[int]] = {domid: [] for domid in domids}
    for result, (domid, server) in zip(results, asked, strict=True):
        if result >= 0:
            found[domid].append(server)
    return [found[domid] for domid in domids]


def inject_event(xen: Hypervisor, domid: int, vcpu: int, kind: DmEvent, **given: int) -> None:
    """An interrupt or exception for a vCPU: vector, insn_len, error_code, cr2; EBUSY before it has the last one."""
    _dm_op(xen, INJECT_EVENT, domid, "inject_event", vcpuid=vcpu, type=kind, **given)


def inject_msi(xen: Hypervisor, domid: int, addr: int, data: int) -> None:
    """A message that a device would write for an interrupt; EINVAL for what no local APIC takes. inject_msi."""
    _dm_op(xen, INJECT_MSI, domid, "inject_msi", addr=addr, data=data)


def _dm_op(xen: Hypervisor, op: Operation, domid: int, arm: str, **given: int) -> Any:
    """Run one and return a copy of its union's member; the struct travels as the first of an array of buffers."""
    size = xen.abi.sizeof("struct xen_dm_op")
    with xen.pool.take(size) as body, xen.pool.take(xen.abi.sizeof("struct xen_dm_op_buf")) as buf:
        view = xen.abi.view("struct xen_dm_op", body)
        view.op = op.cmd
        fill(xen.abi, body, getattr(view.u, arm), given)
        entry = xen.abi.view("struct xen_dm_op_buf", buf)
        entry.size = size
        buf.attach(entry, "h", body, size)
        xen.hypercall(op, domid, 1, buf, domid=domid)
        return xen.abi.copy(getattr(view.u, arm))
