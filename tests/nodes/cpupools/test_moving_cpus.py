"""CPUs that come to a cpupool and go: those that will not, that go together, that are offline."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest
from worlds import Host

from xenfs.calls import again
from xenfs.errors import XenfsError
from xenfs.options import Options
from xenfs.simulator.world import hotplug
from xenfs.simulator.world.refused import Panic
from xenfs.xenstore import FakeXenstore


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr(again, "PATIENCE_S", 0.05)
    with Host("cpus=8", Options()) as made:
        yield made


def refused(host: Host, path: str, text: str) -> XenfsError:
    with pytest.raises(XenfsError) as caught:
        host.write(path, text)
    return caught.value


def make(host: Host, number: int, granularity: str = "cpu") -> str:
    host.world.pools.create(5, number).granularity = granularity
    return f"cpupools/{number}/cpus"


def test_a_removal_is_asked_for_until_it_is_done(host: Host) -> None:
    host.world.pools.stubborn = 4
    host.write("cpupools/1/cpus", "-6")
    assert (host.value("cpupools/1/cpus"), host.value("cpupools/free_cpus")) == ("5", "6-7")
    assert host.world.pools.moving is None
    host.write(make(host, 2), "6")


def test_a_cpu_that_does_not_go_is_named_and_found_again(host: Host) -> None:
    host.world.pools.stubborn = 10**9
    problem = refused(host, "cpupools/1/cpus", "-6")
    assert problem.errno == errno.EAGAIN
    assert "CPU 6 yet: it is in no cpupool now" in str(problem)
    assert refused(host, "host/cpus/6/online", "0").errno == errno.EBUSY, "with credit that would end the host later"
    assert refused(host, make(host, 2), "+6").errno == errno.EAGAIN
    host.world.pools.stubborn = 3
    host.write("cpupools/1/cpus", "+6")
    assert host.value("cpupools/1/cpus") == "5-6", "first it is let go, and then added: Xen would not survive less"
    host.world.pools.stubborn = 10**9
    refused(host, "cpupools/1/cpus", "-6")
    host.world.pools.stubborn = 0
    host.write("host/cpus/6/online", "0")
    assert host.world.pools.moving is None


def test_the_pretended_xen_dies_where_a_real_one_does(host: Host) -> None:
    pools = host.world.pools
    pools.stubborn = 10**9
    refused(host, "cpupools/1/cpus", "-6")
    with pytest.raises(Panic):
        pools.add_cpu(1, 6)
    with pytest.raises(Panic):
        hotplug.set_online(host.world, 6, False)


def test_a_core_comes_and_goes_as_a_whole(host: Host) -> None:
    cpus = make(host, 2, "core")
    host.write("cpupools/0/cpus", "-2-3")
    host.write(cpus, "+2")
    assert host.value(cpus) == "2-3"
    host.write(cpus, "2")
    assert host.value(cpus) == "2-3", "a part of a core keeps the whole of it"
    host.write(cpus, "-3")
    assert host.value(cpus) == ""
    problem = refused(host, cpus, "+5")
    assert (problem.errno, str(problem)) == (errno.EBUSY, "CPU 4 is in cpupool 0")
    assert host.value(cpus) == ""


def test_nothing_empties_a_pool(host: Host) -> None:
    cpus = make(host, 2)
    host.write(cpus, "7")
    for nothing in ("", "\n"):
        host.write(cpus, nothing)
        assert host.value(cpus) == ""
        host.write(cpus, "all")
    problem = refused(host, "cpupools/1/cpus", "")
    assert problem.errno == errno.EBUSY
    assert "keeps its last CPU: it has domain" in str(problem)
    assert "has booted the machine" in str(refused(host, "cpupools/0/cpus", "-0"))


@pytest.mark.parametrize("release", ["4.14", "4.15", "4.17", "4.18", "4.22"])
@pytest.mark.parametrize("granularity", ["cpu", "core", "socket"])
def test_an_offline_cpu_is_refused_before_the_call(release: str, granularity: str) -> None:
    with Host(f"xen={release},cpus=8", Options()) as host:
        cpus = make(host, 2, granularity)
        hotplug.set_online(host.world, 7, False)
        for text in ("7", "+7"):
            problem = refused(host, cpus, text)
            assert (problem.errno, str(problem)) == (errno.ENODEV, "CPU 7 is offline")
        assert host.world.pools.moving is None
        host.write(cpus, "all")
        assert host.value(cpus) == "", "what is free, and no CPU is"


def test_a_refused_part_leaves_the_rest_as_it_was(host: Host) -> None:
    cpus = make(host, 2)
    assert refused(host, cpus, "5,7").errno == errno.EBUSY
    assert host.value(cpus) == ""
    assert host.value("cpupools/free_cpus") == "7"


def test_a_pool_says_what_keeps_it(host: Host) -> None:
    place = host.at("cpupools/1")
    with pytest.raises(XenfsError) as caught:
        place.node.remove(host.xen, *place.ids)  # type: ignore[attr-defined]
    assert caught.value.errno == errno.EBUSY
    assert "cpupool 1 cannot go: it has CPUs 5-6" in str(caught.value)
    assert "it has domain" in str(caught.value)


def test_names_and_another_scheduler(host: Host) -> None:
    assert host.value("cpupools/1/name") == "Pool-1"
    assert host.names("cpupools/by-name") == ["Pool-0", "Pool-1"]
    link = host.at("cpupools/by-name/Pool-1")
    assert link.node.target(host.xen, *link.ids) == "../1"  # type: ignore[attr-defined]
    cpus = make(host, 2, "core")
    host.write("cpupools/2/scheduler", "null")
    assert (host.value("cpupools/2/scheduler"), host.value("cpupools/2/sched_gran")) == ("null", "core")
    problem = refused(host, "cpupools/2/scheduler", "arinc653")
    assert (problem.errno, str(problem)) == (errno.ENOENT, "this Xen was built without arinc653")
    assert host.value("cpupools/2/scheduler") == "null"
    for scheduler in ("credit", "credit2", "rtds", "null"):
        host.write("cpupools/2/scheduler", scheduler)
        assert host.value("cpupools/2/scheduler") == scheduler
    host.write("cpupools/2/sched_gran", "cpu")
    host.write(cpus, "all")
    assert refused(host, "cpupools/2/scheduler", "credit").errno == errno.EBUSY


def test_a_pools_name_is_what_xenstore_has(host: Host) -> None:
    make(host, 2)
    make(host, 3)
    named = {0: b"Pool-0", 1: b"night shift", 2: b"night shift"}  # nobody has named the last one
    host.xen.store = FakeXenstore({f"/local/pool/{pool}/name": name for pool, name in named.items()})
    assert [host.value(f"cpupools/{pool}/name") for pool in range(4)] == ["Pool-0", "night shift", "night shift", ""]
    assert host.names("cpupools/by-name") == ["Pool-0", "night shift"]
    link = host.at("cpupools/by-name/night shift")
    assert link.node.target(host.xen, *link.ids) == "../1", "of two the lower number"  # type: ignore[attr-defined]


def test_smt_that_stops_half_way_is_put_back(host: Host) -> None:
    host.write("host/cpus/3/online", "0")
    problem = refused(host, "host/smt", "off")
    assert (problem.errno, str(problem)) == (errno.ENODEV, "CPU 5 is in cpupool 1: what it took down is back")
    assert host.value("host/cpus/online") == "0-2,4-7"


def test_limits_say_why(host: Host) -> None:
    problem = refused(host, "cpupools/1/sched/ratelimit_us", "30001")
    assert "must not be more than tslice_ms: that would be 30001 us of 30000 us" in str(problem)
    domain = host.world.create(vcpus=4, pool=1)
    problem = refused(host, f"domains/{domain.domid}/sched/cap", "401")
    assert (problem.errno, str(problem)) == (errno.ERANGE, "cap must be 0 to 400: it has 4 vCPUs")
    host.write(f"domains/{domain.domid}/sched/cap", "400")
