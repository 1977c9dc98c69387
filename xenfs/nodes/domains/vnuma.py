"""domains/<d>/memory/vnuma: the NUMA nodes that a domain believes to have."""

from __future__ import annotations

from collections.abc import Sequence

from xenfs.calls import vnuma
from xenfs.calls.domains import DomainInfo
from xenfs.calls.neighbours import together
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import File


@together
def _has(xen: Hypervisor, infos: Sequence[DomainInfo]) -> list[bool]:
    return vnuma.have_vnuma(xen, [info.domain for info in infos])


def _vnuma(xen: Hypervisor, domain: Domain) -> str:
    found = vnuma.topology(xen, domain.domid)
    nodes = (
        (
            f"vnode{node}",
            {
                "distance": ",".join(map(str, distances)),
                "vcpus": show.ranges(v for v, where in enumerate(found.vcpu_nodes) if where == node).strip(),
            },
        )
        for node, distances in enumerate(found.distances)
    )
    ranges = (
        (f"range{number}", {"vnode": r.node, "start": f"{r.start:#x}", "end": f"{r.end:#x}", "flags": f"{r.flags:#x}"})
        for number, r in enumerate(found.ranges)
    )
    return show.nested((*nodes, *ranges))


VNUMA = File(
    "vnuma", "NUMA nodes that it believes to have, and where their memory is; ends are exclusive", read=_vnuma,
    format='"vnode<i> distance= vcpus=" and "range<i> vnode= start= end= flags=" lines',
    only=_has, call=vnuma.GET_VNUMAINFO.name, tier="B",
)  # fmt: skip
