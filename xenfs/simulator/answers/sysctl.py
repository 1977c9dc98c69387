"""Sysctls about the host: what it is made of, how its memory and CPUs are doing, and its console."""

from __future__ import annotations

from errno import EOPNOTSUPP

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world import debug_keys, hotplug
from xenfs.simulator.world.host import MAX_NODES, Cpu
from xenfs.simulator.world.physmap import PAGE

NO_CORE = 0xFFFFFFFF  # XEN_INVALID_CORE_ID, and the same for sockets
LOCAL, REMOTE, UNTOLD = 10, 21, 20  # the last is what Xen on Arm says of any two nodes, were they the same
HW_WORDS = 8  # of features: 1d 1c e1d e1c Da1 7b0 7c0 e7d
PHYSICAL = (
    "threads_per_core", "cores_per_socket", "nr_cpus", "max_cpu_id", "nr_nodes", "max_node_id", "cpu_khz",
    "capabilities", "total_pages", "free_pages", "outstanding_pages", "max_mfn", "hw_cap",
)  # fmt: skip


def readconsole(xen: Machine, op: memoryview) -> int:
    """A part of the console ring, from its begin or from where the caller was."""
    struct = "xen_sysctl_readconsole"
    clear, incremental, index, address, count = xen.get(op, struct, "clear", "incremental", "index", "buffer", "count")
    data, index = xen.world.console.read(count, index, bool(incremental))
    xen.copy_out(address, data)
    if clear:
        xen.world.console.clear(index)
    xen.put(op, struct, count=len(data), index=index)
    return 0


def sched_id(xen: Machine, op: memoryview) -> int:
    """The scheduler that Xen was started with, which is Pool-0's."""
    xen.put(op, "xen_sysctl_sched_id", sched_id=xen.world.pools.by_id[0].scheduler)
    return 0


def debug_key(xen: Machine, op: memoryview) -> int:
    """Press keys on Xen's console, one after another."""
    address, count = xen.get(op, "xen_sysctl_debug_keys", "keys", "nr_keys")
    for index in range(count):
        debug_keys.press(xen.world, chr(xen.at(address + index, 1)[0]))
    return 0


def getcpuinfo(xen: Machine, op: memoryview) -> int:
    """Idle time of the first CPUs, as many as the caller has room for; 0 while one is offline."""
    limit, address = xen.get(op, "xen_sysctl_getcpuinfo", "max_cpus", "info")
    packer = xen.layouts.array("xen_sysctl_cpuinfo", "idletime")
    ticks, cpus = xen.world.clock.ticks(), xen.world.host.cpus[:limit]
    memory = xen.at(address, len(cpus) * packer.size)
    for index, cpu in enumerate(cpus):
        packer.pack_into(memory, index * packer.size, cpu.idle(ticks) if cpu.online else 0)
    xen.put(op, "xen_sysctl_getcpuinfo", nr_cpus=len(cpus))
    return 0


def availheap(xen: Machine, op: memoryview) -> int:
    """Free memory on a node (or on all) at addresses of so many bits."""
    low, high, node = xen.get(op, "xen_sysctl_availheap", "min_bitwidth", "max_bitwidth", "node")
    host, free = xen.world.host, xen.world.free_pages
    if node != 0xFFFFFFFF:
        free = free * host.node_pages(node) // host.total_pages if node < host.nr_nodes else 0
    # The pretended memory is used up from below: what is free lies above 4 GiB.
    if (high and high <= 32) or low > host.max_mfn.bit_length() + 12:
        free = 0
    xen.put(op, "xen_sysctl_availheap", avail_bytes=free * PAGE)
    return 0


def physinfo(xen: Machine, op: memoryview) -> int:
    """The host in one struct."""
    world, host = xen.world, xen.world.host
    if xen.physinfo_packer is None:
        xen.physinfo_packer = xen.layouts.array("xen_sysctl_physinfo", *PHYSICAL)
    xen.physinfo_packer.pack_into(
        op, 0, host.threads, host.cores, host.nr_online, host.nr_cpus - 1, host.nr_nodes, MAX_NODES - 1, host.cpu_khz,
        _capabilities(xen), host.total_pages, world.free_pages, world.claimed_pages, host.max_mfn, _hw_cap(xen),
    )  # fmt: skip
    return 0


def _hw_cap(xen: Machine) -> bytes:
    words = xen.world.host.processor.boot_words[:HW_WORDS] if xen.x86 else (0,) * HW_WORDS
    return b"".join(word.to_bytes(4, "little") for word in words)


