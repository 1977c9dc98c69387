"""Sysctls, on every release and architecture."""

from __future__ import annotations

from errno import EACCES, EADDRNOTAVAIL, EBUSY, EEXIST, EFAULT, EINVAL, ENODEV, ENOENT, ENOSYS, EOPNOTSUPP, EPERM, ESRCH
from typing import Any

import pytest
from caller import Caller

ANY = 0xFFFFFFFF
CREDIT, CREDIT2, ARINC653, RTDS = 5, 6, 7, 8


def test_physinfo(xen: Caller) -> None:
    result, body = xen.sysctl("physinfo")
    read = lambda *members: xen.read(body, "xen_sysctl_physinfo", *members)  # noqa: E731
    assert result == 0
    assert read("nr_cpus", "max_cpu_id") == (8, 7)
    assert read("threads_per_core", "cores_per_socket", "nr_nodes") == ((2, 2, 2) if xen.x86 else (1, 1, 1))
    total, free, scrub, claimed, highest = read(
        "total_pages", "free_pages", "scrub_pages", "outstanding_pages", "max_mfn"
    )
    assert 0 < free < total <= highest
    assert (scrub, claimed) == (0, 0)
    assert any(read("hw_cap")) == xen.x86


def test_physinfo_capabilities_come_with_releases(xen: Caller) -> None:
    capabilities = xen.read(xen.sysctl("physinfo")[1], "xen_sysctl_physinfo", "capabilities")
    assert bool(capabilities & xen.constant("XEN_SYSCTL_PHYSCAP_pv")) == xen.x86
    assert capabilities & xen.constant("XEN_SYSCTL_PHYSCAP_hap")
    assert bool(capabilities & 0x300) == (xen.release >= (4, 16))


def test_sched_id(xen: Caller) -> None:
    assert xen.read(xen.sysctl("sched_id")[1], "xen_sysctl_sched_id", "sched_id") == CREDIT2


def domain_list(xen: Caller, first: int, limit: int, room: int) -> tuple[int, list[int], bytes]:
    """(result, domids, what lies behind the last of them) of a getdomaininfolist."""
    stride = xen.layouts.size("xen_domctl_getdomaininfo")
    address, memory = xen.arena.take(b"\xaa" * stride * room)
    result, body = xen.sysctl("getdomaininfolist", first_domain=first, max_domains=limit, buffer=address)
    count = xen.read(body, "xen_sysctl_getdomaininfolist", "num_domains")
    entries = [memory[index * stride :] for index in range(count if result == 0 else 0)]
    domids = [xen.read(entry, "xen_domctl_getdomaininfo", "domain") for entry in entries]
    return result, domids, bytes(memory[count * stride :])


def test_domain_list_in_batches(xen: Caller) -> None:
    every = sorted(xen.world.domains)
    assert domain_list(xen, 0, 64, 64)[:2] == (0, every)
    assert domain_list(xen, 0, 5, 5)[:2] == (0, every[:5])
    assert domain_list(xen, every[4] + 1, 5, 5)[:2] == (0, every[5:10])
    assert domain_list(xen, every[-1] + 1, 5, 5)[:2] == (0, [])
    assert domain_list(xen, 0, 0, 0)[:2] == (0, [])


def test_domain_list_writes_no_more_than_it_says(xen: Caller) -> None:
    _, domids, behind = domain_list(xen, 0, 64, 64)
    assert set(behind) == {0xAA}
    assert len(behind) == (64 - len(domids)) * xen.layouts.size("xen_domctl_getdomaininfo")


def test_domain_list_without_room_faults(xen: Caller) -> None:
    assert domain_list(xen, 0, 64, 3)[0] == -EFAULT


def test_cpu_idle_times(xen: Caller) -> None:
    size = xen.layouts.size("xen_sysctl_cpuinfo")

    def idle(room: int) -> list[int]:
        address, memory = xen.arena.take(size * room)
        result, body = xen.sysctl("getcpuinfo", max_cpus=room, info=address)
        count = xen.read(body, "xen_sysctl_getcpuinfo", "nr_cpus")
        assert result == 0
        return [xen.read(memory[size * index :], "xen_sysctl_cpuinfo", "idletime") for index in range(count)]

    before = idle(64)
    xen.time.passes(10)
    after = idle(64)
    assert len(before) == 8
    assert len(idle(3)) == 3
    for earlier, later in zip(before, after, strict=True):
        assert 0 <= later - earlier <= 10 * 10**9


def test_time_is_shared_out_among_domains_and_idling(xen: Caller) -> None:
    def spent() -> int:
        ticks = xen.world.clock.ticks()
        return sum(d.cpu_time(ticks) for d in xen.world.domains.values()) + sum(
            cpu.idle(ticks) for cpu in xen.world.host.cpus
        )

    before = spent()
    xen.time.passes(100)
    assert spent() - before == pytest.approx(8 * 100 * 10**9, rel=1e-6)


