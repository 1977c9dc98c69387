"""Hostile and merely odd callers, through the mount: the table of odd_calls.py, open files by the thousand, locks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mounting import Mount, Mounter, refused
from odd_calls import TABLE, Place, Row, outcome

SYSFS = Path("/sys/kernel/mm/ksm")


@pytest.fixture
def other(tmp_path: Path) -> str:
    (tmp_path / "other").write_text("256\n")
    return str(tmp_path / "other")


@pytest.mark.parametrize("row", TABLE, ids=[row.name for row in TABLE])
def test_ours(mounted: Mount, other: str, row: Row) -> None:
    root = str(mounted.where)
    place = Place(f"{root}/host", f"{root}/host/memory/free_kb", f"{root}/domains/1/sched/weight", b"256\n", other)
    assert outcome(row.call, place) == row.ours
    assert mounted.read("domains/1/sched/weight") == "256\n", "nothing else has happened"


@pytest.mark.skipif(os.geteuid() != 0 or not (SYSFS / "pages_to_scan").exists(), reason="needs root and ksm in sysfs")
@pytest.mark.parametrize("row", [row for row in TABLE if row.sysfs is not None], ids=lambda row: row.name)
def test_what_linuxs_own_gives(other: str, row: Row) -> None:
    """The same, or what the table says: so that the table is right about Linux too."""
    written = SYSFS / "pages_to_scan"
    value = written.read_bytes()
    place = Place(str(SYSFS), str(SYSFS / "full_scans"), str(written), value, other)
    assert outcome(row.call, place) == (row.sysfs or row.ours)
    assert written.read_bytes() == value


def test_two_lock_each_other_out(mounted: Mount) -> None:
    path = mounted.where / "domains" / "1" / "freeze"
    program = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    with open(path) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        other = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert "BlockingIOError" in other.stderr


@pytest.fixture
def crowded(mounter: Mounter) -> Iterator[tuple[Mount, contextlib.ExitStack]]:
    """A mount where each may have 2,000 files open, and somewhere to put what is to be closed."""
    with contextlib.ExitStack() as stack:
        yield mounter("domains=4", options="open_max=2000,allow_other,umask=022"), stack


def opened(stack: contextlib.ExitStack, path: Path, flags: int = os.O_RDONLY) -> int:
    fd = os.open(path, flags | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    return fd


def resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two users")
def test_thousands_of_open_files(crowded: tuple[Mount, contextlib.ExitStack]) -> None:
    """One too many is EMFILE, for root too; another user has a share of his own; what is closed can be opened again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("this machine allows too few open files")
    mount, stack = crowded
    path = mount.where / "domains" / "1" / "state"
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
    before = resident_kb(mount.process.pid)
    fds = [opened(stack, path) for _ in range(2000)]
    for _ in range(3):
        with refused(errno.EMFILE):
            os.open(path, os.O_RDONLY)
        with refused(errno.EMFILE):
            os.listdir(mount.where)
    for fd in fds:
        assert os.pread(fd, 100, 0)
    assert resident_kb(mount.process.pid) - before < 8 << 10
    done = subprocess.run(
        ["head", "-c", "4", "domains/1/state"], cwd=mount.where, user=12345, capture_output=True, check=False
    )
    assert (done.returncode, bool(done.stdout)) == (0, True), done
    stack.close()
    assert path.read_text()


def test_slow_writers_and_answers_that_nobody_fetches(mounter: Mounter) -> None:
    """Files kept open by who never asks, or never reads the answer, cost the daemon little, and hold up nobody."""
    mount = mounter("domains=4")
    with contextlib.ExitStack() as stack:
        before = resident_kb(mount.process.pid)
        asking = [opened(stack, mount.where / "host" / "memory" / "availheap", os.O_RDWR) for _ in range(200)]
        for fd in asking[::2]:
            assert os.write(fd, b"-1 0 0") == 6
            with refused(errno.EBUSY):
                os.write(fd, b"-1 0 0")
        stats = [opened(stack, mount.where / "metrics" / "xen.prom") for _ in range(60)]
        for fd in stats:
            assert os.read(fd, 1)
        assert mount.read("version/major") == "4\n"
        assert resident_kb(mount.process.pid) - before < 32 << 10
    stat = dict(line.split() for line in mount.read("xenfs/buffers/stat").splitlines())
    assert stat["in_use"] == "0"
