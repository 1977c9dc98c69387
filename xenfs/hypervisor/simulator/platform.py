"""Platform operations: what Xen knows of physical CPUs that only x86 has."""

from __future__ import annotations

from xenfs.hypervisor.simulator.machine import Machine, Operations

FAMILY, MODEL, STEPPING = 23, 49, 0


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
    values = (b"AuthenticAMD", FAMILY, MODEL, STEPPING) if online else (bytes(12), 0, 0, 0)
    names = ("vendor_id", "family", "model", "stepping")
    xen.put(op, "xenpf_pcpu_version", max_present=host.nr_cpus - 1, **dict(zip(names, values, strict=True)))
    return 0


OPERATIONS_X86: Operations = {
    "XENPF_get_cpuinfo": get_cpuinfo,
    "XENPF_get_cpu_version": get_cpu_version,
}
OPERATIONS_ARM: Operations = {}
"""Xen on Arm knows no platform operation but to set the time."""
