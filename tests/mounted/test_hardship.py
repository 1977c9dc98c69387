"""What happens to a mount's surroundings: a machine that sleeps, a xenstored that is restarted or gone with its socket,
a full disk under the record. The mount goes on, and says what it could not do."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mounting import REPOSITORY, Mounter

sys.path.append(str(REPOSITORY / "tests"))
from patience import PATIENCE_S, until
from scripted_xenstored import Store

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount and to make namespaces")

# A simulated Xen whose xenstored is a process beside it, reached by its socket as on a dom0.
WITH_A_XENSTORED = """
import os, sys
from xenfs import xenstore
from xenfs.simulator.simulator import Simulator
store = xenstore.connect([os.environ["XENSTORED_PATH"]], timeout_s=1.0)
Simulator.xenstore = lambda self: store
from xenfs.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_machine_that_sleeps(mounter: Mounter) -> None:
    """Stopped and continued: who asked meanwhile gets an answer, who waits is told, and nothing is lost of the pool.

    Linux stops processes before the machine sleeps, and CLOCK_MONOTONIC with it: this much of it can be had anywhere.
    """
    mount = mounter("domains=6", options="lifecycle")
    # started before: a child closes what its parent has open, and the first close of all asks the daemon
    victim = subprocess.Popen(["sh", "-c", f"read go; echo 1 > {mount.where}/domains/2/kill"], stdin=subprocess.PIPE)
    with open(mount.where / "domains" / "events", "rb", buffering=0) as events:
        assert events.read(100) == b""
        mount.process.send_signal(signal.SIGSTOP)
        answers: list[str] = []
        reader = threading.Thread(target=lambda: answers.append(mount.read("domains/1/state")))
        assert victim.stdin is not None
        victim.stdin.write(b"\n")
        victim.stdin.close()
        reader.start()
        time.sleep(1.5)
        assert (answers, victim.poll()) == ([], None)
        mount.process.send_signal(signal.SIGCONT)
        reader.join(PATIENCE_S)
        assert answers
        assert victim.wait(PATIENCE_S) == 0
        assert select.select([events], [], [], PATIENCE_S)[0]
        assert b" dying 2 " in events.read(4096)
    stat = dict(line.split() for line in mount.read("xenfs/buffers/stat").splitlines())
    assert (stat["in_use"], stat["red_zone_hits"]) == ("0", "0")
    assert mount.read("xenfs/calls/in_flight") == ""


@ROOT
def test_clocks_that_are_far_ahead(tmp_path: Path) -> None:
    """CLOCK_BOOTTIME goes on while a machine sleeps: in a namespace where it is a year ahead of CLOCK_MONOTONIC."""
    where = tmp_path / "xenfs"
    where.mkdir()
    command = [
        "unshare", "--time", "--boottime", "31536000", "--fork", sys.executable, "-m", "xenfs", "mount", str(where),
        "--hypervisor", "simulator:churn=5", "--ready-fd", "1",
    ]  # fmt: skip
    server = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        if not server.stdout.readline():
            pytest.skip(f"no time namespaces: {server.communicate()[1]}")
        with open(where / "domains" / "events", "rb", buffering=0) as events:
            assert select.select([events], [], [], PATIENCE_S)[0]
            assert b" created " in events.read(4096)
    finally:
        subprocess.run([sys.executable, "-m", "xenfs", "umount", "--lazy", where], cwd=REPOSITORY, check=False)
        server.communicate(timeout=PATIENCE_S)


class Served:
    """A mount, and the xenstored that it has names from."""

    def __init__(self, mounter: Mounter, path: Path) -> None:
        self.path = path
        self.store = self.start(b"one")
        self.mount = mounter(
            "domains=6", options="lifecycle", program=("-c", WITH_A_XENSTORED), env={"XENSTORED_PATH": str(path)}
        )

    def start(self, name: bytes) -> Store:
        """A xenstored that knows the name of domain 1."""
        self.store = Store(self.path, {b"/local/domain/1/name": name})
        return self.store

    def stop(self) -> None:
        """It ends, and its socket is removed."""
        if self.path.exists():
            self.path.unlink()
            self.store.hang_up()
            self.store.server.stop()

    @property
    def name(self) -> str:
        """What domain 1 is called, where it has a name."""
        try:
            return self.mount.read("domains/1/name")
        except OSError as problem:
            return type(problem).__name__


@pytest.fixture
def served(mounter: Mounter, tmp_path: Path) -> Iterator[Served]:
    made = Served(mounter, tmp_path / "xenstored")
    yield made
    made.mount.stop()
    made.stop()


def test_a_xenstored_that_ends_and_comes_back(served: Served) -> None:
    """Its socket is gone for a while, as /dev/xen/xenbus may be: events go on by looking, names come back."""
    mount = served.mount
    with open(mount.where / "domains" / "events", "rb", buffering=0) as events:
        assert served.name == "one\n"
        served.stop()
        mount.write("domains/2/kill", "1")
        assert select.select([events], [], [], PATIENCE_S)[0], "without a xenstored"
        assert b" dying 2 " in events.read(4096)
        assert "1" in os.listdir(mount.where / "domains")
        assert "1" in os.listdir(mount.where / "domains" / "1" / "vcpus")
        assert served.name in ("TimeoutError", "ConnectionRefusedError"), "what only xenstore knows"
        served.start(b"two")
        until(lambda: served.name == "two\n")
        mount.write("domains/3/kill", "1")
        seen = b""
        while b" dying 3 " not in seen:
            assert select.select([events], [], [], PATIENCE_S)[0]
            seen += events.read(4096)
    assert "Traceback" not in mount.errors()


@ROOT
def test_a_full_disk_under_the_record(mounter: Mounter, tmp_path: Path) -> None:
    """Writes go on and are told as ever; what could not be recorded is counted, and said when there is room again."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=True)
    try:
        mount = mounter("domains=3", options=f"record=file:{folder}/record")
        mount.write("domains/1/sched/weight", "300")
        filler = folder / "filler"
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        before = (folder / "record").stat().st_size
        for weight in range(301, 341):
            mount.write("domains/1/sched/weight", str(weight))
        assert mount.read("domains/1/sched/weight") == "340\n"
        written = len(re.findall(r' value="3\d\d" ', (folder / "record").read_text()))
        assert written < 41, "the disk was full"
        filler.unlink()
        until(lambda: " left_out=" in (folder / "record").read_text(), 20)
        text = (folder / "record").read_text()
        counted = sum(int(number) for number in re.findall(r"summary left_out=(\d+) ", text))
        whole = [
            line for line in text.splitlines() if re.search(r' command="[^"]*" .* value="3\d\d" calls="[^"]*"$', line)
        ]
        assert len(whole) + counted == 41, "each write is there or counted"
        assert (folder / "record").stat().st_size > before
        mount.write("domains/1/sched/weight", "400")
        assert 'value="400"' in (folder / "record").read_text().splitlines()[-1]
        mount.stop()
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
