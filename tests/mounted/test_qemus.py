"""Disks that QEMU serves, through a mount: asked by a process beside a daemon that has no way to them itself."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mounting import REPOSITORY, Mount, Mounter

sys.path.append(str(REPOSITORY / "tests"))
from patience import PATIENCE_S, until
from scripted_qemu import GREETING, Qemu, answer, row, says
from scripted_xenstored import Store

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="there is such a process only beside a daemon that root started")
# A simulated Xen whose xenstored and QEMUs are beside it, reached by their sockets as on a dom0.
WITH_QEMUS = """
import os, sys
from xenfs import xenstore
from xenfs.hypervisor.qemu import disks, sockets
from xenfs.simulator.simulator import Simulator
sockets.HOME, answer_s = os.environ.pop("QEMUS"), float(os.environ.pop("ANSWER_S"))
disks.answer_s = lambda count: answer_s
store = xenstore.connect([os.environ["XENSTORED_PATH"]], timeout_s=1.0)
Simulator.xenstore = lambda self: store
Simulator.counters = Simulator.qemus = lambda self: None
from xenfs.cli import main
sys.exit(main(sys.argv[1:]))
"""
TELLS = says(GREETING, answer(row("xvda-raw", 3, 4, 4096, 1536), row("xvdz-raw", 9)))
SILENT = says()


def nodes(domid: int) -> dict[bytes, bytes]:
    """What xenstore has of its disk: values, and names of directories."""
    home, backend = b"/libxl/%d/device/vbd" % domid, b"/local/domain/0/backend/qdisk/%d" % domid
    return {
        home: b"51712\0", home + b"/51712/backend": backend + b"/51712", backend: b"51712\0",
        backend + b"/51712/dev": b"xvda",
    }  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Nobody else's, as Debian has it."""
    made = tmp_path / "xen"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def mount(mounter: Mounter, home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Mount]:
    """Domain 1 has a QEMU that answers, and 2 where it is said so one that does not. They have a minute, or 3 s."""
    silent = getattr(request, "param", "") == "silent"
    told = {b"domid": b"0", b"/local/domain/0/backend/qdisk": b"1\0" + b"2\0" + b"3\0"}
    for domid in (1, 2, 3):
        told |= nodes(domid)
    path = tmp_path / "xenstored"
    store = Store(path, told)
    started = [Qemu(home, 1, TELLS), *([Qemu(home, 2, SILENT)] if silent else [])]
    env = {"XENSTORED_PATH": str(path), "QEMUS": str(home), "ANSWER_S": "3" if silent else str(PATIENCE_S)}
    yield mounter("domains=6", program=("-c", WITH_QEMUS), env=env)
    store.hang_up()
    store.server.stop()
    for each in started:
        each.stop()


def vbd(domid: int) -> str:
    return f"domains/{domid}/devices/vbd/51712"


def series(mount: Mount) -> set[str]:
    """The domains whose disks are in the metrics."""
    return set(re.findall(r'^xen_domain_block_.*domid="(\d+)"', mount.read("metrics/xen.prom"), re.M))


@ROOT
def test_numbers_reach_a_daemon_that_may_not_ask(mount: Mount) -> None:
    status = Path(f"/proc/{mount.process.pid}/status").read_text()
    assert re.search(r"^Uid:\s+[1-9]", status, re.M)
    assert [mount.read(f"{vbd(1)}/{name}") for name in ("rd_req", "wr_req", "rd_sect", "wr_sect")] == [
        "3\n", "4\n", "8\n", "3\n",
    ]  # fmt: skip
    assert "1 vbd/51712 rd_req=3 wr_req=4 rd_sect=8 wr_sect=3\n" in mount.read("domains/device_stat")
    assert not re.search("vbd/(?!51712)", mount.read("domains/device_stat")), "the toolstack has made no other"
    assert "rd_req" not in os.listdir(mount.where / vbd(3)), "no QEMU"
    assert series(mount) == {"1"}


beside_a_silent_one = pytest.mark.parametrize("mount", ["silent"], indirect=True)


@ROOT
@beside_a_silent_one
def test_a_silent_qemu_costs_who_asks_it(mount: Mount) -> None:
    """Meanwhile other files, other QEMUs and the metrics answer."""
    answers: list[str] = []

    def ask() -> None:
        try:
            mount.read(f"{vbd(2)}/rd_req")
        except OSError as problem:
            answers.append(str(problem.strerror))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for each in asking:
        each.start()
    for _ in range(20):
        assert mount.read("domains/1/state")
        until(lambda: reads(mount, 1))
    until(lambda: series(mount) == {"1"})
    for each in asking:
        each.join(PATIENCE_S)
    assert answers == ["Device or resource busy"] * 3


def reads(mount: Mount, domid: int) -> bool:
    try:
        return mount.read(f"{vbd(domid)}/rd_req") == "3\n"
    except OSError:
        return False


@ROOT
@beside_a_silent_one
def test_a_scrape_waits_for_a_silent_qemu_once(mount: Mount) -> None:
    """Counted by its own words: how long it took to ask for all."""
    took = []
    for _ in range(4):
        page = mount.read("metrics/xen.prom")
        took += re.findall(r"^xen_scrape_duration_seconds (\S+)$", page, re.M)
        time.sleep(0.6)  # no answer is that old
    assert min(map(float, took[1:])) < 3.0 < float(took[0]), took


@ROOT
def refuses(mount: Mount, path: str) -> bool:
    """Whether its QEMU is gone; half a second later than it was."""
    try:
        mount.read(path)
    except ConnectionRefusedError:
        return True
    return False


def test_a_qemu_that_comes_and_goes(mount: Mount, home: Path) -> None:
    with pytest.raises(FileNotFoundError):
        mount.read(f"{vbd(3)}/rd_req")
    late = Qemu(home, 3, TELLS)
    until(lambda: "rd_req" in os.listdir(mount.where / vbd(3)))
    assert mount.read(f"{vbd(3)}/rd_req") == "3\n"
    until(lambda: "3" in series(mount))
    late.stop()
    until(lambda: refuses(mount, f"{vbd(3)}/rd_req"))
    until(lambda: "3" not in series(mount))
    late.path.unlink()
    until(lambda: "rd_req" not in os.listdir(mount.where / vbd(3)))


@ROOT
def test_without_the_process_that_asks(mount: Mount) -> None:
    """It was killed, say: no counters of QEMU's, and all else."""
    children = Path(f"/proc/{mount.process.pid}/task/{mount.process.pid}/children").read_text().split()
    [pid] = [int(each) for each in children if Path(f"/proc/{each}/comm").read_text() == "xenfs-open\n"]
    os.kill(pid, 9)
    until(lambda: "rd_req" not in os.listdir(mount.where / vbd(1)))
    assert series(mount) == set()
    assert re.search('^xen_collector_success{collector="qemu"} 0$', mount.read("metrics/xen.prom"), re.M)
    assert mount.read("domains/1/state")


@pytest.mark.parametrize("manner", ["answers", "silent", "lies", "garbles"])
def test_pretended_ones(mounter: Mounter, manner: str) -> None:
    mount = mounter(f"devices=4,qemu={manner}")
    lines = re.findall(r"^(\d) vbd/(\d+)", mount.read("domains/device_stat"), re.M)
    assert {number for domid, number in lines if domid == "3"} == {"51712", "51728"}
    odd = {number for domid, number in lines if domid == "6"}
    assert odd == ({"51712", "51728"} if manner in ("answers", "lies") else {"51712"})
