"""What nodes show, held against the simulated world's own objects, which know nothing of bytes, layouts or nodes."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from uuid import UUID

import pytest
from worlds import COMBINATIONS, EVERYTHING, Host

from xenfs.errors import BadInput, XenfsError
from xenfs.simulator.world.domains import NOT_SHUT_DOWN, Domain
from xenfs.simulator.world.host import cpus_in

PAGE_KB = 4
SCHEDULERS = {5: "credit", 6: "credit2", 7: "arinc653", 8: "rtds", 9: "null"}


@pytest.fixture(params=COMBINATIONS, ids="-".join)
def each(request: pytest.FixtureRequest) -> Iterator[Host]:
    """The default host of each release and architecture in turn."""
    release, arch = request.param
    with Host(f"xen={release},arch={arch}") as host:
        yield host


def cpu_list(mask: int) -> str:
    """A mask as Linux writes lists, made without the code under test."""
    found = ["1" if mask >> bit & 1 else "0" for bit in range(mask.bit_length())]
    runs = [(run.start(), run.end() - 1) for run in re.finditer("1+", "".join(found))]
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def kind(host: Host, domain: Domain) -> str:
    return domain.kind if host.world.host.x86 else "pvh"


def state(host: Host, domain: Domain) -> set[str]:
    """The states that may be shown: of running ones, whether this moment is theirs is the scheduler's to say."""
    if domain.dying:
        return {"dying"}
    if domain.shutdown_code != NOT_SHUT_DOWN:
        return {"crashed"} if domain.shutdown_code == 3 else {"shutdown"}
    return {"paused"} if domain.pause_count else {"running", "blocked", "runnable"}


def limit(domain: Domain) -> str:
    return "max" if domain.max_pages >= 2**32 - 1 else str(domain.max_pages * PAGE_KB)


def test_domains(each: Host) -> None:
    world, ticks = each.world, each.world.clock.ticks()
    reasons = {0: "poweroff", 1: "reboot", 2: "suspend", 3: "crash", 4: "watchdog", 5: "soft_reset"}
    for domain in world.domains_from(0):
        at = f"domains/{domain.domid}"
        shut = domain.shutdown_code
        assert each.value(f"{at}/uuid") == str(UUID(bytes=domain.handle))
        assert each.value(f"{at}/name") == (domain.name or "")
        assert each.value(f"{at}/type") == kind(each, domain)
        assert each.value(f"{at}/state") in state(each, domain)
        assert each.value(f"{at}/shutdown_reason") == (reasons[shut] if shut != NOT_SHUT_DOWN else "")
        assert each.value(f"{at}/cpu_time_ns") == str(domain.cpu_time(ticks))
        assert each.value(f"{at}/nr_online_vcpus") == str(sum(vcpu.online for vcpu in domain.existing()))
        assert each.value(f"{at}/max_vcpu_id") == str(len(domain.existing()) - 1)
        assert each.value(f"{at}/cpupool") == str(domain.pool.id)
        assert each.value(f"{at}/freeze") == ("1" if domain.pause_count else "0")
        assert each.value(f"{at}/memory/current_kb") == str(domain.tot_pages * PAGE_KB)
        assert each.value(f"{at}/memory/max") == limit(domain)
        assert each.value(f"{at}/memory/shared_kb") == str(domain.shared_pages * PAGE_KB)
        assert each.value(f"{at}/memory/paged_kb") == str(domain.paged_pages * PAGE_KB)
        assert each.value(f"{at}/sched/weight") == str(domain.weight)
        assert each.value(f"{at}/sched/cap") == str(domain.cap)
        assert each.names(f"{at}/vcpus") == [str(vcpu.id) for vcpu in domain.existing()]


