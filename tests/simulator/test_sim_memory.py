"""memory_op, platform_op, hvm_op and multicall, on every release and architecture."""

from __future__ import annotations

from errno import EACCES, EFAULT, EINVAL, ENOBUFS, ENOMEM, ENOSYS, EPERM, ESRCH

from caller import Caller

from xenfs.simulator.world import hotplug

SELF = 0x7FF0
PAGE = 4096


def of_domain(xen: Caller, name: str, domid: int) -> int:
    address, _ = xen.arena.take(domid.to_bytes(2, "little"))
    return xen.call("memory_op", xen.constant(f"XENMEM_{name}"), address)


def test_how_much_memory_there_is(xen: Caller) -> None:
    result = xen.call("memory_op", xen.constant("XENMEM_maximum_ram_page"), 0)
    assert result == xen.read(xen.sysctl("physinfo")[1], "xen_sysctl_physinfo", "max_mfn") + 1


def test_how_much_a_domain_has(xen: Caller) -> None:
    assert of_domain(xen, "current_reservation", 3) == xen.info(3, "tot_pages")
    assert of_domain(xen, "maximum_reservation", 3) == xen.info(3, "max_pages")
    assert of_domain(xen, "current_reservation", SELF) == xen.info(0, "tot_pages")
    assert of_domain(xen, "maximum_gpfn", 3) >= xen.info(3, "tot_pages") - 1
    assert of_domain(xen, "maximum_gpfn", 999) == -ESRCH
    assert xen.call("memory_op", xen.constant("XENMEM_current_reservation"), 0) == -EFAULT


def claim(xen: Caller, domid: int, pages: int, **members: int) -> int:
    address, _ = xen.struct("xen_memory_reservation", domid=domid, nr_extents=pages, **members)
    return xen.call("memory_op", xen.constant("XENMEM_claim_pages"), address)


def test_claims(xen: Caller) -> None:
    has = xen.info(4, "tot_pages")
    assert claim(xen, 4, has + 100) == 0
    assert xen.info(4, "outstanding_pages") == 100
    assert xen.read(xen.sysctl("physinfo")[1], "xen_sysctl_physinfo", "outstanding_pages") == 100
    assert claim(xen, 4, has + 101) == -EINVAL  # one at a time
    assert claim(xen, 4, 0) == 0
    assert claim(xen, 4, has) == -EINVAL
    assert claim(xen, 4, 1 << 40) == -EINVAL
    assert claim(xen, 999, 1) == -EINVAL
    assert claim(xen, 4, has + 1, extent_order=1) == -EINVAL
    xen.world.domains[4].max_pages = 1 << 50
    assert claim(xen, 4, 1 << 45) == -ENOMEM


def test_the_firmware_s_map(xen: Caller) -> None:
    number = xen.constant("XENMEM_machine_memory_map")
    address, memory = xen.struct("xen_memory_map")
    if not xen.x86:
        assert xen.call("memory_op", number, address) == -ENOSYS
        return
    assert xen.call("memory_op", number, address) == 0
    count = xen.read(memory, "xen_memory_map", "nr_entries")
    buffer, entries = xen.arena.take(20 * (count + 1))
    xen.layouts.put(memory, "xen_memory_map", buffer=buffer)
    assert xen.call("memory_op", number, address) == -EINVAL
    xen.layouts.put(memory, "xen_memory_map", nr_entries=count + 1)
    assert xen.call("memory_op", number, address) == 0
    starts = [int.from_bytes(entries[20 * index : 20 * index + 8], "little") for index in range(count)]
    assert starts == sorted(starts)
    usable = sum(
        int.from_bytes(entries[at + 8 : at + 16], "little") for at in range(0, 20 * count, 20) if entries[at + 16] == 1
    )
    assert 0 < usable <= xen.world.host.total_pages * PAGE


def test_memory_that_devices_keep(xen: Caller) -> None:
    number, struct = xen.constant("XENMEM_reserved_device_memory_map"), "xen_reserved_device_memory_map"
    address, memory = xen.struct(struct, flags=xen.constant("XENMEM_RDM_ALL"))
    if not xen.x86:
        assert xen.call("memory_op", number, address) == -ENOSYS
        return
    assert xen.call("memory_op", number, address) == -ENOBUFS
    assert xen.read(memory, struct, "nr_entries") == 2
    buffer, entries = xen.arena.take(32)
    xen.layouts.put(memory, struct, buffer=buffer)
    assert xen.call("memory_op", number, address) == 0
    assert xen.read(entries, "xen_reserved_device_memory", "start_pfn", "nr_pages") == (0xBF800, 0x800)
    device = memory[xen.layouts.offset(struct, "dev") :]
    xen.layouts.put(memory, struct, flags=0)
    device[0:4] = bytes([0, 0, 0, 0x14 << 3])  # 0000:00:14.0
    assert xen.call("memory_op", number, address) == 0
    assert xen.read(memory, struct, "nr_entries") == 1
    xen.layouts.put(memory, struct, flags=2)
    assert xen.call("memory_op", number, address) == -EINVAL


def test_sharing(xen: Caller) -> None:
    xen.world.domains[4].shared_pages = 10
    freed = xen.call("memory_op", xen.constant("XENMEM_get_sharing_freed_pages"), 0)
    assert freed == (10 if xen.x86 else 0)
    address, _ = xen.struct("xen_mem_sharing_op", op=xen.constant("XENMEM_sharing_op_audit"))
    assert xen.call("memory_op", xen.constant("XENMEM_sharing_op"), address) == (0 if xen.x86 else -ENOSYS)


