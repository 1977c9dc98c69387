"""Platform operations: what Xen knows of physical CPUs that only x86 has."""

from __future__ import annotations

from errno import EINVAL, ENOENT

from xenfs.simulator.answers import msrs
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world import hotplug


def get_cpuinfo(xen: Machine, op: memoryview) -> int:
    """APIC and ACPI ids of a CPU and whether it is online; INVALID for one that does not exist."""
    (number,) = xen.get(op, "xenpf_pcpuinfo", "xen_cpuid")
    host = xen.world.host
    values = {"flags": xen.constant("XEN_PCPU_FLAGS_INVALID")}
    if number < host.nr_cpus:
        cpu = host.cpus[number]
        online = xen.constant("XEN_PCPU_FLAGS_ONLINE") if cpu.online else 0
        values = {"flags": online, "apic_id": host.apic_id(cpu), "acpi_id": number}
    xen.put(op, "xenpf_pcpuinfo", max_present=host.nr_cpus - 1, **values)
    return 0


def get_cpu_version(xen: Machine, op: memoryview) -> int:
    """Vendor, family, model and stepping of a CPU; nothing for one that is not online."""
    (number,) = xen.get(op, "xenpf_pcpu_version", "xen_cpuid")
    host = xen.world.host
    online = number < host.nr_cpus and host.cpus[number].online
    kind = host.processor
    values = (kind.vendor, kind.family, kind.model, kind.stepping) if online else (bytes(12), 0, 0, 0)
    names = ("vendor_id", "family", "model", "stepping")
    xen.put(op, "xenpf_pcpu_version", max_present=host.nr_cpus - 1, **dict(zip(names, values, strict=True)))
    return 0


def get_ucode_revision(xen: Machine, op: memoryview) -> int:
    """The microcode of a CPU that is online, since 4.18."""
    (number,) = xen.get(op, "xenpf_ucode_revision", "cpu")
    host = xen.world.host
    if number >= host.nr_cpus or not host.cpus[number].online:
        return -ENOENT
    kind = host.processor
    values = {"signature": kind.signature, "pf": kind.platform_flags, "revision": kind.revision}
    xen.put(op, "xenpf_ucode_revision", **values)
    return 0


def parking_name(xen: Machine, op: memoryview) -> str:
    """What a record of calls has for it."""
    (kind,) = xen.get(op, "xenpf_core_parking", "type")
    return "GET" if kind == xen.constant("XEN_CORE_PARKING_GET") else "SET"


def core_parking(xen: Machine, op: memoryview) -> int:
    """How many CPUs are parked on request, or the request: of more than can be, as many as can."""
    kind, count = xen.get(op, "xenpf_core_parking", "type", "idle_nums")
    if kind == xen.constant("XEN_CORE_PARKING_GET"):
        xen.put(op, "xenpf_core_parking", idle_nums=len(xen.world.power.parked))
        return 0
    if kind != xen.constant("XEN_CORE_PARKING_SET"):
        return -EINVAL
    hotplug.park(xen.world, min(count, xen.world.host.nr_cpus - 1))
    return 0


OPERATIONS_X86: Answers = {
    "XENPF_core_parking": core_parking,
    "XENPF_get_cpuinfo": get_cpuinfo,
    "XENPF_get_cpu_version": get_cpu_version,
    "XENPF_get_ucode_revision": get_ucode_revision,
    "XENPF_resource_op": msrs.resource_op,
}
OPERATIONS_ARM: Answers = {}
"""Xen on Arm knows no platform operation but to set the time."""