def test_the_default_host_has_every_kind_and_state(host: Host) -> None:
    stat = host.value("domains/stat").splitlines()
    assert {re.search(r" type=(\w+)", line)[1] for line in stat} == {"pv", "pvh", "hvm"}  # type: ignore[index]
    states = {host.value(f"domains/{d}/state") for d in (0, 3, 9, 10, 12, 15)}
    assert {"paused", "shutdown", "crashed", "dying"} <= states
    assert host.value("domains/12/shutdown_reason") == "crash"


def test_stat_lines_repeat_the_single_files(each: Host) -> None:
    lines = each.value("domains/stat").splitlines()
    assert [int(line.split()[0]) for line in lines] == [domain.domid for domain in each.world.domains_from(0)]
    for line in lines:
        domid, *pairs = line.split(" ")
        for pair in pairs:
            key, _, value = pair.partition("=")
            shown = each.value(f"domains/{domid}/{key}")
            assert value == (shown or "-"), (domid, key)


def test_info_repeats_the_single_files(each: Host) -> None:
    for domid in (0, 1, 3, 15):
        info, domain = each.flat(f"domains/{domid}/info"), each.world.domains[domid]
        assert info["domain"] == str(domid)
        assert info["tot_pages"] == str(domain.tot_pages)
        assert info["max_pages"] == str(domain.max_pages)
        assert info["handle"].replace(":", "") == domain.handle.hex()
        assert info["cpupool"] == str(domain.pool.id)
        assert ("gpaddr_bits" in info) == (each.xen.abi.domctl >= 0x14)
        assert not any(key.startswith("pad") for key in info)


def test_vcpus(each: Host) -> None:
    world, ticks = each.world, each.world.clock.ticks()
    for domain in world.domains_from(0):
        rows = each.value(f"domains/{domain.domid}/vcpu_stat").splitlines()
        assert [row.split()[0] for row in rows] == [str(vcpu.id) for vcpu in domain.existing()]
        for vcpu, row in zip(domain.existing(), rows, strict=True):
            at = f"domains/{domain.domid}/vcpus/{vcpu.id}"
            assert vcpu.cpu is not None
            assert each.value(f"{at}/online") == str(int(vcpu.online))
            assert each.value(f"{at}/cpu") == str(vcpu.cpu.id)
            assert each.value(f"{at}/cpu_time_ns") == str(domain.vcpu_time(vcpu, ticks))
            assert each.value(f"{at}/affinity_hard") == cpu_list(vcpu.hard)
            assert each.value(f"{at}/affinity_soft") == cpu_list(vcpu.soft)
            assert each.value(f"{at}/affinity_hard.effective") == cpu_list(vcpu.hard & domain.pool.cpus)
            assert each.value(f"{at}/affinity_soft.effective") == cpu_list(vcpu.hard & vcpu.soft & domain.pool.cpus)
            pairs = dict(pair.split("=") for pair in row.split()[1:])
            assert pairs == {name: each.value(f"{at}/{name}") for name in ("online", "state", "cpu")} | {
                "time_ns" if "time_ns" in pairs else "cpu_time_ns": each.value(f"{at}/cpu_time_ns")
            }


def test_states_agree_over_time(host: Host) -> None:
    """A domain runs when one of its vCPUs does, whenever one looks."""
    seen = set()
    for _ in range(30):
        host.advance(0.1373)
        for domid in (1, 3, 4, 7, 16):
            shown = host.value(f"domains/{domid}/state")
            vcpus = {host.value(f"domains/{domid}/vcpus/{v}/state") for v in host.names(f"domains/{domid}/vcpus")}
            assert (shown == "running") == ("running" in vcpus)
            seen.add(shown)
    assert {"running", "blocked"} <= seen


def test_offline_vcpus(host: Host) -> None:
    domain = host.world.domains[3]
    domain.vcpus[1].online = False  # type: ignore[union-attr]
    domain.vcpus[2] = None
    domain.info = None
    host.world.placement.again(domain, host.world.clock.ticks())
    assert host.value("domains/3/vcpus/1/state") == "offline"
    assert host.value("domains/3/vcpus/1/online") == "0"
    assert host.value("domains/3/nr_online_vcpus") == "2"
    assert "1 online=0 state=offline" in host.value("domains/3/vcpu_stat")


