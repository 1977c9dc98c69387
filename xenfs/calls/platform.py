"""platform_op: what belongs to the machine rather than to Xen. x86 for the most part; on Arm ENOSYS."""

from __future__ import annotations

from typing import Any

from xenfs.abi.numbers import PcpuFlag, Platform
from xenfs.abi.operations import operation
from xenfs.calls.control import platform
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.sources import asks

GET_CPUINFO = operation(Platform.get_cpuinfo)
GET_UCODE_REVISION = operation(Platform.get_ucode_revision)
GET_CPU_VERSION = operation(Platform.get_cpu_version)


@asks(GET_CPUINFO)
def pcpu_info(xen: Hypervisor, cpu: int) -> Any:
    """struct xenpf_pcpuinfo of a CPU: flags (PcpuFlag), apic_id, acpi_id, max_present; platform_op get_cpuinfo."""
    return platform(xen, GET_CPUINFO, "pcpu_info", xen_cpuid=cpu)


def is_online(xen: Hypervisor, cpu: int) -> bool:
    """Whether Xen schedules on this CPU; platform_op get_cpuinfo."""
    return bool(pcpu_info(xen, cpu).flags & PcpuFlag.ONLINE)


@asks(GET_UCODE_REVISION)
def ucode_revision(xen: Hypervisor, cpu: int) -> Any:
    """struct xenpf_ucode_revision of a CPU: signature, pf, revision; platform_op get_ucode_revision, 4.18 and later.

    ENOENT for a CPU that is not online.
    """
    return platform(xen, GET_UCODE_REVISION, "ucode_revision", cpu=cpu)


@asks(GET_CPU_VERSION)
def pcpu_version(xen: Hypervisor, cpu: int) -> Any:
    """struct xenpf_pcpu_version: vendor_id, family, model, stepping; zeros of an offline CPU. get_cpu_version."""
    return platform(xen, GET_CPU_VERSION, "pcpu_version", xen_cpuid=cpu)
