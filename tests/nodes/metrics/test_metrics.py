"""metrics/xen.prom: the format, the conventions, the values, and what must not disturb them."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prom import Family, families
from worlds import COMBINATIONS, Between, Host

from xenfs.abi.numbers import Hypercall
from xenfs.errors import XenfsError
from xenfs.nodes.metrics.text import escaped, gauge, micro, seconds
from xenfs.nodes.metrics.text import families as written
from xenfs.simulator import Simulator
from xenfs.xenstore.base import Path
from xenfs.xenstore.fake import FakeXenstore

FILE = "metrics/xen.prom"
PAGE = 4096


@pytest.fixture(params=COMBINATIONS, ids="-".join)
def each(request: pytest.FixtureRequest) -> Iterator[Host]:
    release, arch = request.param
    with Host(f"xen={release},arch={arch}") as host:
        yield host


def scraped(host: Host) -> dict[str, Family]:
    return families(host.read(FILE))


def test_the_values_are_those_of_the_world(each: Host) -> None:
    found, ticks = scraped(each), each.world.clock.ticks()
    everybody = list(each.world.domains_from(0))
    assert found["xen_up"].value() == 1
    assert found["xen_domains"].value() == len(everybody)
    for domain in everybody:
        at = {"domid": str(domain.domid), "uuid": str(UUID(bytes=domain.handle)), "name": domain.name or ""}
        vcpus = domain.existing()
        assert found["xen_domain_cpu_seconds_total"].value(**at) == domain.cpu_time(ticks) / 1e9
        assert found["xen_domain_memory_bytes"].value(**at) == domain.tot_pages * PAGE
        limit = float("inf") if domain.max_pages >= 2**32 - 1 else domain.max_pages * PAGE
        assert found["xen_domain_memory_max_bytes"].value(**at) == limit
        assert found["xen_domain_vcpus"].value(**at) == len(vcpus)
        assert found["xen_domain_vcpus_online"].value(**at) == sum(vcpu.online for vcpu in vcpus)
        assert found["xen_domain_paused"].value(**at) == bool(domain.pause_count)
        assert found["xen_domain_scheduler_weight"].value(**at) == domain.weight
        assert found["xen_domain_scheduler_cap_ratio"].value(**at) == domain.cap / 100
        for vcpu in vcpus:
            assert found["xen_vcpu_cpu_seconds_total"].value(**at, vcpu=str(vcpu.id)) == (
                domain.vcpu_time(vcpu, ticks) / 1e9
            )
        shown = found["xen_vcpu_cpu_seconds_total"].sum(**at)
        assert shown == pytest.approx(found["xen_domain_cpu_seconds_total"].value(**at))


def test_the_values_are_those_of_the_other_files(each: Host) -> None:
    found = scraped(each)
    for metric, node, scale in (
        ("xen_host_memory_bytes", "host/memory/total_kb", 1024),
        ("xen_host_memory_free_bytes", "host/memory/free_kb", 1024),
        ("xen_host_cpu_frequency_hertz", "host/cpu_khz", 1000),
    ):
        assert found[metric].value() == int(each.value(node)) * scale
    for cpu in each.names("host/cpus"):
        if cpu.isdecimal():
            idle = found["xen_cpu_idle_seconds_total"].value(cpu=cpu)
            assert idle == int(each.value(f"host/cpus/{cpu}/idle_ns")) / 1e9
            if each.has(f"host/cpus/{cpu}/cstates/stat"):
                lines = [line.split() for line in each.value(f"host/cpus/{cpu}/cstates/stat").splitlines()]
                own = [line for line in lines if len(line) == 3]
                assert own
                for state, count, ns in own:
                    assert found["xen_cpu_cstate_entries_total"].value(cpu=cpu, state=state) == int(count)
                    assert found["xen_cpu_cstate_seconds_total"].value(cpu=cpu, state=state) == int(ns) / 1e9
                for state, ns in (line for line in lines if len(line) == 2):
                    shown = found["xen_cpu_hardware_cstate_seconds_total"].value(cpu=cpu, state=state)
                    assert shown == int(ns) / 1e9
            place = {"core": "core_id", "package": "physical_package_id", "node": "node"}
            assert found["xen_cpu_info"].value(
                cpu=cpu, **{label: each.value(f"host/cpus/{cpu}/topology/{name}") for label, name in place.items()}
            )
    for node in each.names("host/nodes"):
        free = each.flat(f"host/nodes/{node}/meminfo")["MemFree"].split()[0]
        assert found["xen_node_memory_free_bytes"].value(node=node) == int(free) * 1024
        far = each.value(f"host/nodes/{node}/distance").split()
        for other, distance in enumerate(far):
            assert found["xen_node_distance"].value(node=node, to=str(other)) == int(distance)
    for pool in each.names("cpupools"):
        if pool.isdecimal():
            assert found["xen_cpupool_info"].value(cpupool=pool, scheduler=each.value(f"cpupools/{pool}/scheduler"))
            assert found["xen_cpupool_domains"].value(cpupool=pool) == int(each.value(f"cpupools/{pool}/nr_domains"))
    for domid in filter(str.isdecimal, each.names("domains")):
        state = each.value(f"domains/{domid}/state")
        assert found["xen_domain_crashed"].value(domid=domid) == (state == "crashed")
        assert found["xen_domain_dying"].value(domid=domid) == (state == "dying")
        assert found["xen_domain_info"].value(domid=domid, type=each.value(f"domains/{domid}/type"))
    assert found["xen_build_info"].value(version=each.value("version/full"))


def test_conventions(host: Host) -> None:
    found = scraped(host)
    assert len(found) > 45
    for metric in found.values():
        assert metric.name.startswith(("xen_", "xenfs_")), metric.name
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert not re.search(r"_(ns|us|ms|kb|khz|percent|count|sum|bucket)(_|$)", metric.name), metric.name


def test_the_order_stays(host: Host) -> None:
    first, second = (
        [line.rpartition(" ")[0] for line in host.read(FILE).splitlines() if not line.startswith("#")] for _ in range(2)
    )
    about_xen = [line for line in first if not line.startswith("xenfs_")]
    assert about_xen == [line for line in second if not line.startswith("xenfs_")]


def test_counters_do_not_fall(host: Host) -> None:
    before = scraped(host)
    host.advance(3)
    after = scraped(host)
    for name, metric in before.items():
        if metric.kind == "counter":
            assert all(float(after[name].samples[at]) >= float(value) for at, value in metric.samples.items()), name
    assert after["xen_domain_cpu_seconds_total"].sum() > before["xen_domain_cpu_seconds_total"].sum()


@pytest.mark.parametrize(("domains", "at_most"), [(12, 25), (1000, 40)])
def test_a_handful_of_hypercalls(domains: int, at_most: int) -> None:
    with Host(f"domains={domains},vcpus=4,cpus=16") as host:
        before = host.xen.calls.total
        found = scraped(host)
        assert len(found["xen_domain_cpu_seconds_total"].samples) == domains
        assert len(found["xen_vcpu_online"].samples) > 3 * (domains - 12)
        assert host.xen.calls.total - before <= at_most


def test_what_happened_and_who_is_there_cost_one_list() -> None:
    with Host("domains=20") as host:
        scraped(host)
        sim = host.xen.backend
        assert isinstance(sim, Simulator)
        before = sim.counts["sysctl getdomaininfolist"]
        host.world.shutdown(3, 0)
        ended = scraped(host)["xen_shutdowns_total"].value(reason="poweroff")
        assert ended == 1, "and it is looked at all the same"
        assert sim.counts["sysctl getdomaininfolist"] - before == 2, "the second says who has gone meanwhile"


def test_rtds() -> None:
    with Host() as host:
        host.world.pools.by_id[1].scheduler = 8
        found = scraped(host)
        assert found["xen_cpupool_info"].value(cpupool="1", scheduler="rtds")
        assert found["xen_domain_scheduler_period_seconds"].value(name="build-farm") == 0.01
        assert found["xen_domain_scheduler_budget_seconds"].value(name="build-farm") == 0.004
        assert "build-farm" not in str(found["xen_domain_scheduler_weight"].samples)


# Names


@given(st.text())
def test_whatever_a_label_holds_comes_back(text: str) -> None:
    lines = written([gauge("xen_thing", "A thing.", int)], [(f'name="{escaped(text)}"', 1)])
    assert families("".join(lines))["xen_thing"].value(name=text.replace("\0", "\N{REPLACEMENT CHARACTER}")) == 1


def test_many_samples_come_in_pieces_that_make_one_family() -> None:
    items = [(f'number="{number}"', number if number % 1000 else None) for number in range(2500)]
    pieces = list(written([gauge("xen_thing", "A thing.", lambda number: number)], items))
    assert len(pieces) == 9
    assert max(piece.count("\n") for piece in pieces) <= 302, "each is joined while no other thread runs"
    assert {dict(at)["number"] for at in families("".join(pieces))["xen_thing"].samples} == {
        str(number) for number in range(2500) if number % 1000
    }


@given(st.lists(st.none() | st.integers() | st.sampled_from(["+Inf", "0.25", ""]), max_size=700))
def test_a_line_for_each_value_that_is_there(values: list[int | str | None]) -> None:
    items = [(f'number="{number}"', value) for number, value in enumerate(values)]
    lines = [f"xen_thing{{{about}}} {value}\n" for about, value in items if value is not None]
    head = "# HELP xen_thing A thing.\n# TYPE xen_thing gauge\n" if lines else ""
    assert "".join(written([gauge("xen_thing", "A thing.", lambda value: value)], items)) == head + "".join(lines)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"two\nlines", "two\nlines"),
        (b'"} 7\nxen_up 0\n# "', '"} 7\nxen_up 0\n# "'),
        (b"back\\slash\\", "back\\slash\\"),
        (b"\xff\xfeodd\xc3", "\ufffd\ufffdodd\ufffd"),
        (b"nul\0nul", "nul\ufffdnul"),
        (b"\r\t\x1b[31m", "\r\t\x1b[31m"),
        ("\u2028 ü 中".encode(), "\u2028 ü 中"),
        (b"x" * 4000, "x" * 4000),
        (b"", ""),
    ],
)
def test_hostile_names(host: Host, raw: bytes, shown: str) -> None:
    plain = scraped(host)
    host.xen.store = FakeXenstore({"/local/domain/3/name": raw, "/local/domain/4/name": b"neighbour"})
    found = scraped(host)
    assert found["xen_domain_vcpus"].value(domid="3", name=shown) == plain["xen_domain_vcpus"].value(domid="3")
    assert found["xen_vcpu_online"].value(domid="3", vcpu="0", name=shown)
    assert found["xen_domain_vcpus"].value(domid="4", name="neighbour") == 1
    assert list(found) == list(plain)


def test_without_a_xenstore(host: Host) -> None:
    host.xen.store = None
    found = scraped(host)
    assert found["xen_up"].value() == 1
    assert found["xen_domain_vcpus"].value(domid="3", name="") == 4


# What goes wrong meanwhile


def over(interfere: Callable[[Simulator, int, tuple[int, ...]], int | None]) -> Host:
    sim = Simulator.from_settings("")
    return Host(backend=Between(sim, lambda number, args: interfere(sim, number, args)))


def test_a_domain_that_goes_away_disturbs_nothing() -> None:
    ended: list[int] = []

    def end_it(sim: Simulator, number: int, args: tuple[int, ...]) -> int | None:
        if number == Hypercall.multicall and armed and not ended:
            ended.append(3)
            sim.world.domains.pop(3)
            sim.world.order.remove(3)
        return None

    armed = False
    with over(end_it) as host:
        before = scraped(host)
        armed = True
        found = scraped(host)
        assert ended
        assert "database" not in host.read(FILE)
        assert found["xen_up"].value() == 1
        assert found["xen_domains"].value() == before["xen_domains"].value() - 1
        assert "database" not in str([metric.samples for metric in found.values()])
        assert found["xen_vcpu_online"].value(domid="4", vcpu="0") == 1


def test_a_storm_of_short_lived_domains() -> None:
    """With every hypercall one is born, and one that is a few hypercalls old is gone: what is said is said whole."""
    sim = Simulator.from_settings("")
    passing: list[int] = []

    def storm(number: int, args: tuple[int, ...]) -> None:
        passing.append(sim.world.create(name="passing", type="pv", memory_kb=16 << 10, load=5).domid)
        if len(passing) > 7:
            gone = passing.pop(0)
            del sim.world.domains[gone]
            sim.world.order.remove(gone)

    seen: set[str] = set()
    with Host(backend=Between(sim, storm)) as host:
        for _ in range(8):
            found = scraped(host)
            assert found["xen_up"].value() == 1
            told = {
                name: {dict(at)["domid"] for at in family.samples}
                for name, family in found.items()
                if name.startswith("xen_domain_") and "scheduler" not in name
            }
            everybody = told["xen_domain_info"]
            some = re.compile("xen_domain_(network|block|start)_")
            assert all(domids == everybody for name, domids in told.items() if not some.match(name))
            assert all(domids <= everybody for domids in told.values())
            assert {dict(at)["domid"] for at in found["xen_vcpu_online"].samples} <= everybody
            assert found["xen_domains"].value() == len(everybody)
            seen |= everybody
        assert len(seen) > len(everybody) + 5, "many have come and gone"


def test_another_domain_under_the_same_id_is_not_mixed_up_with_it() -> None:
    batches: list[int] = []

    def swap(sim: Simulator, number: int, args: tuple[int, ...]) -> int | None:
        if number == Hypercall.multicall and armed:
            batches.append(number)
        if len(batches) == 2:  # the first is about idle states, and the domains are listed after it
            sim.world.domains[3].handle = b"another domain! "
            sim.world.domains[3].info = None
        return None

    armed = False
    with over(swap) as host:
        scraped(host)
        armed = True
        found = scraped(host)
        for name in ("xen_domain_cpu_seconds_total", "xen_vcpu_cpu_seconds_total", "xen_domain_scheduler_weight"):
            assert not [at for at in found[name].samples if ("domid", "3") in at], name
        again = scraped(host)
        assert again["xen_domain_vcpus"].value(domid="3", uuid=str(UUID(bytes=b"another domain! "))) == 4


def test_what_fails_is_left_out_and_said() -> None:
    refused: list[int] = []

    def refuse(sim: Simulator, number: int, args: tuple[int, ...]) -> int | None:
        return -errno.EPERM if number in refused else None

    with over(refuse) as host:
        before = scraped(host)
        refused.append(Hypercall.multicall)
        found = scraped(host)
        assert found["xen_up"].value() == 0
        assert found["xen_collector_success"].value(collector="cstates") == 0
        assert found["xen_collector_success"].value(collector="vcpus") == 0
        assert found["xen_collector_success"].value(collector="domains") == 1
        assert "xen_vcpu_online" not in found
        assert found["xen_domain_vcpus"].samples == before["xen_domain_vcpus"].samples
        refused.append(Hypercall.sysctl)
        refused.append(Hypercall.xen_version)
        found = scraped(host)
        assert found["xen_up"].value() == 0
        assert not [name for name in found if name.startswith("xen_domain")]
        assert found["xenfs_hypercall_errors_total"].sum() >= 4


def test_a_xenstore_that_is_dead_costs_the_names_only() -> None:
    class Dead(FakeXenstore):
        def read(self, path: str | bytes) -> bytes | None:
            raise XenfsError("xenstore did not answer", errno.ETIMEDOUT)

    with Host() as host:
        host.xen.store = Dead({})
        found = scraped(host)
        assert found["xen_collector_success"].value(collector="xenstore") == 0
        assert found["xen_domain_vcpus"].value(domid="3", name="") == 4


@pytest.mark.logs("no sysctl at all")
def test_what_this_xen_lacks_is_no_failure() -> None:
    def without(sim: Simulator, number: int, args: tuple[int, ...]) -> int | None:
        return -errno.ENOSYS if number == Hypercall.sysctl else None

    with over(without) as host:
        found = scraped(host)
        assert found["xen_up"].value() == 1
        assert "xen_host_cpus" not in found
        assert not found["xen_collector_success"].sum(collector="numa")


@given(st.integers(0, 2**63))
def test_nothing_is_rounded(ns: int) -> None:
    whole, _, fraction = seconds(ns).partition(".")
    assert int(whole) * 10**9 + int(fraction) == ns
    whole, _, fraction = micro(ns).partition(".")
    assert int(whole) * 10**6 + int(fraction) == ns


def test_networks_and_disks_as_the_guest_sees_them(host: Host) -> None:
    found = scraped(host)
    for name, file in (
        ("network_receive_bytes", "vif/0/rx_bytes"),
        ("network_transmit_packets", "vif/0/tx_packets"),
        ("block_reads", "vbd/51712/rd_req"),
    ):
        family = found[f"xen_domain_{name}_total"]
        assert family.kind == "counter"
        values = {dict(at)["domid"]: int(value) for at, value in family.samples.items()}
        assert values["1"] == int(host.value(f"domains/1/devices/{file}"))
        assert "0" not in values
    sectors = int(host.value("domains/1/devices/vbd/51712/rd_sect"))
    read = {dict(at)["domid"]: int(value) for at, value in found["xen_domain_block_read_bytes_total"].samples.items()}
    assert read["1"] == sectors * 512
    received = found["xen_domain_network_receive_bytes_total"].samples
    assert "4" not in {dict(at)["domid"] for at in received}, "another domain serves that one"


def test_when_domains_began(host: Host) -> None:
    family = scraped(host)["xen_domain_start_time_seconds"]
    began = {dict(at)["domid"]: float(value) for at, value in family.samples.items()}
    assert int(began["1"]) == int(host.value("domains/1/boot_s"))
    assert "16" not in began, "nobody has written it down"


def test_a_start_costs_xenstore_one_question(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    store = host.xen.store
    assert store is not None
    scraped(host)
    read_many = store.read_many

    def seen(paths: Sequence[Path]) -> list[bytes | None]:
        asked.extend(map(str, paths))
        return read_many(paths)

    monkeypatch.setattr(store, "read_many", seen)
    scraped(host)
    assert [path for path in asked if not path.endswith("/name") and "/16/" not in path] == []


def test_without_xenstore_nothing_is_said_of_devices() -> None:
    with Host("xenstore=off") as host:
        assert not [name for name in scraped(host) if re.match("xen_domain_(network|block|start)_", name)]