def test_host(each: Host) -> None:
    world, machine = each.world, each.world.host
    assert each.value("host/scheduler") == SCHEDULERS[world.pools.by_id[0].scheduler]
    assert each.value("host/cpu_khz") == str(machine.cpu_khz)
    assert each.value("host/memory/total_kb") == str(machine.total_pages * PAGE_KB)
    assert each.value("host/memory/free_kb") == str(world.free_pages * PAGE_KB)
    assert each.value("host/memory/claimed_kb") == str(world.claimed_pages * PAGE_KB)
    assert each.value("host/memory/max_mfn") == str(machine.max_mfn)
    info = each.flat("host/info")
    assert info["nr_cpus"] == str(machine.nr_online)
    assert info["total_pages"] == str(machine.total_pages)
    assert info["max_node_id"] == "63"
    caps = each.value("host/virt_caps").split()
    assert {"hvm", "hap"} <= set(caps)
    assert ("pv" in caps) == machine.x86
    # Two gnttab capabilities are told of since 4.15, vmtrace and the others where the release has them.
    assert ("gnttab-v1" in caps) == (each.xen.abi.release >= (4, 16)), caps
    assert re.fullmatch(r"([0-9a-f]{8}:){7}[0-9a-f]{8}", each.value("host/hw_caps"))
    assert each.value("host/hw_caps").startswith("178bfbff:76fa320b" if machine.x86 else "00000000")


def test_cpus(each: Host) -> None:
    machine, ticks = each.world.host, each.world.clock.ticks()
    assert each.value("host/cpus/present") == cpu_list(machine.present)
    rows = each.value("host/cpu_stat").splitlines()
    assert rows == [f"cpu{cpu.id} {cpu.idle(ticks)}" for cpu in machine.cpus]
    for cpu in machine.cpus:
        at = f"host/cpus/{cpu.id}"
        assert each.value(f"{at}/idle_ns") == str(cpu.idle(ticks))
        assert each.value(f"{at}/topology/core_id") == str(cpu.core)
        assert each.value(f"{at}/topology/physical_package_id") == str(cpu.socket)
        assert each.value(f"{at}/topology/node") == str(cpu.node)
        if machine.x86:
            assert each.value(f"{at}/apic_id") == str(machine.apic_id(cpu))
            assert each.value(f"{at}/online") == "1"
    if machine.x86:
        assert each.value("host/cpus/online") == cpu_list(machine.online)


def test_numa(each: Host) -> None:
    machine = each.world.host
    assert each.names("host/nodes") == [str(node) for node in range(machine.nr_nodes)]
    for node in range(machine.nr_nodes):
        at = f"host/nodes/{node}"
        assert each.value(f"{at}/cpulist") == cpu_list(sum(1 << cpu.id for cpu in machine.cpus if cpu.node == node))
        distances = each.value(f"{at}/distance").split(" ")
        assert len(distances) == machine.nr_nodes
        if machine.x86:
            assert distances == ["10" if other == node else "21" for other in range(machine.nr_nodes)]
        info = each.flat(f"{at}/meminfo")
        assert info["MemTotal"] == f"{machine.node_pages(node) * PAGE_KB} kB"
        assert int(info["MemFree"].split()[0]) * 1024 == int(each.value(f"{at}/heap_free_bytes"))
    answer = int(each.put(each.at("host/memory/availheap"), b"-1 0 0"))
    assert answer == each.world.free_pages * 4096


def test_distances_of_three_nodes_are_rows() -> None:
    with Host("nodes=3,cpus=6") as host:
        assert [host.value(f"host/nodes/{n}/distance") for n in range(3)] == ["10 21 21", "21 10 21", "21 21 10"]


