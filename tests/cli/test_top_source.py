"""What `xenfs top` makes of a mount's files, also of those that are missing, forbidden, or not what they should be."""

from __future__ import annotations

import errno
import select
from pathlib import Path

import pytest
from patience import PATIENCE_S

from xenfs.cli.top.model import Model
from xenfs.cli.top.source import Host, Sample, Source, Timed, Traffic
from xenfs.cli.top.work import Worker
from xenfs.errors import XenfsError

STAT = (
    "0 state=running type=pv uuid=u0 cpupool=0 cpu_time_ns=5000 nr_online_vcpus=2 max_vcpu_id=3 memory/current_kb=100 "
    "memory/max=max memory/shared_kb=0 memory/paged_kb=0 shutdown_reason=-\n"
    "7 state=crashed type=pvh uuid=u7 cpupool=1 cpu_time_ns=9 nr_online_vcpus=1 max_vcpu_id=-1 memory/current_kb=50 "
    "memory/max=60 memory/shared_kb=0 memory/paged_kb=0 shutdown_reason=crash newer/than_this=1\n"
)


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    for name, text in (
        ("domains/stat", STAT),
        ("domains/names", "0 Domain-0\n7 two  words = three\u2028\n"),
        (
            "domains/0/vcpu_stat",
            "0 online=1 state=running cpu=3 cpu_time_ns=4000\n1 online=0 state=offline cpu=0 cpu_time_ns=0\n",
        ),
        ("domains/7/uuid", "u7\n"),
        ("domains/7/freeze", "0\n"),
        ("host/info", "nr_cpus 2\ncpu_khz 1000\ntotal_pages 1000\nfree_pages 0\n"),
        ("host/cpu_stat", "cpu0 111\ncpu1 0\n"),
        ("version/full", "4.17.3\n"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_everything_is_there(mount: Path) -> None:
    source = Source(str(mount))
    sample = source.sample([(0, "u0"), (9, "gone")])
    zero, seven = sample.domains.value.values()
    assert (zero.name, zero.vcpus, zero.vcpus_online, zero.memory_max_kb, zero.shutdown_reason) == (
        "Domain-0",
        4,
        2,
        None,
        "",
    )
    assert (seven.name, seven.vcpus, seven.memory_max_kb, seven.shutdown_reason) == (
        "two  words = three\u2028", 0, 60, "crash",
    )  # fmt: skip
    assert sample.host == Host(4000, 0, 0, 1000)
    assert sample.cpus.value == {0: 111, 1: 0}
    assert [each.online for each in sample.vcpus[0, "u0"].value] == [True, False]
    assert list(sample.vcpus) == [(0, "u0")]
    assert source.version() == "4.17.3"


def test_what_may_not_be_read_is_left_out(mount: Path) -> None:
    for name in ("domains/names", "host/info", "host/cpu_stat", "version/full"):
        (mount / name).unlink()
    sample = Source(str(mount)).sample([(7, "u7")])
    assert [each.name for each in sample.domains.value.values()] == ["", ""]
    assert (sample.host, sample.cpus.value, sample.vcpus[7, "u7"].value) == (Host(), {}, [])
    assert Source(str(mount)).version() == ""
    assert Source(str(mount)).own_domid() is None
    assert not Source(str(mount)).may_pause((0, "u0"))


def test_without_the_list_of_domains_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(XenfsError) as problem:
        Source(str(tmp_path)).sample()
    assert problem.value.errno == errno.ENOENT
    assert str(tmp_path) in str(problem.value)


def test_pausing_is_of_one_life(mount: Path) -> None:
    source = Source(str(mount))
    with pytest.raises(XenfsError) as problem:
        source.open_freeze((7, "another"))
    assert problem.value.errno == errno.ESTALE
    with pytest.raises(XenfsError):
        source.open_freeze((8, "u8"))
    with open(source.open_freeze((7, "u7")), "w") as freeze:
        freeze.write("1")
    assert (mount / "domains/7/freeze").read_text().startswith("1")


def test_each_rate_goes_by_its_own_clock() -> None:
    """Files that are read one after the other are of different moments, by seconds when the machine is busy."""
    model = Model()
    for at, idle_at, used in ((10.0, 10.5, 0), (12.0, 13.5, 10**9)):
        model.fed(Sample(Timed(at, {}), Timed(idle_at, {0: 10**10 + used * 3 // 2})))
    view = model.fed(Sample(Timed(14.0, {}), Timed(14.5, {0: 10**10 + 2 * 10**9})))
    assert view.busy == [pytest.approx(0.5)]
    assert view.interval_s == 2


def test_the_reader_hands_over_what_goes_wrong() -> None:
    worker, found = Worker(), []
    for work in (lambda: 1 // 1, lambda: int("x"), lambda: Source("/nowhere").sample()):
        worker.want(work, lambda result, problem: found.append((result, problem and problem.errno)))
    while len(found) < 3:
        assert select.select([worker.fd], [], [], PATIENCE_S)[0]
        worker.deliver()
    assert found == [(1, None), (None, errno.EIO), (None, errno.ENOENT)]


def test_networks_and_disks_are_added_up(mount: Path) -> None:
    assert Source(str(mount)).sample().traffic is None, "without xenstore there is no such file"
    (mount / "domains/device_stat").write_text(
        "7 vbd/51712 rd_req=1 wr_req=2 oo_req=3 rd_sect=4 wr_sect=5\n"
        "7 vbd/51728 rd_req=10 wr_req=20 rd_sect=40 wr_sect=50\n"
        "7 vif/0 rx_bytes=100 rx_packets=1 tx_bytes=200 newer_than_this=1\n"
        "9 vif/0 rx_bytes=1 tx_bytes=2\n"
    )
    found = Source(str(mount)).sample().traffic
    assert found is not None
    assert found.value == {
        (0, "u0"): Traffic(),
        (7, "u7"): Traffic(1, 100, 200, 2, 11, 22, 44 * 512, 55 * 512, 3),
    }
