"""What the daemon has left once it serves: no capability, nothing inherited, no file to write; and who unmounts."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mounting import REPOSITORY, Mount, Mounter

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have something to give up")


def status(path: Path) -> dict[str, str]:
    return dict(line.split(":", 1) for line in (path / "status").read_text().replace("\t", "").splitlines())


def helper(mount: Mount) -> int:
    """The process that unmounts."""
    words = Path(f"/proc/{mount.process.pid}/task/{mount.process.pid}/children").read_text().split()
    [pid] = [int(word) for word in words if Path(f"/proc/{word}/comm").read_text() == "xenfs-unmount\n"]
    return pid


def until(holds: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return holds()


def test_no_thread_has_a_capability(mounter: Mounter) -> None:
    mount = mounter("domains=5", options="lifecycle")
    mount.write("domains/2/kill", "1")  # slow work: in a thread
    tasks = list(Path(f"/proc/{mount.process.pid}/task").iterdir())
    assert len(tasks) > 1
    for task in tasks:
        found = status(task)
        assert [found[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")] == ["0" * 16] * 5
        assert found["NoNewPrivs"] == "1"
        assert found["Umask"] == "0077"


@ROOT
def test_the_one_who_unmounts_can_do_that_and_no_more(mounter: Mounter) -> None:
    mount = mounter("domains=2")
    pid = helper(mount)
    found = status(Path(f"/proc/{pid}"))
    only = f"{1 << 21:016x}"
    assert [found[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")] == [
        "0" * 16,
        only,
        only,
        only,
        "0" * 16,
    ]
    assert found["NoNewPrivs"] == "1"
    links = {os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()}
    assert {re.sub(r"\d+", "", link) for link in links} == {"/dev/null", "socket:[]"}, "no device, no mount"
    assert len([link for link in links if link != "/dev/null"]) == 1


def test_nothing_is_inherited(mounter: Mounter, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch()
    fd = os.open(secret, os.O_RDONLY)
    os.set_inheritable(fd, True)
    env = {"LD_LIBRARY_PATH": str(tmp_path), "PYTHONSTARTUP": "/x", "IFS": "x", "TMPDIR": str(tmp_path)}
    where = tmp_path / "xenfs"
    where.mkdir()
    script = "import os, sys; os.chdir(sys.argv[1]); os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
    server = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), "-m", "xenfs", "mount", str(where), "--hypervisor", "simulator"],
        stdin=fd, pass_fds=(fd,), stdout=subprocess.PIPE, env={**os.environ, **env, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    try:
        assert server.stdout is not None
        assert b"mounted" in server.stdout.readline()
        found = Path(f"/proc/{server.pid}")
        assert os.readlink(found / "cwd") == "/"
        assert str(secret) not in {os.readlink(each) for each in (found / "fd").iterdir()}
        assert os.readlink(found / "fd" / "0") == "/dev/null"
        assert (where / "version" / "major").read_text() == "4\n"
    finally:
        server.terminate()
        assert server.wait(10) == 0
        server.stdout.close() if server.stdout else None
        os.close(fd)


def test_a_file_in_the_working_directory_is_not_run(tmp_path: Path) -> None:
    for name in ("argparse", "trio", "cffi", "logging"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the working directory was run')")
    done = subprocess.run(
        [sys.executable, "-m", "xenfs", "--version"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


CONFINED = """
import ctypes, errno, os, subprocess, sys, threading
from xenfs.filesystem.confine import give_up_rights
from xenfs.filesystem.confine.landlock import _libc
folder = sys.argv[1]
kept = open(f"{folder}/kept", "w")
give_up_rights(1 << 22)

def refused(work, *codes):
    try:
        work()
    except OSError as problem:
        assert problem.errno in codes, problem
    else:
        raise AssertionError(f"not refused: {work}")

def everything():
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(b"none", folder.encode(), b"tmpfs", 0, None) and ctypes.get_errno() == errno.EPERM
    assert libc.umount2(b"/", 2) and ctypes.get_errno() == errno.EPERM
    refused(lambda: os.chown(f"{folder}/kept", 1, 1), errno.EPERM)
    refused(lambda: os.kill(1, 0) if os.getppid() != 1 and os.geteuid() else os.setuid(12345), errno.EPERM)
    if os.geteuid() == 0:
        refused(lambda: os.setgroups([1]), errno.EPERM)
    if _libc.syscall(444, None, 0, 1) > 0:
        refused(lambda: open(f"{folder}/new", "w"), errno.EACCES)
        refused(lambda: open(f"{folder}/kept", "a"), errno.EACCES)
        refused(lambda: os.unlink(f"{folder}/kept"), errno.EACCES)
        refused(lambda: os.mkdir(f"{folder}/new"), errno.EACCES)
        refused(lambda: subprocess.run(["/bin/true"]), errno.EACCES)

everything()
thread = threading.Thread(target=everything)
thread.start()
thread.join()
kept.write("what is open stays open")
kept.close()
assert open("/proc/self/status").read()
print("confined")
"""


def test_what_cannot_be_done_any_more(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONFINED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("confined\n", "")
    assert (tmp_path / "kept").read_text() == "what is open stays open"


GROWING = """
import resource
from pathlib import Path
from xenfs.filesystem.confine import give_up_rights
from xenfs.pool.pages import LockedAnonymous
resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
give_up_rights(8 << 20)
raised = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] >= 8 << 20
lines = Path("/proc/self/status").read_text().splitlines()
[left] = [int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")]
assert left == (0 if raised else 1 << 14), "the capability to lock only where the limit cannot be raised"
held = [LockedAnonymous().map(1 << 20) for _ in range(7)]
print("grew")
"""


@ROOT
def test_the_pool_grows_without_the_capability_to_lock_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GROWING],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("grew\n", "")


def test_after_a_kill_no_dead_mount_is_left(mounter: Mounter) -> None:
    mount = mounter("domains=3")
    fd = os.open(mount.where / "domains/1/freeze", os.O_RDONLY)
    try:
        mount.process.send_signal(signal.SIGKILL)
        assert until(lambda: not mount.mounted)
        assert os.listdir(mount.where) == []
    finally:
        with contextlib.suppress(OSError):  # there is nobody to hear of it
            os.close(fd)


@ROOT
def test_what_somebody_else_mounted_there_is_left_alone(mounter: Mounter) -> None:
    mount = mounter("domains=3")
    pid = helper(mount)
    subprocess.run(["mount", "-t", "tmpfs", "none", mount.where], check=True)
    try:
        mount.process.send_signal(signal.SIGKILL)
        mount.process.wait(10)
        assert until(lambda: not Path(f"/proc/{pid}").exists())
        assert " - tmpfs " in Path("/proc/self/mountinfo").read_text().split(f" {mount.where} ")[-1]
    finally:
        subprocess.run(["umount", mount.where], check=True)


@ROOT
def test_without_the_one_who_unmounts(mounter: Mounter) -> None:
    """The end is in order all the same, and it is said that the mount stays."""
    mount = mounter("domains=3")
    os.kill(helper(mount), signal.SIGKILL)
    mount.process.send_signal(signal.SIGTERM)
    assert mount.process.wait(15) == 0
    assert "the process that unmounts does not answer" in mount.errors()
    assert "Traceback" not in mount.errors()


def test_the_one_who_unmounts_outlives_signals(mounter: Mounter) -> None:
    mount = mounter("domains=3")
    pid = helper(mount)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(pid, number)
    assert mount.stop() < 5
    assert until(lambda: not Path(f"/proc/{pid}").exists())