def test_e820_and_rmrr(host: Host) -> None:
    names = {1: "ram", 2: "reserved", 3: "acpi_data"}
    assert host.value("host/memory/e820").splitlines() == [
        f"{start:#x}-{start + size:#x} {names[kind]}" for start, size, kind in host.world.host.memory_map()
    ]
    wanted = {f"{start:#x} {pages}" for ranges in host.world.host.device_memory().values() for start, pages in ranges}
    assert set(host.value("host/memory/rmrr").splitlines()) == wanted


def test_cpupools(each: Host) -> None:
    pools = each.world.pools
    assert each.value("cpupools/free_cpus") == cpu_list(pools.free)
    assert each.names("cpupools") == ["free_cpus", "by-name", *map(str, sorted(pools.by_id))]
    for number, pool in pools.by_id.items():
        at = f"cpupools/{number}"
        assert each.value(f"{at}/scheduler") == SCHEDULERS[pool.scheduler]
        assert each.value(f"{at}/cpus") == cpu_list(pool.cpus)
        assert each.value(f"{at}/nr_domains") == str(len(pool.domains))
        assert each.value(f"{at}/domains").split() == [str(d) for d in sorted(domain.domid for domain in pool.domains)]
        assert each.value(f"{at}/sched/ratelimit_us") == str(pool.ratelimit_us)
        assert each.has(f"{at}/sched/tslice_ms") == (pool.scheduler == 5)
        if pool.scheduler == 5:
            assert each.value(f"{at}/sched/tslice_ms") == str(pool.tslice_ms)
            assert each.value(f"{at}/sched/vcpu_migr_delay_us") == str(pool.migration_delay_us)
        if each.xen.abi.release >= (4, 15):
            assert each.value(f"{at}/sched_gran") == pool.granularity


def test_pool_without_parameters(host: Host) -> None:
    host.world.pools.create(9, 4)
    host.world.pools.create(8, 5)
    for pool in (4, 5):
        assert not host.has(f"cpupools/{pool}/sched")
        assert host.value(f"cpupools/{pool}/cpus") == ""
        assert host.value(f"cpupools/{pool}/domains") == ""


def test_version(each: Host) -> None:
    release = each.sim.settings.xen
    point = each.sim.settings.point
    assert each.value("version/full") == f"{release}.{point}"
    assert [each.value(f"version/{name}") for name in ("major", "minor", "extra")] == [*release.split("."), f".{point}"]
    assert each.value("version/pagesize") == "4096"
    assert list(each.flat("version/compile_info")) == ["compiler", "compile_by", "compile_domain", "compile_date"]
    hypfs = {
        name: each.value(f"hypfs/buildinfo/compileinfo/{name}") for name in each.names("hypfs/buildinfo/compileinfo")
    }
    assert hypfs == each.flat("version/compile_info")
    assert each.value("hypfs/buildinfo/changeset") == each.value("version/changeset")
    assert each.read("hypfs/buildinfo/config") == each.read("version/config")
    assert re.fullmatch(r"[0-9a-f]{40}", each.value("version/build_id"))
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", name) for name in each.value("version/features").splitlines())
    interface = each.flat("xenfs/interface")
    assert interface["xen"] == f"{release}.{point}"
    assert (int(interface["domctl"], 16), int(interface["sysctl"], 16)) == (each.xen.abi.domctl, each.xen.abi.sysctl)
    assert interface["arch"] == each.sim.arch
    assert interface["backend"] == "simulator"


# Writes


def test_freeze_pauses_once(host: Host) -> None:
    domain = host.world.domains[1]
    for text, count in (("1", 1), ("1", 1), ("1\n", 1), ("0", 0), ("0", 0), ("1", 1), ("0\n", 0)):
        host.write("domains/1/freeze", text)
        assert domain.pause_count == count
        assert host.value("domains/1/freeze") == str(count)
    host.world.pause(1)
    host.world.pause(1)
    host.write("domains/1/freeze", "1")
    assert domain.pause_count == 2, "somebody else has paused it already"
    with pytest.raises(BadInput, match="others hold it still") as caught:
        host.write("domains/1/freeze", "0")
    assert caught.value.errno == errno.EBUSY
    assert domain.pause_count == 1
    assert host.value("domains/1/freeze") == "1", "somebody else keeps it paused"


