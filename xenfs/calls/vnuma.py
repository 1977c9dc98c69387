"""The NUMA nodes that a domain believes to have; memory_op get_vnumainfo, domctl setvnumainfo."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from xenfs.abi.numbers import Domctl, Memory
from xenfs.abi.operations import operation
from xenfs.calls.control import domctl, fill
from xenfs.calls.lists import lent
from xenfs.calls.many import asked
from xenfs.calls.rows import Rows, repeated
from xenfs.errors import HypercallError, answered_by
from xenfs.hypervisor.base import Hypervisor

GET_VNUMAINFO = operation(Memory.get_vnumainfo)
SETVNUMAINFO = operation(Domctl.setvnumainfo)

_STRUCT = "struct xen_vnuma_topology_info"
_TRIES = 4


class Range(NamedTuple):
    """Guest memory of a virtual node, in bytes; the end is exclusive."""

    start: int
    end: int
    flags: int
    node: int


class Topology(NamedTuple):
    """Distances of each virtual node to all, the node of each vCPU, and where their memory is."""

    distances: list[list[int]]
    vcpu_nodes: list[int]
    ranges: list[Range]


def have_vnuma(xen: Hypervisor, domids: Sequence[int]) -> list[bool]:
    """Whether each domain was given virtual nodes: get_vnumainfo without room says ENOBUFS, else EOPNOTSUPP."""
    answers = Rows(xen.abi, _STRUCT, ())
    questions = repeated(xen.abi, _STRUCT, bytes(answers.stride), {"domid": domids})
    both = asked(xen, GET_VNUMAINFO, questions, answers, GET_VNUMAINFO.cmd)
    return [result == -errno.ENOBUFS for result, _ in both]


def topology(xen: Hypervisor, domid: int) -> Topology:
    """The whole of it; memory_op get_vnumainfo, which says ENOBUFS and how much there is until there is room."""
    for _ in range(_TRIES):
        counts = _counts(xen, domid)
        with answered_by(errno.ENOBUFS, errno.EAGAIN):
            return _filled(xen, domid, *counts)
    raise HypercallError(GET_VNUMAINFO.name, errno.EAGAIN, "the virtual nodes keep changing")


def _counts(xen: Hypervisor, domid: int) -> tuple[int, int, int]:
    """How many virtual nodes, vCPUs and ranges there are."""
    with xen.pool.take(xen.abi.sizeof(_STRUCT)) as buf:
        view = xen.abi.view(_STRUCT, buf)
        view.domid = domid
        with answered_by(errno.ENOBUFS):
            xen.hypercall(GET_VNUMAINFO, GET_VNUMAINFO.cmd, buf, domid=domid)
        return view.nr_vnodes, view.nr_vcpus, view.nr_vmemranges


def _filled(xen: Hypervisor, domid: int, nodes: int, vcpus: int, ranges: int) -> Topology:
    stride = xen.abi.sizeof("struct xen_vmemrange")
    sizes = {"vdistance": 4 * nodes * nodes, "vcpu_to_vnode": 4 * vcpus, "vmemrange": stride * ranges}
    with ExitStack() as loans:
        buf = loans.enter_context(xen.pool.take(xen.abi.sizeof(_STRUCT)))
        bufs = {name: loans.enter_context(xen.pool.take(max(1, size))) for name, size in sizes.items()}
        view = xen.abi.view(_STRUCT, buf)
        handles: dict[str, Any] = {name: {"h": (each, sizes[name])} for name, each in bufs.items()}
        fill(
            xen.abi,
            buf,
            view,
            {"domid": domid, "nr_vnodes": nodes, "nr_vcpus": vcpus, "nr_vmemranges": ranges, **handles},
        )
        xen.hypercall(GET_VNUMAINFO, GET_VNUMAINFO.cmd, buf, domid=domid)
        nodes, vcpus, ranges = view.nr_vnodes, view.nr_vcpus, view.nr_vmemranges
        steps = bufs["vdistance"].memory[: 4 * nodes * nodes].cast("I").tolist()
        memory = xen.abi.array("struct xen_vmemrange", ranges, bufs["vmemrange"])
        return Topology(
            [steps[nodes * node : nodes * (node + 1)] for node in range(nodes)],
            bufs["vcpu_to_vnode"].memory[: 4 * vcpus].cast("I").tolist(),
            [Range(int(r.start), int(r.end), int(r.flags), int(r.nid)) for r in memory],
        )


def give(xen: Hypervisor, domid: int, wanted: Topology, real_nodes: Sequence[int]) -> None:
    """Let a domain believe that; `real_nodes` are the host's, one for each virtual one. EINVAL where not every vCPU has
    a node, E2BIG for a node that there cannot be. domctl setvnumainfo."""
    words = {
        "vdistance": [step for row in wanted.distances for step in row],
        "vcpu_to_vnode": wanted.vcpu_nodes,
        "vnode_to_pnode": real_nodes,
    }
    with ExitStack() as loans:
        handles: dict[str, Any] = {}
        for name, numbers in words.items():
            handles[name] = loans.enter_context(lent(xen, numbers, 4))
        stride = xen.abi.sizeof("struct xen_vmemrange")
        handles["vmemrange"] = loans.enter_context(xen.pool.take(stride * len(wanted.ranges)))
        rows = xen.abi.array("struct xen_vmemrange", len(wanted.ranges), handles["vmemrange"])
        for row, each in zip(rows, wanted.ranges, strict=True):
            row.start, row.end, row.flags, row.nid = each
        counts = {"nr_vnodes": len(wanted.distances), "nr_vmemranges": len(wanted.ranges)}
        domctl(xen, SETVNUMAINFO, domid, "vnuma", **counts, nr_vcpus=len(wanted.vcpu_nodes), **handles)
