"""domains/<d>/vcpus/: virtual CPUs, their state, and where they may run."""

from __future__ import annotations

from typing import Any

from xenfs.calls import domains, domctl
from xenfs.calls.neighbours import info_recent
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.hypervisor.sources import asks
from xenfs.nodes.domains import facts
from xenfs.nodes.domains.altp2m import ALTP2M_VIEW
from xenfs.nodes.domains.debug import VCPU_DEBUG
from xenfs.nodes.domains.registers import REGISTERS
from xenfs.nodes.domains.request import AVAILABILITY
from xenfs.nodes.domains.runstate import RUNSTATE
from xenfs.nodes.domains.vcpu_affinity import VCPU_AFFINITY
from xenfs.nodes.domains.vcpu_sched import VCPU_SCHED
from xenfs.nodes.domains.vcpu_state import VCPU_STATE, VMTRACE
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Dir, Each, File, field
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.members import members


def _vcpus(xen: Hypervisor, domain: Domain) -> list[tuple[str, int]]:
    return [(str(vcpu), vcpu) for vcpu in range(facts.nr_vcpus(info_recent(xen, domain)))]


def _find(xen: Hypervisor, domain: Domain, name: str) -> int | None:
    return dict(_vcpus(xen, domain)).get(name)


@asks(domctl.GETVCPUINFO)
def vcpu_info(xen: Hypervisor, domain: Domain, vcpu: int) -> Any:
    """struct xen_domctl_getvcpuinfo of one vCPU."""
    return domctl.vcpuinfo(xen, domain.domid, vcpu)


def state(found: Any) -> str:
    """offline, running, blocked or runnable: the first that holds."""
    if not found.online:
        return "offline"
    return "running" if found.running else "blocked" if found.blocked else "runnable"


def vcpu_stat(xen: Hypervisor, domain: Domain) -> str:
    """Nested keyed: a line for each vCPU."""
    count = facts.nr_vcpus(domains.info(xen, domain))
    return show.nested(
        (vcpu, {"online": found.online, "state": state(found), "cpu": found.cpu, "cpu_time_ns": found.cpu_time})
        for vcpu, found in enumerate(domctl.vcpu_infos(xen, domain.domid, count))
        if found is not None
    )


VCPU = Dir(
    "<v>",
    "A virtual CPU",
    (
        File(
            "info", "Everything that getvcpuinfo says", format='"key value" lines', call=domctl.GETVCPUINFO.name,
            read=lambda xen, *ids: show.flat(members(xen.abi, vcpu_info(xen, *ids))),
        ),
        field(vcpu_info, "online", show.flag, "Whether the guest has brought it up"),
        File("state", "offline, running, blocked or runnable", read=vcpu_info, show=state,
             format="one word"),
        AVAILABILITY,
        field(vcpu_info, "cpu", show.dec, "CPU that it runs on, or ran on last"),
        field(vcpu_info, "cpu_time_ns", show.dec, "CPU time, ns", of="cpu_time"),
        *VCPU_AFFINITY,
        VCPU_SCHED,
        *REGISTERS,
        *VCPU_STATE,
        VMTRACE,
        ALTP2M_VIEW,
        RUNSTATE,
        VCPU_DEBUG,
    ),
    grows=Cost.VCPUS,
    find_grows=Cost.VCPUS,
)  # fmt: skip

VCPUS = Dir(
    "vcpus", "Virtual CPUs", (Each(label="<v>", list=_vcpus, find=_find, node=VCPU),), grows=Cost.VCPUS
)  # fmt: skip
