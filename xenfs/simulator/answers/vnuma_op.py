"""memory_op get_vnumainfo: the NUMA nodes that a domain was told it has."""

from __future__ import annotations

from errno import E2BIG, EINVAL, ENOBUFS, EOPNOTSUPP, ESRCH

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.host import MAX_NODES
from xenfs.simulator.world.vnuma import Vnuma

STRUCT = "xen_vnuma_topology_info"


def get_vnumainfo(xen: Machine, address: int) -> int:
    """All of it where there is room, else how much there is."""
    op = xen.struct(address, STRUCT)
    domid, pad = xen.get(op, STRUCT, "domid", "pad")
    if pad:
        return -EINVAL
    domain = xen.world.any_domain(domid)
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


def setvnumainfo(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Keep what a toolstack says: of every vCPU, with nodes that there are, and no flags."""
    struct = "xen_domctl_vnuma"
    nodes, count, vcpus, pad = xen.get(op, struct, "nr_vnodes", "nr_vmemranges", "nr_vcpus", "pad")
    if vcpus != domain.max_vcpus or pad or not nodes or not count or nodes > MAX_NODES:
        return -EINVAL
    *lists, memory = xen.get(op, struct, "vdistance", "vcpu_to_vnode", "vnode_to_pnode", "vmemrange")
    sizes = (nodes * nodes, vcpus, nodes)
    distances, of_vcpus, real = (xen.at(at, 4 * many).cast("I").tolist() for at, many in zip(lists, sizes, strict=True))
    packer = xen.layouts.array("xen_vmemrange", "start", "end", "flags", "nid")
    ranges = list(packer.iter_unpack(xen.at(memory, packer.size * count)))
    if any(node >= nodes for node in of_vcpus) or any(node >= MAX_NODES for node in real):
        return -E2BIG
    if any(flags for _, _, flags, _ in ranges):
        return -EINVAL
    rows = [distances[nodes * node : nodes * (node + 1)] for node in range(nodes)]
    domain.kept["vnuma"] = Vnuma(rows, of_vcpus, ranges)
    return 0


OPERATIONS: Answers = {"XENMEM_get_vnumainfo": get_vnumainfo}
DOMCTL: Answers = {"XEN_DOMCTL_setvnumainfo": setvnumainfo}
