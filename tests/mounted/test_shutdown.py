"""The end of a mount while a call runs that cannot be cut short: nobody waits for it longer than the grace period."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mounting import REPOSITORY

SERVER = """
import sys, threading, trio
from xenfs.filesystem.operations import Operations
from xenfs.filesystem.serve import serve
from xenfs.connect.opening import open_hypervisor
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.refusals import Refusals
from xenfs.options import Options

def stuck(xen, *_):
    threading.Event().wait(float(sys.argv[2]))
    return "at last"

root = Dir("", "top", (
    File("slow", "a call that takes its time", read=stuck, write=stuck, slow_read=True, slow_write=True),
    File("bug", "a bug", read=lambda xen: 1 // 0),
    File("hang", "a call in the event loop itself", read=stuck),
    File("quick", "an answer", read=lambda xen: "now"),
))
xen = open_hypervisor("simulator:domains=1")
ops = Operations(xen, root, Options(), Refusals())
trio.run(serve, ops, sys.argv[1], lambda: print("READY", flush=True), 1.5)
xen.close()
"""


class Server:
    def __init__(self, where: Path, seconds: float) -> None:
        self.where = where
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(where), str(seconds)],
            cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "READY\n"

    def reader(self, name: str = "slow") -> subprocess.Popen[str]:
        """A process that reads a file there."""
        found = subprocess.Popen(
            ["cat", str(self.where / name)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        time.sleep(0.3)
        return found

    def ended(self) -> tuple[int, float, str]:
        """(exit status, seconds it took, what it said on stderr)."""
        began = time.monotonic()
        _, said = self.process.communicate(timeout=15)
        assert str(self.where) not in Path("/proc/self/mountinfo").read_text()
        return self.process.returncode, time.monotonic() - began, said


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[list[Server]]:
    """Put servers in: they are ended, and unmounted, whatever happens."""
    made: list[Server] = []
    yield made
    for server in made:
        subprocess.run(["umount", "-l", server.where], stderr=subprocess.DEVNULL, check=False)
        server.process.kill()
        server.process.communicate()


def test_a_call_that_ends_in_time_gets_its_answer(tmp_path: Path, serving: list[Server]) -> None:
    serving.append(server := Server(tmp_path, 1.0))
    reader = server.reader()
    server.process.send_signal(signal.SIGTERM)
    assert server.ended()[:1] == (0,)
    out, _ = reader.communicate(timeout=10)
    assert out in ("at last\n", "")


def test_a_call_that_does_not_end_is_left_behind(tmp_path: Path, serving: list[Server]) -> None:
    serving.append(server := Server(tmp_path, 60.0))
    readers = [server.reader() for _ in range(3)]
    server.process.send_signal(signal.SIGTERM)
    status, seconds, said = server.ended()
    assert status == 0
    assert 1.0 < seconds < 4
    assert "Traceback" not in said
    for reader in readers:
        out, problem = reader.communicate(timeout=10)
        assert out == ""
        assert problem
        assert reader.returncode == 1


def test_a_call_that_hangs_where_all_are_served(tmp_path: Path, serving: list[Server]) -> None:
    """The event loop never hears of the signal."""
    serving.append(server := Server(tmp_path, 60.0))
    reader = server.reader("hang")
    server.process.send_signal(signal.SIGTERM)
    status, seconds, said = server.ended()
    assert (status, 1.0 < seconds < 4) == (0, True)
    assert "Traceback" not in said
    assert reader.communicate(timeout=10)[0] == ""


def test_a_second_signal_is_enough(tmp_path: Path, serving: list[Server]) -> None:
    serving.append(server := Server(tmp_path, 60.0))
    reader = server.reader()
    server.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    server.process.send_signal(signal.SIGINT)
    status, seconds, _ = server.ended()
    assert (status, seconds < 1.2) == (0, True)
    reader.communicate(timeout=10)


def test_a_call_that_runs_does_not_hold_up_the_others(tmp_path: Path, serving: list[Server]) -> None:
    serving.append(server := Server(tmp_path, 2.0))
    readers = [server.reader() for _ in range(2)]
    began = time.monotonic()
    assert (tmp_path / "quick").read_text() == "now\n"
    assert time.monotonic() - began < 0.5
    assert [reader.communicate(timeout=15)[0] for reader in readers] == ["at last\n"] * 2


def test_sixty_slow_requests_do_not_wedge_the_mount(tmp_path: Path, serving: list[Server]) -> None:
    """More than the slow lane takes: some are turned away with EAGAIN, and quick files go on answering."""
    serving.append(server := Server(tmp_path, 3.0))
    script = "for i in $(seq 120); do cat slow >/dev/null 2>>%s & done; wait" % (tmp_path.parent / "errors")
    shell = subprocess.Popen(["bash", "-c", script], cwd=tmp_path)
    time.sleep(1.5)
    began = time.monotonic()
    assert (tmp_path / "quick").read_text() == "now\n"
    assert time.monotonic() - began < 1
    server.process.send_signal(signal.SIGTERM)
    assert server.ended()[1] < 5
    shell.wait(20)
    assert "Resource temporarily unavailable" in (tmp_path.parent / "errors").read_text()


def test_a_bug_costs_one_eio_and_the_mount_goes_on(tmp_path: Path, serving: list[Server]) -> None:
    serving.append(server := Server(tmp_path, 1.0))
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output error"):
            (tmp_path / "bug").read_text()
    assert (tmp_path / "quick").read_text() == "now\n"
    assert os.listdir(tmp_path) == ["slow", "bug", "hang", "quick"]
    server.process.send_signal(signal.SIGTERM)
    status, _, said = server.ended()
    assert status == 0
    assert said.count("ZeroDivisionError") == 2
