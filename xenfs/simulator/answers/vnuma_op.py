"""memory_op get_vnumainfo: the NUMA nodes that a domain was told it has."""

from __future__ import annotations

from errno import EINVAL, ENOBUFS, EOPNOTSUPP, ESRCH

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.vnuma import Vnuma

DOMID_SELF = 0x7FF0
STRUCT = "xen_vnuma_topology_info"


def get_vnumainfo(xen: Machine, address: int) -> int:
    """All of it where there is room, else how much there is."""
    op = xen.struct(address, STRUCT)
    domid, pad = xen.get(op, STRUCT, "domid", "pad")
    if pad:
        return -EINVAL
    domain = xen.world.domain(0 if domid == DOMID_SELF else domid)
    if domain is None:
        return -ESRCH
    found: Vnuma | None = domain.kept.get("vnuma")
    if found is None:
        return -EOPNOTSUPP
    members = ("nr_vnodes", "nr_vcpus", "nr_vmemranges")
    have = (len(found.distances), domain.max_vcpus, len(found.ranges))
    enough = all(room >= needed for room, needed in zip(xen.get(op, STRUCT, *members), have, strict=True))
    if enough:
        _copied(xen, op, found)
    xen.put(op, STRUCT, **dict(zip(members, have, strict=True)))
    return 0 if enough else -ENOBUFS


def _copied(xen: Machine, op: memoryview, found: Vnuma) -> None:
    distances, nodes, ranges = xen.get(op, STRUCT, "vdistance.h", "vcpu_to_vnode.h", "vmemrange.h")
    packer = xen.layouts.array("xen_vmemrange", "start", "end", "flags", "nid")
    xen.copy_out(ranges, b"".join(packer.pack(*each) for each in found.ranges))
    xen.copy_out(distances, b"".join(step.to_bytes(4, "little") for row in found.distances for step in row))
    xen.copy_out(nodes, b"".join(node.to_bytes(4, "little") for node in found.vcpu_nodes))


OPERATIONS: Answers = {"XENMEM_get_vnumainfo": get_vnumainfo}
