"""cpupools/: made, filled, tuned, emptied and removed."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from worlds import COMBINATIONS, Host

from xenfs.errors import XenfsError
from xenfs.options import Options
from xenfs.simulator.world.cpupools import RTDS


def refused(host: Host, path: str, text: str) -> XenfsError:
    with pytest.raises(XenfsError) as caught:
        host.write(path, text)
    return caught.value


def make(host: Host, name: str) -> None:
    host.mkdir(f"cpupools/{name}")


def remove(host: Host, pool: int) -> None:
    host.rmdir(f"cpupools/{pool}")


@pytest.mark.parametrize(("release", "arch"), COMBINATIONS)
def test_a_pool_from_mkdir_to_rmdir(release: str, arch: str) -> None:
    with Host(f"xen={release},arch={arch}", Options()) as host:
        free = host.value("cpupools/free_cpus")
        make(host, "9")
        assert host.value("cpupools/9/scheduler") == host.value("host/scheduler")
        assert host.value("cpupools/9/cpus") == ""
        if release != "4.14":
            host.write("cpupools/9/sched_gran", "core")
            assert host.value("cpupools/9/sched_gran") == "core"
            host.write("cpupools/9/sched_gran", "cpu")
        host.write("cpupools/9/cpus", "all")
        assert host.value("cpupools/9/cpus") == free
        with pytest.raises(XenfsError) as caught:
            remove(host, 9)
        assert caught.value.errno == errno.EBUSY
        host.write("cpupools/9/cpus", f"-{free}")
        assert host.value("cpupools/free_cpus") == free
        remove(host, 9)
        assert not host.has("cpupools/9")


@pytest.mark.parametrize("name", ["", "x", "-1", "01", "0x7", " 7", "2147483648", "9" * 30])
def test_a_pool_has_a_number(host: Host, name: str) -> None:
    with pytest.raises(XenfsError) as caught:
        make(host, name)
    assert caught.value.errno in (errno.EINVAL, errno.ERANGE)


def test_a_pool_that_is_there(host: Host) -> None:
    with pytest.raises(XenfsError) as caught:
        make(host, "1")
    assert caught.value.errno == errno.EEXIST


def test_read_only_mounts_make_no_pools() -> None:
    with Host(options=Options(ro=True)) as host:
        place: Any = host.at("cpupools")
        assert place.node.make is None
        assert host.at("domains/1").node.remove is None  # type: ignore[attr-defined]


def test_cpus_come_and_go(host: Host) -> None:
    assert host.value("cpupools/1/cpus") == "5-6"
    host.write("cpupools/1/cpus", "+7")
    assert host.value("cpupools/1/cpus") == "5-7"
    host.write("cpupools/1/cpus", "-5-6")
    assert host.value("cpupools/1/cpus") == "7"
    host.write("cpupools/1/cpus", "5")
    assert host.value("cpupools/1/cpus") == "5"
    assert host.value("cpupools/free_cpus") == "6-7"


def test_cpus_of_others_and_the_last_ones_stay(host: Host) -> None:
    problem = refused(host, "cpupools/1/cpus", "0,5-6")
    assert (problem.errno, str(problem)) == (errno.EBUSY, "CPU 0 is in cpupool 0")
    assert refused(host, "cpupools/1/cpus", "+8").errno == errno.ERANGE
    assert refused(host, "cpupools/1/cpus", "-5-6").errno == errno.EBUSY
    assert host.value("cpupools/1/cpus") == "5-6", "what was taken before the refusal is given back"


def test_granularity_is_of_empty_pools(host: Host) -> None:
    assert refused(host, "cpupools/0/sched_gran", "core").errno == errno.EBUSY
    host.write("cpupools/0/sched_gran", "cpu")


def test_parameters(host: Host) -> None:
    host.write("cpupools/1/sched/tslice_ms", "5")
    host.write("cpupools/1/sched/ratelimit_us", "500")
    host.write("cpupools/1/sched/vcpu_migr_delay_us", "7")
    assert [host.value(f"cpupools/1/sched/{name}") for name in ("tslice_ms", "ratelimit_us", "vcpu_migr_delay_us")] == [
        "5",
        "500",
        "7",
    ]
    assert refused(host, "cpupools/1/sched/ratelimit_us", "50").errno == errno.EINVAL
    host.write("cpupools/0/sched/ratelimit_us", "0")
    assert host.value("cpupools/0/sched/ratelimit_us") == "0"
    assert host.names("cpupools/0/sched") == ["ratelimit_us"]


@pytest.mark.parametrize(("path", "text"), [("cpupools/4/cpus", "-7"), ("host/cpus/7/online", "0")])
@pytest.mark.parametrize("release", ["4.14", "4.22"])
def test_no_cpu_leaves_an_rtds_pool_where_that_may_end_the_host(release: str, path: str, text: str) -> None:
    with Host(f"xen={release}", Options()) as host:
        host.world.pools.create(RTDS, 4)
        host.world.pools.add_cpu(4, 7)
        asked = host.counts["sysctl cpu_hotplug"]
        problem = refused(host, path, text)
        assert problem.errno == errno.EPERM
        assert "CPU 7 is in cpupool 4, whose scheduler is rtds" in str(problem)
        assert host.counts["sysctl cpu_hotplug"] == asked
        assert host.value("cpupools/4/cpus") == "7"


@pytest.mark.logs("does not know Xen 4.23")
def test_a_later_xen_survives_that() -> None:
    with Host("xen=4.23", Options(unverified=True)) as host:
        host.world.pools.create(RTDS, 4)
        host.world.pools.add_cpu(4, 7)
        host.write("cpupools/4/cpus", "-7")
        assert host.value("cpupools/4/cpus") == ""
