"""What administrators write, beside the files of Linux that take the same: sizes, lists of CPUs, freezing."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from mount_table import mount_table
from mounting import Mount, refused
from programs import cgroup2


def hierarchy(controller: str) -> Path | None:
    """Where control groups with this controller are made: of version 2, or of version 1."""
    new = cgroup2()
    if new is not None and controller in (new / "cgroup.subtree_control").read_text().split():
        return new
    for line in mount_table():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup ") and controller in after.split()[-1].split(","):
            return Path(before.split()[4])
    return None


def made(controller: str, *names: str) -> Iterator[Path]:
    """The first of these files of a control group that is there for the test."""
    above = hierarchy(controller)
    if above is None or not os.access(above, os.W_OK):
        pytest.skip(f"no control groups with {controller} that can be made")
    group = above / f"xenfs-twin-{os.getpid()}"
    group.mkdir()
    try:
        yield next(group / name for name in names if (group / name).exists())
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()


@pytest.fixture
def limit() -> Iterator[Path]:
    yield from made("memory", "memory.max", "memory.limit_in_bytes")


@pytest.fixture
def cpus() -> Iterator[Path]:
    yield from made("cpuset", "cpuset.cpus")


def write(path: Path, text: str) -> None:
    """One write(2)."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def test_sizes(mount: Mount, limit: Path) -> None:
    """Powers of 1024, with a letter of either case. xenfs's file is in kB, as its neighbours are."""
    ours = mount.where / "domains/1/memory/max"
    before = ours.read_text()
    for text, nbytes in (("512M", 512 << 20), ("1g", 1 << 30), ("262144k\n", 256 << 20), ("1G\n", 1 << 30)):
        write(ours, text)
        write(limit, text)
        assert int(ours.read_text()) * 1024 == int(limit.read_text()) == nbytes, text
    for text in ("12Q", "lots", "1 2", "0x"):
        for path in (ours, limit):
            with refused(errno.EINVAL):
                write(path, text)
    assert int(ours.read_text()) << 10 == int(limit.read_text()) == 1 << 30, "as it was"
    write(ours, before)


def test_lists_of_cpus(mount: Mount, cpus: Path) -> None:
    """What the kernel takes xenfs takes as well, and shows it in the same words. What xl takes besides is its own."""
    ours = mount.where / "domains/1/affinity_hard"
    before = ours.read_text()
    last = min(max(os.sched_getaffinity(0)), 7)
    texts = ["0", f"{last}\n", "0,0"] + ([f"0-{last}", f"0,{last}", f"{last},0\n"] if last else [])
    for text in texts:
        write(ours, text)
        write(cpus, text)
        assert ours.read_text() == cpus.read_text(), text
    for text in ("1-0", "0-", "a", "0-1-2"):
        for path in (ours, cpus):
            with refused(errno.EINVAL):
                write(path, text)
    assert ours.read_text() == cpus.read_text(), "as it was"
    write(ours, before)


def test_freezing(mount: Mount, populated: Path) -> None:
    """Idempotent, 0 or 1 with or without a newline, and nothing else."""
    ours, theirs = mount.where / "domains/2/freeze", populated / "cgroup.freeze"
    for text in ("1", "1\n", "0", "0\n"):
        for path in (ours, theirs):
            write(path, text)
            assert path.read_text().strip() == text.strip(), (path, text)
    for text in ("yes", "", "0 1"):
        for path in (ours, theirs):
            with contextlib.suppress(OSError):  # of nothing at all Linux makes no write
                write(path, text)
            assert path.read_text() == "0\n", (path, text)


def test_the_limit_on_sizes_of_files(mount: Mount, populated: Path) -> None:
    """RLIMIT_FSIZE: Linux heeds it in every mount of FUSE, and not where the twin is. What is beyond it is cut off."""
    ours, theirs = mount.where / "domains/2/sched/weight", populated / "cgroup.freeze"
    before = ours.read_text()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)  # Python ignores SIGXFSZ

    def limited(path: Path, text: str, nbytes: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))
        try:
            write(path, text)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    limited(theirs, "1", 0)
    limited(theirs, "0", 0)
    with refused(errno.EFBIG):
        limited(ours, "512", 0)
    assert ours.read_text() == before
    limited(ours, "512", 2)
    assert ours.read_text() == "51\n"
    limited(ours, before, len(before))
    assert ours.read_text() == before


def test_cpus_that_are_online(mount: Mount) -> None:
    """The same form, of other CPUs: those of the host that is pretended."""
    theirs, ours = Path("/sys/devices/system/cpu/online"), mount.where / "host/cpus/online"
    assert theirs.read_text().endswith("\n")
    assert ours.read_text() == "0-7\n"
    assert ours.stat().st_size == theirs.stat().st_size == 4096
    for path in (ours, theirs):
        with refused(errno.EACCES):
            os.close(os.open(path, os.O_WRONLY))