def test_kill(host: Host) -> None:
    domain = host.world.domains[4]
    host.write("domains/4/kill", "1")
    assert domain.dying
    assert host.value("domains/4/state") == "dying"
    assert host.has("domains/4/uuid"), "a dying domain stays visible"
    host.write("domains/4/kill", "1")
    host.advance(5)
    assert not host.has("domains/4")
    assert "mail" not in host.names("domains/by-name")
    assert "4 " not in [line[:2] for line in host.value("domains/stat").splitlines()]


def test_memory_max(host: Host) -> None:
    domain = host.world.domains[1]
    host.write("domains/1/memory/max", "524288\n")
    assert domain.max_pages == 131072
    assert host.value("domains/1/memory/max") == "524288"
    host.write("domains/1/memory/max", " max ")
    assert domain.max_pages == 2**32 - 1
    assert host.value("domains/1/memory/max") == "max"
    host.write("domains/1/memory/max", "4")
    assert domain.max_pages == 1 < domain.tot_pages, "less than it has is allowed"
    host.write("domains/1/memory/max", "0x1000")
    assert host.value("domains/1/memory/max") == "4096"
    assert host.value("domains/0/memory/max") == "max"


@pytest.mark.parametrize(("domid", "scheduler"), [(1, 6), (6, 5)])
def test_shares_in_pools_of_both_schedulers(host: Host, domid: int, scheduler: int) -> None:
    domain = host.world.domains[domid]
    assert domain.pool.scheduler == scheduler
    host.write(f"domains/{domid}/sched/weight", "512")
    host.write(f"domains/{domid}/sched/cap", "50")
    assert (domain.weight, domain.cap) == (512, 50)
    host.write(f"domains/{domid}/sched/weight", "65535")
    assert (domain.weight, domain.cap) == (65535, 50), "one is set, the other stays"
    host.write(f"domains/{domid}/sched/cap", "0")
    assert [host.value(f"domains/{domid}/sched/{name}") for name in ("weight", "cap")] == ["65535", "0"]
    assert host.names(f"domains/{domid}/sched") == ["weight", "cap"]


def test_a_cap_that_credit_would_take_for_no_change(host: Host) -> None:
    """credit keeps its cap when it is given 65535: what a write says is done, or it is refused."""
    with pytest.raises(XenfsError) as caught:
        host.write("domains/6/sched/cap", "65535")
    assert caught.value.errno == errno.ERANGE


def test_affinity(host: Host) -> None:
    vcpu = host.world.domains[1].vcpus[0]
    assert vcpu is not None
    for which in ("hard", "soft"):
        path = f"domains/1/vcpus/0/affinity_{which}"
        for text, mask in (
            ("0-2", 0b111),
            ("+4", 0b10111),
            ("-1\n", 0b10101),
            ("all", 0xFF),
            ("0,2-3", 0b1101),
            ("3,2,0", 0b1101),
        ):
            host.write(path, text)
            assert getattr(vcpu, which) == mask
            assert host.value(path) == cpu_list(mask)
    host.write("domains/1/vcpus/0/affinity_hard", "0-1")
    host.write("domains/1/vcpus/0/affinity_soft", "1-7")
    assert host.value("domains/1/vcpus/0/affinity_soft.effective") == "1"
    assert host.value("domains/1/vcpus/1/affinity_hard") == "0-7", "the other vCPU's is its own"
    assert cpus_in(vcpu.hard) == [0, 1]


