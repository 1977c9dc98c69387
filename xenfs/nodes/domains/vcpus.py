"""domains/<d>/vcpus/: virtual CPUs, their state, and where they may run."""

from __future__ import annotations

import errno
from typing import Any

from xenfs.abi.numbers import Affinity
from xenfs.calls import domains, domctl
from xenfs.calls.neighbours import glance
from xenfs.calls.sysctl import cpu_topology, cpupool, physinfo
from xenfs.errors import BadInput, HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.hypervisor.sources import asks
from xenfs.nodes.domains import facts
from xenfs.nodes.domains.registers import REGISTERS
from xenfs.nodes.domains.runstate import RUNSTATE
from xenfs.nodes.domains.vcpu_sched import VCPU_SCHED
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, Each, File, field
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.members import members


def _vcpus(xen: Hypervisor, domain: Domain) -> list[tuple[str, int]]:
    return [(str(vcpu), vcpu) for vcpu in range(facts.nr_vcpus(glance(xen, domain)))]


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


def _affinity(which: Affinity) -> Any:
    def read(xen: Hypervisor, domain: Domain, vcpu: int) -> list[int]:
        return domctl.vcpu_affinity(xen, domain.domid, vcpu, which, physinfo(xen).max_cpu_id + 1)

    return read


def _set_affinity(which: Affinity) -> Any:
    def write(xen: Hypervisor, domain: Domain, vcpu: int, asked: parse.Numbers) -> None:
        nr_cpus = physinfo(xen).max_cpu_id + 1
        now = domctl.vcpu_affinity(xen, domain.domid, vcpu, which, nr_cpus) if asked.change else ()
        chosen = asked.applied(now, list(cpu_topology(xen)), "CPU")
        if not chosen:
            raise BadInput("no CPU would be left", at=0)
        try:
            domctl.set_vcpu_affinity(xen, domain.domid, vcpu, which, chosen, nr_cpus)
        except HypercallError as problem:
            if problem.errno != errno.EINVAL:
                raise
            pool = cpupool(xen, domains.info(xen, domain).cpupool)
            raise BadInput(
                f"none of these CPUs is in cpupool {pool.id} ({show.ranges(pool.cpus).strip()})", at=0
            ) from None

    return write


def _effective(which: Affinity) -> Any:
    """What Xen works with: the affinity, cut to the pool's CPUs and, for the soft one, to the hard one."""

    def read(xen: Hypervisor, domain: Domain, vcpu: int) -> set[int]:
        cpus = set(cpupool(xen, domains.info(xen, domain).cpupool).cpus)
        cpus &= set(_affinity(Affinity.HARD)(xen, domain, vcpu))
        return cpus & set(_affinity(Affinity.SOFT)(xen, domain, vcpu)) if which == Affinity.SOFT else cpus

    return read


_SET: dict[str, Any] = {
    "show": show.ranges,
    "parse": parse.number_list(),
    "call": "domctl getvcpuaffinity, setvcpuaffinity",
    "grows": Cost.CPUS,
    "write_grows": Cost.CPUS,
}
_NOW: dict[str, Any] = {
    "show": show.ranges,
    "call": "domctl getvcpuaffinity, sysctl cpupool_op",
    "grows": Cost.CPUS,
}

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
        field(vcpu_info, "cpu", show.dec, "CPU that it runs on, or ran on last"),
        field(vcpu_info, "cpu_time_ns", show.dec, "CPU time, ns", of="cpu_time"),
        File(
            "affinity_hard", "CPUs that it may run on", read=_affinity(Affinity.HARD),
            write=_set_affinity(Affinity.HARD), **_SET,
        ),
        File(
            "affinity_soft", "CPUs that it prefers", read=_affinity(Affinity.SOFT),
            write=_set_affinity(Affinity.SOFT), **_SET,
        ),
        File(
            "affinity_hard.effective", "CPUs that it can run on in its cpupool", read=_effective(Affinity.HARD),
            **_NOW,
        ),
        File("affinity_soft.effective", "CPUs that it prefers among those", read=_effective(Affinity.SOFT), **_NOW),
        VCPU_SCHED,
        *REGISTERS,
        RUNSTATE,
    ),
    grows=Cost.VCPUS,
    find_grows=Cost.VCPUS,
)  # fmt: skip

VCPUS = Dir(
    "vcpus", "Virtual CPUs", (Each(label="<v>", list=_vcpus, find=_find, node=VCPU),), grows=Cost.VCPUS
)  # fmt: skip
