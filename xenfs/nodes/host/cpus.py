"""host/cpus/: physical CPUs, with the names that Linux has for them in /sys/devices/system/cpu."""

from __future__ import annotations

import errno
from typing import Any

from xenfs.calls import sysctl
from xenfs.calls.platform import is_online, pcpu_info, pcpu_version
from xenfs.calls.sysctl import NOWHERE, Topology, cpu_topology
from xenfs.errors import BadInput, there
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.sources import asks
from xenfs.nodes.host.cpufreq import CPUFREQ
from xenfs.nodes.host.hazards import require_offline_lossless
from xenfs.nodes.host.processor import PROCESSOR
from xenfs.nodes.host.residency import CSTATES, PSTATES
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, Each, File, field
from xenfs.nodes.tables.conditions import answers, recent
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.forms import formed

_places = recent(cpu_topology)


def _cpus(xen: Hypervisor) -> list[tuple[str, int]]:
    return [(str(cpu), cpu) for cpu in _places(xen)]


def _cpu(xen: Hypervisor, name: str) -> int | None:
    number = int(name) if name.isascii() and name.isdecimal() and len(name) < 7 else -1
    return number if name == str(number) and number in _places(xen) else None


@asks(sysctl.CPUTOPOINFO)
def topology(xen: Hypervisor, cpu: int) -> Topology:
    """Where this CPU is; NotThere when it was unplugged."""
    return there(cpu_topology(xen).get(cpu), f"CPU: {cpu}")


def _online(xen: Hypervisor) -> str:
    return show.ranges(cpu for cpu in cpu_topology(xen) if is_online(xen, cpu))


def _idle_ns(xen: Hypervisor, cpu: int) -> int:
    return sysctl.idle_times(xen).get(cpu, 0)


def _set_online(xen: Hypervisor, cpu: int, online: bool) -> None:
    if online != is_online(xen, cpu):
        require_offline_lossless(xen, () if online else (cpu,))
        if not online:
            _require_may_go(xen, cpu)
        sysctl.hotplug(xen, cpu, online)


def _require_may_go(xen: Hypervisor, cpu: int) -> None:
    """Say why Xen would say no: EINVAL of the CPU that booted the machine, ENODEV of one in a pool that is not 0."""
    if cpu == 0:
        raise BadInput("CPU 0 has booted the machine: it stays online", errno.EINVAL, at=0)
    for pool in sysctl.cpupools(xen):
        if pool.id and cpu in pool.cpus:
            raise BadInput(f"CPU {cpu} is in cpupool {pool.id}: take it out first", errno.ENODEV, at=0)


def _version(found: Any) -> str:
    """Vendor and version as CPUID has them, the extended family and model counted in."""
    vendor = show.c_string(b"".join(found.vendor_id))
    return show.flat({"vendor_id": vendor, "family": found.family, "model": found.model, "stepping": found.stepping})


def _is_placed(xen: Hypervisor, cpu: int) -> bool:
    """Whether Xen says where it is: of a CPU that is offline it may have forgotten."""
    place = _places(xen).get(cpu)
    return place is not None and place.known


def _has_node(xen: Hypervisor, cpu: int) -> bool:
    place = _places(xen).get(cpu)
    return place is not None and place.node != NOWHERE


@formed("decimal number, empty for none")
def _id(number: int) -> str:
    """An id of the firmware's; Xen marks a CPU that has none with all bits set."""
    return "" if number == NOWHERE else show.dec(number)


_pcpu = answers(lambda xen: pcpu_info(xen, 0))

CPU = Dir(
    "<c>",
    "A physical CPU",
    (
        File(
            "online", "Whether Xen uses this CPU; write 0 or 1", read=is_online, show=show.flag, when=_pcpu,
            write=_set_online, parse=parse.switch, write_grows=Cost.WAITS, tier="B",
            call="platform_op get_cpuinfo, sysctl cpu_hotplug", errnos="EBUSY EINVAL ENODEV EPERM",
        ),
        field(pcpu_info, "apic_id", _id, "Id of its local APIC", when=_pcpu),
        field(pcpu_info, "acpi_id", _id, "Id that ACPI has for it", when=_pcpu),
        File("idle_ns", "Idle time, ns; 0 while offline", read=_idle_ns, show=show.dec,
             call="sysctl getcpuinfo, cputopoinfo", grows=Cost.CPUS),
        File(
            "version", "Vendor, family, model and stepping", read=pcpu_version, show=_version, tier="B",
            call="platform_op get_cpu_version", format='"key value" lines', only=is_online,
            when=answers(lambda xen: pcpu_version(xen, 0)),
        ),
        Dir(
            "topology",
            "Where the CPU is",
            (
                field(topology, "core_id", show.dec, "Core within the socket", of="core", grows=Cost.CPUS),
                field(topology, "physical_package_id", show.dec, "Socket", of="socket", grows=Cost.CPUS),
                field(topology, "node", show.dec, "NUMA node", only=_has_node, grows=Cost.CPUS),
            ),
            only=_is_placed,
            grows=Cost.CPUS,
            find_grows=Cost.CPUS,
        ),
        *PROCESSOR,
        CPUFREQ,
        PSTATES,
        CSTATES,
    ),
    volatile=True,
    grows=Cost.CPUS,
    find_grows=Cost.CPUS,
)  # fmt: skip

CPUS = Dir(
    "cpus",
    "Physical CPUs",
    (
        File(
            "online",
            "CPUs that Xen uses",
            read=_online,
            format="list such as 0-3,8",
            call="platform_op get_cpuinfo",
            when=_pcpu,
            grows=Cost.CPUS,
        ),
        File(
            "present",
            "CPUs that the machine has",
            read=cpu_topology,
            show=show.ranges,
            call="sysctl cputopoinfo",
            grows=Cost.CPUS,
        ),
        Each(label="<c>", list=_cpus, find=_cpu, node=CPU),
    ),
    grows=Cost.CPUS,
    find_grows=Cost.CPUS,
)
