"""domains/<d>/memory/node_affinity: the NUMA nodes that a domain's memory comes from."""

from __future__ import annotations

from xenfs.calls import domctl
from xenfs.calls.sysctl import nr_node_ids, numa
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import File

_EVERY_NODE = 64  # MAX_NUMNODES of nearly every build: so many bits let Xen follow the vCPUs again


def _nodes(xen: Hypervisor, domain: Domain) -> list[int]:
    return domctl.node_affinity(xen, domain.domid, nr_node_ids(xen))


def _set_nodes(xen: Hypervisor, domain: Domain, asked: parse.Numbers) -> None:
    if asked.all:
        domctl.set_node_affinity(xen, domain.domid, frozenset(range(_EVERY_NODE)), _EVERY_NODE)
        return
    chosen = asked.applied(_nodes(xen, domain) if asked.change else (), list(numa(xen)), "node")
    if not chosen:
        raise BadInput("no node would be left", at=0)
    domctl.set_node_affinity(xen, domain.domid, chosen, nr_node_ids(xen))


NODE_AFFINITY = File(
    "node_affinity", "NUMA nodes that its memory comes from; all lets them follow its vCPUs", read=_nodes,
    write=_set_nodes, show=show.ranges, parse=parse.number_list("node"),
    call="domctl getnodeaffinity, setnodeaffinity",
)  # fmt: skip
