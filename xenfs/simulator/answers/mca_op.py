"""The hypercall of the machine check code: only what it knows of CPUs is pretended."""

from __future__ import annotations

from errno import EACCES, EINVAL

from xenfs.simulator.machine import Machine
from xenfs.simulator.world.host import Cpu

MCG_CAP = 0x179
ALIGNMENT = 64
CPU = "mcinfo_logical_cpu"


def call(xen: Machine, address: int) -> tuple[str, int]:
    """(name of the operation, result)."""
    memory = xen.struct(address, "xen_mc")
    cmd, interface = xen.get(memory, "xen_mc", "cmd", "interface_version")
    if interface != xen.constant("XEN_MCA_INTERFACE_VERSION"):
        return str(cmd), -EACCES
    if cmd != xen.constant("XEN_MC_physcpuinfo"):
        return str(cmd), -EINVAL
    return "physcpuinfo", physcpuinfo(xen, memory[xen.layouts.offset("xen_mc", "u") :])


def physcpuinfo(xen: Machine, op: memoryview) -> int:
    """The online CPUs, as many as there is room for; only how many there are without a buffer."""
    room, address = xen.get(op, "xen_mc_physcpuinfo", "ncpus", "info")
    online = [cpu for cpu in xen.world.host.cpus if cpu.online]
    if address:
        if not 0 < room < 1 << 31:
            return -EINVAL
        online = online[:room]
        size = xen.layouts.size(CPU)
        for place, cpu in enumerate(online):
            _fill(xen, xen.at(address + place * size, size), cpu)
    xen.put(op, "xen_mc_physcpuinfo", ncpus=len(online))
    return 0


def _fill(xen: Machine, memory: memoryview, cpu: Cpu) -> None:
    host, kind = xen.world.host, xen.world.host.processor
    memory[:] = bytes(len(memory))
    apic = host.apic_id(cpu)
    xen.put(
        memory, CPU, mc_cpunr=cpu.id, mc_chipid=cpu.socket, mc_coreid=cpu.core, mc_threadid=cpu.id % host.threads,
        mc_apicid=apic, mc_clusterid=apic, mc_ncores=host.cores, mc_ncores_active=host.cores, mc_nthreads=host.threads,
        mc_cpuid_level=kind.max_leaf, mc_family=kind.family, mc_vendor=kind.vendor_number, mc_model=kind.model,
        mc_step=kind.stepping, mc_vendorid=kind.vendor, mc_brandid=kind.brand.encode(),
        mc_cpu_caps=b"".join(word.to_bytes(4, "little") for word in kind.boot_words[:7]),
        mc_cache_size=kind.l3_kib, mc_cache_alignment=ALIGNMENT, mc_nmsrvals=2,
    )  # fmt: skip
    numbers = [(MCG_CAP, kind.mcg_cap), (kind.ppin_msr, int.from_bytes(xen.world.digest("ppin", cpu.socket), "little"))]
    values = xen.layouts.offset(CPU, "mc_msrvalues")
    size = xen.layouts.size("mcinfo_msr")
    for index, (reg, value) in enumerate(numbers):
        xen.put(memory[values + index * size :], "mcinfo_msr", reg=reg, value=value)