def _capabilities(xen: Machine) -> int:
    if xen.capabilities is None:
        names = ["hvm", "hap"] + (["pv", *(["shadow"] if xen.settings.shadow else [])] if xen.x86 else [])
        names += ["directio", "iommu_hap_pt_share"] if xen.iommu else []
        names += ["gnttab_v1", "gnttab_v2"] + (["vmtrace"] if xen.x86 and xen.settings.vmtrace else [])
        full = [f"XEN_SYSCTL_PHYSCAP_{name}" for name in names]
        xen.capabilities = sum(xen.constant(name) for name in full if xen.layouts.defines(name))
    return xen.capabilities


def numainfo(xen: Machine, op: memoryview) -> int:
    """Memory of each node and the distances between them; only the number of nodes without buffers."""
    limit, meminfo, distance = xen.get(op, "xen_sysctl_numainfo", "num_nodes", "meminfo", "distance")
    host, nodes = xen.world.host, xen.world.host.nr_nodes
    if meminfo or distance:
        nodes = min(nodes, limit)
    if meminfo:
        _fill_meminfo(xen, meminfo, nodes)
    if distance:
        near, far = (LOCAL, REMOTE) if host.x86 else (UNTOLD, UNTOLD)
        steps = [near if one == other else far for one in range(nodes) for other in range(nodes)]
        xen.copy_out(distance, b"".join(step.to_bytes(4, "little") for step in steps))
    xen.put(op, "xen_sysctl_numainfo", num_nodes=nodes)
    return 0


def _fill_meminfo(xen: Machine, address: int, nodes: int) -> None:
    host, free = xen.world.host, xen.world.free_pages
    packer = xen.layouts.array("xen_sysctl_meminfo", "memsize", "memfree")
    entries = [
        packer.pack(host.node_pages(node) * PAGE, free * host.node_pages(node) // host.total_pages * PAGE)
        for node in range(nodes)
    ]
    xen.copy_out(address, b"".join(entries))


def cputopoinfo(xen: Machine, op: memoryview) -> int:
    """Core, socket and node of each CPU; only the number of CPUs without a buffer."""
    limit, address = xen.get(op, "xen_sysctl_cputopoinfo", "num_cpus", "cputopo")
    cpus = xen.world.host.cpus[:limit] if address else xen.world.host.cpus
    if address:
        packer = xen.layouts.array("xen_sysctl_cputopo", "core", "socket", "node")
        xen.copy_out(address, b"".join(packer.pack(*_place(xen, cpu)) for cpu in cpus))
    xen.put(op, "xen_sysctl_cputopoinfo", num_cpus=len(cpus))
    return 0


def _place(xen: Machine, cpu: Cpu) -> tuple[int, int, int]:
    """Core, socket and node; of a CPU that was taken down Xen keeps core and socket only where it is parked."""
    if cpu.online or xen.world.power.traits.parked or not xen.x86:
        return cpu.core, cpu.socket, cpu.node
    return NO_CORE, NO_CORE, cpu.node


def cpu_hotplug(xen: Machine, op: memoryview) -> int:
    """Bring a CPU up or down, or all second threads of cores."""
    number, action = xen.get(op, "xen_sysctl_cpu_hotplug", "cpu", "op")
    names = ("ONLINE", "OFFLINE", "SMT_ENABLE", "SMT_DISABLE")
    up, down, smt_on, smt_off = (xen.constant(f"XEN_SYSCTL_CPU_HOTPLUG_{name}") for name in names)
    if action in (up, down):
        hotplug.set_online(xen.world, number, action == up)
        return 0
    if action not in (smt_on, smt_off) or xen.world.host.threads < 2:
        return -EOPNOTSUPP
    hotplug.set_smt(xen.world, action == smt_on)
    return 0


OPERATIONS: Answers = {
    "XEN_SYSCTL_readconsole": readconsole,
    "XEN_SYSCTL_sched_id": sched_id,
    "XEN_SYSCTL_debug_keys": debug_key,
    "XEN_SYSCTL_getcpuinfo": getcpuinfo,
    "XEN_SYSCTL_availheap": availheap,
    "XEN_SYSCTL_physinfo": physinfo,
    "XEN_SYSCTL_numainfo": numainfo,
    "XEN_SYSCTL_cputopoinfo": cputopoinfo,
}
OPERATIONS_X86: Answers = {"XEN_SYSCTL_cpu_hotplug": cpu_hotplug}