def test_affinity_on_many_cpus() -> None:
    with Host("cpus=300,nodes=4") as host:
        host.write("domains/1/vcpus/0/affinity_hard", "0,63-65,127-128,150-151")
        assert host.value("domains/1/vcpus/0/affinity_hard") == "0,63-65,127-128,150-151"
        host.write("domains/1/vcpus/0/affinity_soft", "all")
        assert host.value("domains/1/vcpus/0/affinity_soft") == "0-299"


def test_cpus_go_offline_and_come_back(host: Host) -> None:
    host.write("host/cpus/7/online", "0")
    assert not host.world.host.cpus[7].online
    assert host.value("host/cpus/online") == "0-6"
    before = host.counts.copy()
    host.write("host/cpus/7/online", "0")
    assert "sysctl cpu_hotplug" not in host.asked(before)
    host.write("host/cpus/7/online", "1")
    assert host.value("host/cpus/online") == "0-7"
    with pytest.raises(XenfsError) as caught:
        host.write("host/cpus/0/online", "0")
    assert caught.value.errno == errno.EINVAL


def test_hypfs_types_and_bounds(host: Host) -> None:
    for at in ("host/params", "hypfs/params"):
        for path, text in (
            (f"{at}/pretended-int", "-2147483648"),
            (f"{at}/pretended-int", "2147483647"),
            (f"{at}/pretended-uint", "4294967295"),
            (f"{at}/pretended-uint", "0"),
            (f"{at}/loglvl", "none/all"),
        ):
            host.write(path, f"{text}\n")
            assert host.value(path) == text
        for path, text in (
            (f"{at}/pretended-int", "-2147483649"),
            (f"{at}/pretended-int", "2147483648"),
            (f"{at}/pretended-uint", "4294967296"),
            (f"{at}/pretended-uint", "-1"),
        ):
            with pytest.raises(XenfsError) as caught:
                host.write(path, text)
            assert caught.value.errno == errno.ERANGE
        with pytest.raises(XenfsError):
            host.write(f"{at}/console_timestamps", "sometimes")
        host.write(f"{at}/console_timestamps", "raw")
        assert host.value(f"{at}/console_timestamps") == "raw"
    assert host.names("host/params") == host.names("hypfs/params")
    assert host.value("hypfs/buildinfo/version/major") == "4"


def test_page_offline_questions(host: Host) -> None:
    asked = host.put(host.at("host/memory/page_status"), b"0x100-0x102\n").decode().splitlines()
    assert asked == ["0x100 online", "0x101 online", "0x102 online"]
    frame = host.world.host.max_mfn - 5
    before = host.put(host.at("host/memory/page_status"), str(frame).encode()).decode()
    host.put(host.at("host/memory/soft_offline_page"), str(frame).encode())
    after = host.put(host.at("host/memory/page_status"), f"{frame:#x}".encode()).decode()
    assert frame in host.world.host.offlined
    assert after.split()[0] == f"{frame:#x}"
    assert "offline" in after
    assert host.put(host.at("host/memory/online_page"), str(frame).encode()).decode() == f"{frame:#x} onlined\n"
    assert host.put(host.at("host/memory/page_status"), str(frame).encode()).decode() == before
    for question in (b"0xbf001", str(frame + 100).encode()):
        with pytest.raises(XenfsError) as caught:
            host.put(host.at("host/memory/page_status"), question)
        assert caught.value.errno == errno.EINVAL


def test_console_is_read_from_the_first_byte_and_followed(host: Host) -> None:
    node = host.at("host/console/log").node
    whole, position = node.follow(host.xen, None)  # type: ignore[attr-defined]
    assert whole.decode() == host.read("host/console/log")
    assert node.follow(host.xen, position) == (b"", position)  # type: ignore[attr-defined]
    host.world.console.print("first", "second")
    new, position = node.follow(host.xen, position)  # type: ignore[attr-defined]
    assert new == b"(XEN) first\n(XEN) second\n"
    for number in range(3000):
        host.world.console.print(f"line {number}")
    lapped, position = node.follow(host.xen, position)  # type: ignore[attr-defined]
    assert lapped.endswith(b"(XEN) line 2999\n")
    assert len(lapped) <= 1 << 14
    host.write("host/console/log_clear", "1")
    assert host.read("host/console/log") == ""
    assert node.follow(host.xen, position) == (b"", position)  # type: ignore[attr-defined]


