"""The hypercall of the machine check code: what it knows of CPUs, what it has noted, and what is feigned."""

from __future__ import annotations

from errno import EACCES, EINVAL

from xenfs.simulator.machine import Machine
from xenfs.simulator.world.checks import Check
from xenfs.simulator.world.host import Cpu

MCG_CAP, MCG_STATUS = 0x179, 0x17A
BANKS, NR_BANKS = 0x400, 10  # four registers each
ALIGNMENT = 64
CPU = "mcinfo_logical_cpu"


def call(xen: Machine, address: int) -> tuple[str, int]:
    """(name of the operation, result)."""
    memory = xen.struct(address, "xen_mc")
    cmd, interface = xen.get(memory, "xen_mc", "cmd", "interface_version")
    if interface != xen.constant("XEN_MCA_INTERFACE_VERSION"):
        return str(cmd), -EACCES
    for name, answer in ANSWERS.items():
        if cmd == xen.constant(f"XEN_MC_{name}"):
            return name, answer(xen, memory[xen.layouts.offset("xen_mc", "u") :])
    return str(cmd), -EINVAL


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


def fetch(xen: Machine, op: memoryview) -> int:
    """The oldest machine check that is urgent, or that is not; or that it may be forgotten."""
    struct, checks = "xen_mc_fetch", xen.world.host.checks
    flags, number, address = xen.get(op, struct, "flags", "fetch_id", "data")
    urgent, mild = xen.constant("XEN_MC_URGENT"), xen.constant("XEN_MC_NONURGENT")
    if flags & (urgent | mild) not in (urgent, mild):
        return -EINVAL
    waiting = checks.waiting(urgent=bool(flags & urgent))
    if flags & xen.constant("XEN_MC_ACK"):
        checks.forget(number)
        return 0
    if not address:
        return -EINVAL
    if not waiting:
        xen.put(op, struct, flags=xen.constant("XEN_MC_NODATA"), fetch_id=0)
        return 0
    oldest = waiting[0]
    info = _records(xen, oldest).ljust(xen.layouts.size("mc_info"), b"\0")
    xen.copy_out(address, info)
    xen.put(op, struct, flags=0, fetch_id=oldest.number)
    return 0


def _records(xen: Machine, check: Check) -> bytes:
    """A struct mc_info with a record of the CPU and, where a bank has something to say, one of that."""
    cpu = xen.world.host.cpus[check.cpu]
    head = xen.layouts.array("mcinfo_common", "type", "size")
    parts = []
    for kind, name, values in (
        ("GLOBAL", "mcinfo_global", {"mc_domid": 0x7FF4, "mc_socketid": cpu.socket, "mc_coreid": cpu.core,
                                     "mc_apicid": xen.world.host.apic_id(cpu), "mc_gstatus": 4}),
        ("BANK", "mcinfo_bank", {"mc_bank": check.bank, "mc_domid": 0x7FF4, "mc_status": check.status}),
    ):  # fmt: skip
        memory = memoryview(bytearray(xen.layouts.size(name)))
        memory[: head.size] = head.pack(xen.constant(f"MC_TYPE_{kind}"), len(memory))
        xen.put(memory, name, **values)
        parts.append(bytes(memory))
    whole = memoryview(bytearray(xen.layouts.offset("mc_info", "mi_data")))
    xen.put(whole, "mc_info", mi_nentries=len(parts))
    return bytes(whole) + b"".join(parts)


def msrinject(xen: Machine, op: memoryview) -> int:
    """Registers of a CPU's banks read as these from now on."""
    struct = "xen_mc_msrinject"
    number, count = xen.get(op, struct, "mcinj_cpunr", "mcinj_count")
    if not _online(xen, number) or count > xen.constant("MC_MSRINJ_MAXMSRS"):  # Xen itself goes on, into other memory
        return -EINVAL
    at, size = xen.layouts.offset(struct, "mcinj_msr"), xen.layouts.size("mcinfo_msr")
    pairs = [xen.get(op[at + index * size :], "mcinfo_msr", "reg", "value") for index in range(count)]
    if any(not (BANKS <= reg < BANKS + 4 * NR_BANKS or reg == MCG_STATUS) for reg, _ in pairs):
        return -EINVAL
    xen.world.host.checks.registers.setdefault(number, {}).update(pairs)
    return 0


def mceinject(xen: Machine, op: memoryview) -> int:
    """A machine check on one CPU."""
    (number,) = xen.get(op, "xen_mc_mceinject", "mceinj_cpunr")
    if not _online(xen, number):
        return -EINVAL
    _raise(xen, number, urgent=True)
    return 0


def inject_v2(xen: Machine, op: memoryview) -> int:
    """A machine check of a kind on some CPUs; a local one only Intel has."""
    struct, host = "xen_mc_inject_v2", xen.world.host
    (flags,) = xen.get(op, struct, "flags")
    kind = flags & xen.constant("XEN_MC_INJECT_TYPE_MASK")
    chosen = xen.read_bitmap(op, struct, "cpumap", host.nr_cpus)
    online = [cpu.id for cpu in host.cpus if cpu.online and chosen >> cpu.id & 1]
    if not online:
        return -EINVAL
    if kind == xen.constant("XEN_MC_INJECT_TYPE_LMCE") and (
        host.processor.vendor != b"GenuineIntel" or len(online) > 1
    ):
        return -EINVAL
    if kind not in (xen.constant(f"XEN_MC_INJECT_TYPE_{name}") for name in ("MCE", "CMCI", "LMCE")):
        return -EINVAL
    for number in online:
        _raise(xen, number, urgent=kind != xen.constant("XEN_MC_INJECT_TYPE_CMCI"))
    return 0


def _online(xen: Machine, number: int) -> bool:
    return number < xen.world.host.nr_cpus and xen.world.host.cpus[number].online


def _raise(xen: Machine, number: int, *, urgent: bool) -> None:
    """Xen looks at the banks, and notes the first that has something to say."""
    checks = xen.world.host.checks
    registers = checks.registers.pop(number, {})
    for bank in range(NR_BANKS):
        status = registers.get(BANKS + 4 * bank + 1, 0)
        if status >> 63:
            checks.add(number, bank, status, urgent=urgent)
            return


ANSWERS = {
    "fetch": fetch, "physcpuinfo": physcpuinfo, "msrinject": msrinject, "mceinject": mceinject, "inject_v2": inject_v2,
}  # fmt: skip