def test_available_heap(xen: Caller) -> None:
    def heap(**members: int) -> Any:
        result, body = xen.sysctl("availheap", **members)
        assert result == 0
        return xen.read(body, "xen_sysctl_availheap", "avail_bytes")

    nodes = xen.world.host.nr_nodes
    assert heap(node=ANY) == xen.world.free_pages * 4096
    assert abs(sum(heap(node=node) for node in range(nodes)) - heap(node=ANY)) < 4096 * nodes
    assert heap(node=9) == 0
    assert heap(node=ANY, max_bitwidth=32) == 0


def test_cpu_topology(xen: Caller) -> None:
    size = xen.layouts.size("xen_sysctl_cputopo")
    result, body = xen.sysctl("cputopoinfo")
    assert (result, xen.read(body, "xen_sysctl_cputopoinfo", "num_cpus")) == (0, 8)
    address, memory = xen.arena.take(size * 8)
    result, body = xen.sysctl("cputopoinfo", num_cpus=8, cputopo=address)
    places = [xen.read(memory[size * c :], "xen_sysctl_cputopo", "core", "socket", "node") for c in range(8)]
    assert places == ([(c % 4 // 2, c // 4, c // 4) for c in range(8)] if xen.x86 else [(0, 0, 0)] * 8)


def test_numa(xen: Caller) -> None:
    nodes = xen.world.host.nr_nodes
    result, body = xen.sysctl("numainfo")
    assert (result, xen.read(body, "xen_sysctl_numainfo", "num_nodes")) == (0, nodes)
    size = xen.layouts.size("xen_sysctl_meminfo")
    (meminfo, memory), (distance, steps) = xen.arena.take(size * nodes), xen.arena.take(4 * nodes * nodes)
    assert xen.sysctl("numainfo", num_nodes=nodes, meminfo=meminfo, distance=distance)[0] == 0
    sizes = [xen.read(memory[size * node :], "xen_sysctl_meminfo", "memsize", "memfree") for node in range(nodes)]
    assert sum(memsize for memsize, _ in sizes) == xen.world.host.total_pages * 4096
    assert all(0 < free < memsize for memsize, free in sizes)
    assert steps.cast("I").tolist() == ([10, 21, 21, 10] if xen.x86 else [20])


def cpupool(xen: Caller, op: str, nr_bits: int = 0, **members: int) -> tuple[int, memoryview, int]:
    """(result, the struct, the bits of the CPU map) of a cpupool operation."""
    struct = "xen_sysctl_cpupool_op"
    address, memory = xen.struct(
        "xen_sysctl", cmd=xen.constant("XEN_SYSCTL_cpupool_op"), interface_version=xen.layouts.interfaces["sysctl"]
    )
    body = memory[xen.layouts.offset("xen_sysctl", "u") :]
    xen.layouts.put(body, struct, op=xen.constant(f"XEN_SYSCTL_CPUPOOL_OP_{op}"), **members)
    bits = xen.bitmap(body, struct, "cpumap", 0, nr_bits)
    return xen.call("sysctl", address), body, int.from_bytes(bits, "little")


def test_pools_are_found_one_after_another(xen: Caller) -> None:
    struct = "xen_sysctl_cpupool_op"
    result, body, cpus = cpupool(xen, "INFO", 64, cpupool_id=0)
    assert (result, cpus) == (0, 0b11111)
    assert xen.read(body, struct, "cpupool_id", "sched_id") == (0, CREDIT2)
    result, body, cpus = cpupool(xen, "INFO", 64, cpupool_id=1)
    assert (cpus, xen.read(body, struct, "cpupool_id", "sched_id", "n_dom")) == (0b1100000, (1, CREDIT, 1))
    assert cpupool(xen, "INFO", 64, cpupool_id=2)[0] == -ENOENT
    assert cpupool(xen, "FREEINFO", 64)[2] == 0b10000000


def test_a_pool_is_made_filled_emptied_and_removed(xen: Caller) -> None:
    result, body, _ = cpupool(xen, "CREATE", cpupool_id=ANY, sched_id=RTDS)
    assert (result, xen.read(body, "xen_sysctl_cpupool_op", "cpupool_id")) == (0, 2)
    assert cpupool(xen, "ADDCPU", cpupool_id=2, cpu=ANY)[0] == 0
    assert cpupool(xen, "INFO", 8, cpupool_id=2)[2] == 0b10000000
    assert cpupool(xen, "DESTROY", cpupool_id=2)[0] == -EBUSY
    assert cpupool(xen, "RMCPU", cpupool_id=2, cpu=ANY)[0] == 0
    assert cpupool(xen, "DESTROY", cpupool_id=2)[0] == 0
    assert cpupool(xen, "INFO", 8, cpupool_id=2)[0] == -ENOENT


def test_what_pools_refuse(xen: Caller) -> None:
    assert cpupool(xen, "CREATE", cpupool_id=1, sched_id=CREDIT)[0] == -EEXIST
    assert cpupool(xen, "CREATE", cpupool_id=ANY, sched_id=ARINC653)[0] == -ENOENT
    assert cpupool(xen, "DESTROY", cpupool_id=9)[0] == -ENOENT
    assert cpupool(xen, "DESTROY", cpupool_id=1)[0] == -EBUSY
    assert cpupool(xen, "ADDCPU", cpupool_id=9, cpu=7)[0] == -ENOENT
    assert cpupool(xen, "ADDCPU", cpupool_id=0, cpu=99)[0] == -EINVAL
    assert cpupool(xen, "ADDCPU", cpupool_id=0, cpu=5)[0] == -ENODEV
    assert cpupool(xen, "RMCPU", cpupool_id=0, cpu=0)[0] == -EINVAL
    assert cpupool(xen, "RMCPU", cpupool_id=0, cpu=5)[0] == -EADDRNOTAVAIL
    assert cpupool(xen, "RMCPU", cpupool_id=1, cpu=5)[0] == 0
    assert cpupool(xen, "RMCPU", cpupool_id=1, cpu=6)[0] == -EBUSY  # its last, and a domain lives there


def test_domains_move_and_lose_what_they_were_told(xen: Caller) -> None:
    domain = xen.world.domains[1]
    domain.weight = 512
    assert cpupool(xen, "MOVEDOMAIN", cpupool_id=1, domid=1)[0] == 0
    assert xen.info(1, "cpupool") == 1
    assert domain.weight == 256
    assert {vcpu.cpu.id for vcpu in domain.existing() if vcpu.cpu} <= {5, 6}
    assert cpupool(xen, "MOVEDOMAIN", cpupool_id=9, domid=1)[0] == -ENOENT
    assert cpupool(xen, "MOVEDOMAIN", cpupool_id=1, domid=999)[0] == -ESRCH
    assert cpupool(xen, "MOVEDOMAIN", cpupool_id=1, domid=0)[0] == -EPERM


def scheduler(xen: Caller, pool: int, sched_id: int, cmd: str, arm: str, **members: int) -> tuple[int, memoryview]:
    address, memory = xen.struct(
        "xen_sysctl", cmd=xen.constant("XEN_SYSCTL_scheduler_op"), interface_version=xen.layouts.interfaces["sysctl"]
    )
    body = memory[xen.layouts.offset("xen_sysctl", "u") :]
    number = xen.constant(f"XEN_SYSCTL_SCHEDOP_{cmd}")
    xen.layouts.put(body, "xen_sysctl_scheduler_op", cpupool_id=pool, sched_id=sched_id, cmd=number)
    arm_at = body[xen.layouts.offset("xen_sysctl_scheduler_op", "u") :]
    xen.layouts.put(arm_at, arm, **members)
    return xen.call("sysctl", address), arm_at


def test_scheduler_parameters_of_a_pool(xen: Caller) -> None:
    arm = "xen_sysctl_credit_schedule"
    result, body = scheduler(xen, 1, CREDIT, "getinfo", arm)
    assert (result, *xen.read(body, arm, "tslice_ms", "ratelimit_us")) == (0, 30, 1000)
    assert scheduler(xen, 1, CREDIT, "putinfo", arm, tslice_ms=10, ratelimit_us=200, vcpu_migr_delay_us=5)[0] == 0
    body = scheduler(xen, 1, CREDIT, "getinfo", arm)[1]
    assert xen.read(body, arm, "tslice_ms", "ratelimit_us", "vcpu_migr_delay_us") == (10, 200, 5)
    for wrong in (
        {"tslice_ms": 0},
        {"tslice_ms": 1001},
        {"tslice_ms": 1, "ratelimit_us": 2000},
        {"tslice_ms": 9, "ratelimit_us": 9},
    ):
        assert scheduler(xen, 1, CREDIT, "putinfo", arm, **wrong)[0] == -EINVAL
    assert scheduler(xen, 0, CREDIT, "getinfo", arm)[0] == -EINVAL
    assert scheduler(xen, 9, CREDIT, "getinfo", arm)[0] == -ESRCH
    two = "xen_sysctl_credit2_schedule"
    assert scheduler(xen, 0, CREDIT2, "putinfo", two, ratelimit_us=0)[0] == 0
    assert b"Disabling context switch rate limiting" in xen.world.console.read(1 << 14, 0, False)[0]


def hotplug(xen: Caller, op: str, cpu: int = 0) -> int:
    return xen.sysctl("cpu_hotplug", cpu=cpu, op=xen.constant(f"XEN_SYSCTL_CPU_HOTPLUG_{op}"))[0]


def test_cpus_go_down_and_up(xen: Caller) -> None:
    if not xen.x86:
        assert hotplug(xen, "OFFLINE", 1) == -ENOSYS
        return
    assert hotplug(xen, "OFFLINE", 1) == 0
    assert xen.read(xen.sysctl("physinfo")[1], "xen_sysctl_physinfo", "nr_cpus") == 7
    assert cpupool(xen, "INFO", 8, cpupool_id=0)[2] == 0b11101
    assert hotplug(xen, "OFFLINE", 1) == -EEXIST
    assert hotplug(xen, "ONLINE", 1) == 0
    assert cpupool(xen, "INFO", 8, cpupool_id=0)[2] == 0b11111
    assert hotplug(xen, "OFFLINE", 0) == -EINVAL
    assert hotplug(xen, "ONLINE", 99) == -EINVAL


def test_second_threads_go_down_together(x86: Caller) -> None:
    assert hotplug(x86, "SMT_DISABLE") == -ENODEV  # CPU 5 is in a pool that keeps it
    assert cpupool(x86, "MOVEDOMAIN", cpupool_id=0, domid=6)[0] == 0
    assert [cpupool(x86, "RMCPU", cpupool_id=1, cpu=cpu)[0] for cpu in (5, 6)] == [0, 0]
    assert hotplug(x86, "SMT_DISABLE") == 0
    assert x86.world.host.online == 0b01010101
    assert hotplug(x86, "SMT_ENABLE") == 0
    assert x86.world.host.online == 0b11111111
    assert Caller("cpus=1,nodes=1").sysctl("cpu_hotplug", op=2)[0] == -EOPNOTSUPP


def pages(xen: Caller, cmd: str, start: int, end: int, room: int | None = None) -> tuple[int, list[int]]:
    address, memory = xen.arena.take(4 * (end - start + 1 if room is None else room))
    result, _ = xen.sysctl("page_offline_op", cmd=xen.constant(cmd), start=start, end=end, status=address)
    return result, memory.cast("I").tolist()


def test_pages_are_taken_out_of_use_and_put_back(xen: Caller) -> None:
    top = xen.world.host.max_mfn
    flag = xen.constant
    assert pages(xen, "sysctl_page_offline", top - 1, top) == (0, [flag("PG_OFFLINE_OFFLINED")] * 2)
    assert pages(xen, "sysctl_query_page_offline", top - 2, top) == (0, [0] + [flag("PG_OFFLINE_STATUS_OFFLINED")] * 2)
    assert pages(xen, "sysctl_page_online", top, top) == (0, [flag("PG_ONLINE_ONLINED")])
    assert pages(xen, "sysctl_query_page_offline", top, top) == (0, [0])


def test_pages_that_cannot_be_taken(xen: Caller) -> None:
    flag = xen.constant
    assert pages(xen, "sysctl_page_offline", 0x500, 0x500)[0] == -EPERM
    assert pages(xen, "sysctl_page_offline", 1 << 31, 1 << 31) == (-EINVAL, [0x01010101])
    result, status = pages(xen, "sysctl_page_offline", 0x2000, 0x2000)
    assert (result, status[0] & 0xFFFF) == (0, flag("PG_OFFLINE_OWNED") | flag("PG_OFFLINE_PENDING"))
    assert pages(xen, "sysctl_query_page_offline", 2, 1, 1)[0] == -EINVAL
    assert pages(xen, "sysctl_query_page_offline", 0x2000, 0x2003, 3)[0] == -EFAULT


def test_another_version_is_refused_before_anything_else(xen: Caller) -> None:
    size = xen.layouts.size("xen_sysctl")
    right = xen.layouts.interfaces["sysctl"]
    for version in (0, right - 1, right + 1):
        address, _ = xen.struct("xen_sysctl", cmd=99, interface_version=version)
        assert xen.call("sysctl", address) == -EACCES
    address, _ = xen.struct("xen_sysctl", cmd=99, interface_version=right)
    assert xen.call("sysctl", address) == -ENOSYS
    short, memory = xen.arena.take(size - 1)
    xen.layouts.put(memory, "xen_sysctl", cmd=xen.constant("XEN_SYSCTL_sched_id"), interface_version=right)
    assert xen.call("sysctl", short) == -EFAULT


def test_a_host_can_insist_on_another_version() -> None:
    xen = Caller("sysctl=0x99")
    assert xen.sysctl("physinfo")[0] == -EACCES
    address, _ = xen.struct("xen_sysctl", cmd=xen.constant("XEN_SYSCTL_physinfo"), interface_version=0x99)
    assert xen.call("sysctl", address) == 0
