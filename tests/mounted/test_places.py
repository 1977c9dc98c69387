"""Where a mount may be, who may look at it from outside, and what it says of itself."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mounting import REPOSITORY, Mount
from patience import PATIENCE_S, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
HELPER = REPOSITORY / "contrib/mount.fuse.xenfs"
MOUNTING = f"exec {sys.executable} -m xenfs mount"
_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def where() -> Iterator[Path]:
    """A place that is unmounted in the end, whatever is there; others may go into the directory above."""
    with tempfile.TemporaryDirectory(prefix="xenfs-test-") as above:
        os.chmod(above, 0o755)
        place = Path(above, "place")
        place.mkdir()
        yield place
        for _ in range(4):
            subprocess.run(["umount", "-l", place], stderr=subprocess.DEVNULL, check=False)


@contextlib.contextmanager
def serving(where: Path, *words: str, still: Callable[[], bool] = lambda: True) -> Iterator[Mount]:
    mount = Mount(where, "--hypervisor", "simulator:domains=3", *words)
    try:
        yield mount
        assert mount.read("version/major") == "4\n"
        mount.process.terminate()
        assert mount.process.wait(30) == 0, mount.errors()
        assert still()
    finally:
        mount.force()


@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_upon_what_is_mounted_there(where: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/of").touch()
    made = ["mount", "-t", "tmpfs", "none", where] if kind == "tmpfs" else ["mount", "--bind", tmp_path / "full", where]
    subprocess.run(made, check=True)
    (where / "things").touch()
    with serving(where, still=(where / "things").exists):
        assert not (where / "things").exists()


@pytest.mark.parametrize("words", [(), ("--new-session",)])
def test_upon_an_automount_which_is_not_woken(where: Path, words: tuple[str, ...]) -> None:
    """What x-systemd.automount puts there asks its daemon to mount when anybody opens it; nobody reads what it asks."""
    reads, writes = os.pipe()
    options = f"fd={writes},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct"
    if _libc.mount(b"test", os.fsencode(where), b"autofs", 0, options.encode()):
        pytest.skip(f"no autofs: {os.strerror(ctypes.get_errno())}")
    os.close(writes)
    try:
        with serving(where, *words, still=lambda: not select.select([reads], [], [], 0)[0]):
            assert not select.select([reads], [], [], 0)[0], "it was asked to mount"
    finally:
        subprocess.run(["umount", "-l", where], check=False)
        os.close(reads)


def as_user(command: list[str | Path], uid: int, gid: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, user=uid, group=gid, extra_groups=[], capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip


def test_from_outside(where: Path) -> None:
    """Others see that there is something, and nothing of it; root is root with any group."""
    with serving(where):
        for command in (["ls", "-l", where.parent], ["df", where], ["stat", where], ["findmnt", where]):
            done = as_user(list(command), 65534, 65534)
            assert (done.returncode, done.stderr) == (0, ""), (command, done)
            assert "?" not in done.stdout, done.stdout
        assert as_user(["find", where.parent, "-maxdepth", "1"], 65534, 65534).returncode == 0
        for path in ("", "version/major", "domains"):
            done = as_user(["ls", where / path], 65534, 65534)
            assert done.returncode == 2
            assert "Permission denied" in done.stderr
        assert as_user(["cat", where / "version/major"], 0, 12345).stdout == "4\n", "root with another group"
        given = os.open(where / "domains", os.O_RDONLY)
        try:  # by a directory that somebody is handed there is no way in either
            done = subprocess.run(
                ["ls", f"/proc/self/fd/{given}"], user=65534, group=65534, extra_groups=[], pass_fds=(given,),
                capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
            assert "Permission denied" in done.stderr
        finally:
            os.close(given)
        assert os.statvfs(where).f_files == 0
        assert subprocess.check_output(["df", "--output=ipcent", where], text=True).split()[-1] == "-"


def test_remounted(where: Path) -> None:
    def remount(words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, HELPER, "none", where, "-o", words],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def flags() -> set[str]:
        (line,) = (
            line for line in Path("/proc/self/mountinfo").read_text().splitlines() if line.split()[4] == str(where)
        )
        return set(line.split()[5].split(","))

    with serving(where, "--new-session") as mount:
        assert os.getsid(mount.process.pid) == mount.process.pid
        assert remount("remount,ro").returncode == 0
        assert {"ro", "nosuid", "nodev", "noexec"} <= flags()
        assert "Read-only" in mount.shell("LC_ALL=C; echo 1 > domains/1/freeze").stderr
        assert remount("remount,rw,noatime").returncode == 0
        assert {"rw", "noatime", "nosuid", "nodev", "noexec"} <= flags()
        mount.write("domains/1/freeze", "0")
        done = remount("remount,lifecycle")
        assert (done.returncode, "cannot change lifecycle" in done.stderr) == (32, True)


@pytest.mark.parametrize("to", ["full", "closed"])
def test_a_stdout_that_takes_nothing(where: Path, to: str) -> None:
    reads, writes = os.pipe()
    redirected = ">/dev/full" if to == "full" else "<&- >&- 2>&-"
    words = f"{MOUNTING} {where} --hypervisor simulator:domains=2 --ready-fd {writes} {redirected}"
    process = subprocess.Popen(["bash", "-c", words], pass_fds=(writes,), cwd=REPOSITORY)
    os.close(writes)
    try:
        assert os.read(reads, 10) == b"READY\n"
        assert (where / "version/major").read_text() == "4\n"
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reads)


@pytest.mark.parametrize(("command", "status"), [("tree >/dev/full", 1), ("tree >&-", 0), ("--version >&-", 0)])
def test_what_cannot_be_printed(command: str, status: int) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m xenfs {command}"], cwd=REPOSITORY, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == status
    assert done.stderr == ("xenfs: No space left on device\n" if status else "")


@pytest.mark.parametrize("most", [6, 8, 12, 16])
def test_few_descriptors(where: Path, most: int) -> None:
    """A mount, or a sentence."""
    process = subprocess.Popen(
        ["bash", "-c", f"ulimit -n {most}; {MOUNTING} {where} --hypervisor simulator:domains=2"],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until(lambda: os.path.ismount(where) or process.poll() is not None)
        if process.poll() is None:
            assert (where / "version/full").read_text()
            return
        said, why = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 1
        assert "Traceback" not in why
        assert why.startswith("xenfs: ")
        assert not said
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