def test_a_xen_without_sharing() -> None:
    xen = Caller("sharing=off")
    address, _ = xen.struct("xen_mem_sharing_op", op=xen.constant("XENMEM_sharing_op_audit"))
    assert xen.call("memory_op", xen.constant("XENMEM_sharing_op"), address) == -ENOSYS
    assert xen.call("memory_op", xen.constant("XENMEM_get_sharing_freed_pages"), 0) == 0
    assert Caller().call("memory_op", Caller().constant("XENMEM_sharing_op"), 0) == -EFAULT


def test_only_the_audit_is_pretended(x86: Caller) -> None:
    address, memory = x86.struct("xen_mem_sharing_op", op=1, domain=0)
    assert x86.call("memory_op", x86.constant("XENMEM_sharing_op"), address) == -EPERM
    x86.layouts.put(memory, "xen_mem_sharing_op", domain=999)
    assert x86.call("memory_op", x86.constant("XENMEM_sharing_op"), address) == -ESRCH


def test_cpus_of_the_platform(xen: Caller) -> None:
    struct = "xenpf_pcpuinfo"
    result, body = xen.platform("get_cpuinfo", struct, xen_cpuid=5)
    if not xen.x86:
        assert result == -ENOSYS
        return
    assert result == 0
    assert xen.read(body, struct, "max_present", "flags", "apic_id", "acpi_id") == (7, 1, 5, 5)
    xen.world.pools.move_domain(xen.world.domains[6], 0)
    xen.world.pools.remove_cpu(1, 5)
    hotplug.set_online(xen.world, 5, False)
    assert xen.read(xen.platform("get_cpuinfo", struct, xen_cpuid=5)[1], struct, "flags") == 0
    assert xen.read(xen.platform("get_cpuinfo", struct, xen_cpuid=8)[1], struct, "flags") == 2
    version = "xenpf_pcpu_version"
    assert xen.read(xen.platform("get_cpu_version", version, xen_cpuid=1)[1], version, "vendor_id", "family") == (
        b"AuthenticAMD",
        25,
    )
    assert xen.read(xen.platform("get_cpu_version", version, xen_cpuid=5)[1], version, "family") == 0


def test_the_platform_s_version(xen: Caller) -> None:
    address, memory = xen.struct("xen_platform_op", cmd=9999, interface_version=1)
    assert xen.call("platform_op", address) == -EACCES
    xen.layouts.put(memory, "xen_platform_op", interface_version=xen.layouts.interfaces["platform"])
    assert xen.call("platform_op", address) == -ENOSYS


def test_time(xen: Caller) -> None:
    address, memory = xen.struct("xen_hvm_get_time")
    result = xen.call("hvm_op", xen.constant("HVMOP_get_time"), address)
    if not xen.x86:
        assert result == -ENOSYS
        return
    before = xen.read(memory, "xen_hvm_get_time", "now")
    xen.time.passes(5)
    assert xen.call("hvm_op", xen.constant("HVMOP_get_time"), address) == 0
    assert xen.read(memory, "xen_hvm_get_time", "now") == before + 5 * 10**9


def test_many_calls_in_one(xen: Caller) -> None:
    size = xen.layouts.size("multicall_entry")
    address, memory = xen.arena.take(size * 4)
    good, other = xen.struct(
        "xen_sysctl", cmd=xen.constant("XEN_SYSCTL_sched_id"), interface_version=xen.layouts.interfaces["sysctl"]
    )
    calls = [
        ("memory_op", [xen.constant("XENMEM_maximum_ram_page"), 0]),
        ("sysctl", [good]),
        ("sysctl", [0x1234]),
        ("multicall", [address, 1]),
    ]
    for index, (name, args) in enumerate(calls):
        words = b"".join(word.to_bytes(8, "little") for word in args).ljust(48, b"\0")
        number = xen.constant(f"__HYPERVISOR_{name}")
        xen.layouts.put(memory[index * size :], "multicall_entry", op=number, args=words)
    assert xen.call("multicall", address, 4) == 0
    results = [xen.read(memory[index * size :], "multicall_entry", "result") for index in range(4)]
    signed = [result - (1 << 64) if result >> 63 else result for result in results]
    assert signed == [xen.world.host.max_mfn + 1, 0, -EFAULT, -EINVAL]
    assert other[8] == 6
    assert xen.call("multicall", address, 5) == -EFAULT


def test_hypercalls_that_nobody_answers(xen: Caller) -> None:
    for name in ("event_channel_op", "grant_table_op", "argo_op"):
        assert xen.call(name, 0, 0) == -ENOSYS
    assert xen.sim.hypercall(1000, ()) == -ENOSYS
    assert xen.call("memory_op", 9999, 0) == -ENOSYS


def test_calls_are_counted_by_name(xen: Caller) -> None:
    xen.sim.counts.clear()
    xen.sysctl("physinfo")
    xen.info(3, "flags")
    xen.info(3, "flags")
    xen.sim.hypercall(1000, ())
    assert xen.sim.counts == {"sysctl physinfo": 1, "domctl getdomaininfo": 2, "hypercall 1000": 1}
