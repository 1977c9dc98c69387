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
from mount_table import mount_lines
from mounting import REPOSITORY
from patience import PATIENCE_S

SERVER = """
import logging, os, signal, sys, threading, trio
from xenfs.filesystem.operations import Operations
from xenfs.filesystem.serve import serve
from xenfs.connect.opening import open_hypervisor
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.refusals import Refusals
from xenfs.options import Options

go_on = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: go_on.set())

def stuck(xen, *_):
    os.write(1, b"IN\\n")
    assert go_on.wait(300)
    return "at last"

root = Dir("", "top", (
    *(
        File(name, "a call that takes its time", read=stuck, write=stuck, grows=Cost.WAITS, write_grows=Cost.WAITS)
        for name in ("slow", "slow1", "slow2")
    ),
    File("bug", "a bug", read=lambda xen: 1 // 0),
    File("hang", "a call in the event loop itself", read=stuck),
    File("quick", "an answer", read=lambda xen: "now"),
))
logging.basicConfig(level=logging.INFO)
xen = open_hypervisor("simulator:domains=1")
ops = Operations(xen, root, Options(), Refusals())
trio.run(serve, ops, sys.argv[1], lambda: print("READY", flush=True), float(sys.argv[2]))
xen.close()
"""


SHORT_S, LONG_S = 1.5, 120.0  # grace periods: one that is waited for, and one that nobody waits for


class Server:
    """A mount whose calls are stuck until SIGUSR1, and which says of each that it has begun."""

    def __init__(self, where: Path, grace_s: float = SHORT_S) -> None:
        self.where = where
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(where), str(grace_s)],
            cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.hears("READY")

    def hears(self, word: str) -> None:
        """Wait for its next line."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{word}\n"

    def reader(self, name: str = "slow") -> subprocess.Popen[str]:
        """A process that reads a file there; the call has begun."""
        found = subprocess.Popen(
            ["cat", str(self.where / name)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.hears("IN")
        return found

    def ended(self) -> tuple[int, float, str]:
        """(exit status, seconds it took, what it said on stderr)."""
        began = time.monotonic()
        _, said = self.process.communicate(timeout=PATIENCE_S)
        assert not mount_lines(self.where)
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
    serving.append(server := Server(tmp_path, LONG_S))
    reader = server.reader()
    server.process.send_signal(signal.SIGTERM)
    server.process.send_signal(signal.SIGUSR1)
    assert server.ended()[:1] == (0,)
    out, _ = reader.communicate(timeout=PATIENCE_S)
    assert out in ("at last\n", "")


def test_a_call_that_does_not_end_is_left_behind(tmp_path: Path, serving: list[Server]) -> None:
    serving.append(server := Server(tmp_path))
    readers = [server.reader(name) for name in ("slow", "slow1", "slow2")]
    server.process.send_signal(signal.SIGTERM)
    status, seconds, said = server.ended()
    assert status == 0
    assert seconds > 1.0
    assert "Traceback" not in said
    for reader in readers:
        out, problem = reader.communicate(timeout=PATIENCE_S)
        assert out == ""
        assert problem
        assert reader.returncode == 1


def test_a_call_that_hangs_where_all_are_served(tmp_path: Path, serving: list[Server]) -> None:
    """The event loop never hears of the signal."""
    serving.append(server := Server(tmp_path))
    reader = server.reader("hang")
    server.process.send_signal(signal.SIGTERM)
    status, seconds, said = server.ended()
    assert (status, seconds > 1.0) == (0, True)
    assert "Traceback" not in said
    assert reader.communicate(timeout=PATIENCE_S)[0] == ""


def test_a_second_signal_is_enough(tmp_path: Path, serving: list[Server]) -> None:
    serving.append(server := Server(tmp_path, LONG_S))
    reader = server.reader()
    server.process.send_signal(signal.SIGINT)
    assert server.process.stderr is not None
    assert "SIGINT: unmounting" in server.process.stderr.readline()
    server.process.send_signal(signal.SIGINT)
    assert server.ended()[0] == 0, "long before the grace period is over"
    reader.communicate(timeout=PATIENCE_S)


def test_a_call_that_runs_does_not_hold_up_the_others(tmp_path: Path, serving: list[Server]) -> None:
    serving.append(server := Server(tmp_path))
    readers = [server.reader(name) for name in ("slow1", "slow2")]
    assert (tmp_path / "quick").read_text() == "now\n"
    assert [reader.poll() for reader in readers] == [None] * 2
    server.process.send_signal(signal.SIGUSR1)
    assert [reader.communicate(timeout=PATIENCE_S)[0] for reader in readers] == ["at last\n"] * 2


def test_sixty_slow_requests_do_not_wedge_the_mount(tmp_path: Path, serving: list[Server]) -> None:
    """More than the slow lane takes: some are turned away with EAGAIN, and quick files go on answering."""
    serving.append(server := Server(tmp_path))
    errors = tmp_path.parent / "errors"
    errors.touch()
    script = f"for i in $(seq 120); do cat slow >/dev/null 2>>{errors} & done; wait"
    shell = subprocess.Popen(["bash", "-c", script], cwd=tmp_path)
    end = time.monotonic() + PATIENCE_S
    while "Resource temporarily unavailable" not in errors.read_text():
        assert time.monotonic() < end, errors.read_text()
        time.sleep(0.05)
    assert (tmp_path / "quick").read_text() == "now\n"
    server.process.send_signal(signal.SIGTERM)
    assert server.ended()[0] == 0
    shell.wait(PATIENCE_S)


def test_a_bug_costs_one_eio_and_the_mount_goes_on(tmp_path: Path, serving: list[Server]) -> None:
    serving.append(server := Server(tmp_path))
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output error"):
            (tmp_path / "bug").read_text()
    assert (tmp_path / "quick").read_text() == "now\n"
    assert os.listdir(tmp_path) == ["slow", "slow1", "slow2", "bug", "hang", "quick"]
    server.process.send_signal(signal.SIGTERM)
    status, _, said = server.ended()
    assert status == 0
    assert said.count("ZeroDivisionError") == 2
