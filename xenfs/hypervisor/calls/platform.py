"""platform_op: what belongs to the machine rather than to Xen. x86 for the most part; on Arm ENOSYS."""

from __future__ import annotations

from typing import Any

from xenfs.abi.numbers import Platform
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.calls.control import platform, platform_op

GET_CPUINFO = platform_op(Platform.get_cpuinfo, repeatable=True)


def pcpu_info(xen: Hypervisor, cpu: int) -> Any:
    """struct xenpf_pcpuinfo of a CPU: flags (PcpuFlag), apic_id, acpi_id, max_present; platform_op get_cpuinfo."""
    return platform(xen, GET_CPUINFO, "pcpu_info", xen_cpuid=cpu)


pcpu_info.call = GET_CPUINFO.name  # type: ignore[attr-defined]