def test_console_positions_wrap(host: Host) -> None:
    from xenfs.simulator.world.console import Console

    host.world.console = Console(2**32 - 20)
    node = host.at("host/console/log").node
    host.world.console.print("a")
    first, position = node.follow(host.xen, None)  # type: ignore[attr-defined]
    assert first == b"(XEN) a\n"
    host.world.console.print("b" * 40)
    assert node.follow(host.xen, position)[0] == b"(XEN) " + b"b" * 40 + b"\n"  # type: ignore[attr-defined]
    host.world.console.print("c")
    _, position = node.follow(host.xen, position)  # type: ignore[attr-defined]
    assert node.follow(host.xen, position)[0] == b""  # type: ignore[attr-defined]


# Names


def test_names_of_domains_as_files(host: Host) -> None:
    world = host.world
    for domid, name in (
        (20, "a/b"),
        (21, "."),
        (22, ".."),
        (23, "x" * 256),
        (24, "ünï"),
        (25, "web-1"),
        (26, "two\nlines"),
        (27, ""),
    ):
        world.create(domid, name=name)
    names = host.names("domains/by-name")
    assert {"a%2Fb", "%2E", "%2E%2E", "ünï", "two%0Alines"} <= set(names)
    assert not {"", ".", "..", "x" * 256} & set(names)
    link = host.at("domains/by-name/web-1")
    assert link.node.target(host.xen, *link.ids) == "../25"  # type: ignore[attr-defined] # the one that came last
    assert host.value("domains/26/name") == "two\\nlines"
    assert host.value("domains/20/name") == "a/b"
    assert host.value("domains/27/name") == ""
    listed = host.value("domains/names").split("\n")
    assert listed[:2] == ["0 Domain-0", "1 web-1"]
    assert listed[-7:] == ["20 a/b", "21 .", "22 ..", f"23 {'x' * 256}", "24 ünï", "25 web-1", "26 two\\nlines"]


def test_everything_works_without_xenstore() -> None:
    with Host("xenstore=off") as host:
        assert host.names("domains/by-name") == []
        assert host.value("domains/1/name") == host.value("domains/names") == ""
        self_link = host.at("domains/self").node
        assert self_link.target(host.xen) == "0"  # type: ignore[attr-defined]
        for place in host.files():
            place.node.produce(host.xen, place.ids)  # type: ignore[attr-defined]


def test_by_uuid(host: Host) -> None:
    uuids = {str(UUID(bytes=domain.handle)): domain.domid for domain in host.world.domains_from(0)}
    assert set(host.names("domains/by-uuid")) == set(uuids)
    for uuid, domid in uuids.items():
        link = host.at(f"domains/by-uuid/{uuid}")
        assert link.node.target(host.xen, *link.ids) == f"../{domid}"  # type: ignore[attr-defined]


def test_options_and_buffers(host: Host) -> None:
    assert host.value("xenfs/options").splitlines()[:4] == ["rw", "lifecycle", "debug", "raw"]
    assert EVERYTHING.words()[0] == "rw"
    stat = host.flat("xenfs/buffers/stat")
    assert list(stat) == [
        "takes",
        "releases",
        "in_use",
        "peak",
        "hits",
        "misses",
        "too_big",
        "bytes_mapped",
        "bytes_in",
        "bytes_out",
        "efault_retries",
        "red_zone_hits",
    ]
    assert stat["takes"] == stat["releases"]
    assert host.value("xenfs/buffers/backend") == "simulator"
    assert all(re.fullmatch(r"\d+ \d+ 0", line) for line in host.value("xenfs/buffers/size_classes").splitlines())
