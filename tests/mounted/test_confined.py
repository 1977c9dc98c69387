"""What the daemon has left once it serves: no capability, nothing inherited, no file to write; and who unmounts."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mount_table import mount_lines
from mounting import REPOSITORY, Mount, Mounter
from patience import PATIENCE_S

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have something to give up")


def status(path: Path) -> dict[str, str]:
    return dict(line.split(":", 1) for line in (path / "status").read_text().replace("\t", "").splitlines())


def helper(mount: Mount) -> int:
    """The process that unmounts."""
    words = Path(f"/proc/{mount.process.pid}/task/{mount.process.pid}/children").read_text().split()
    [pid] = [int(word) for word in words if Path(f"/proc/{word}/comm").read_text() == "xenfs-unmount\n"]
    return pid


def until(holds: Callable[[], bool], seconds: float = PATIENCE_S) -> bool:
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


def resident_kb(pid: int) -> int:
    return int(status(Path(f"/proc/{pid}"))["VmRSS"].removesuffix("kB"))


def test_what_is_not_needed_is_not_in_memory(mounter: Mounter) -> None:
    """The one who unmounts is made before all that serves is imported; nobody has what trio and pyfuse3 could use."""
    mount = mounter("domains=2")
    assert 2 * resident_kb(helper(mount)) < resident_kb(mount.process.pid)
    mapped = Path(f"/proc/{mount.process.pid}/maps").read_text()
    assert [name for name in ("libcrypto", "liblzma", "libbz2", "_pickle", "_csv", "_datetime") if name in mapped] == []


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
        assert server.wait(PATIENCE_S) == 0
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
import ctypes, errno, os, platform, signal, socket, subprocess, sys, threading
from xenfs.filesystem.confine import give_up_rights, identity
from xenfs.filesystem.confine.landlock import _libc, version
folder, listening, others = sys.argv[1], sys.argv[2], int(sys.argv[3])
root, known = os.geteuid() == 0, version()
chosen = identity("")
kept = open(f"{folder}/kept", "w")
give_up_rights(1 << 22, chosen)
libc = ctypes.CDLL(None, use_errno=True)

def call(done):
    if done < 0:
        raise OSError(ctypes.get_errno(), "call")

def connected(family, kind, address):
    with socket.socket(family, kind) as one:
        one.connect(address)

DENIED = errno.EPERM, errno.EACCES
ATTEMPTS = {
    "mount": (root, lambda: call(libc.mount(b"none", folder.encode(), b"tmpfs", 0, None))),
    "umount": (root, lambda: call(libc.umount2(b"/", 2))),
    "chown": (root, lambda: os.chown(f"{folder}/kept", 1, 1)),
    "chmod": (root, lambda: os.chmod(f"{folder}/kept", 0o4755)),
    "utime": (root, lambda: os.utime(f"{folder}/kept", (1, 1))),
    "setxattr": (root, lambda: os.setxattr(f"{folder}/kept", "user.x", b"1")),
    "shadow": (root, lambda: open("/etc/shadow").read()),
    "setuid": (root, lambda: os.setuid(0)),
    "setgroups": (root, lambda: os.setgroups([0])),
    "kill": (root, lambda: os.kill(others, signal.SIGTERM)),
    "ptrace": (root, lambda: call(libc.ptrace(16, others, None, None))),  # PTRACE_ATTACH
    "look into": (root, lambda: open(f"/proc/{others}/environ").read()),
    "connect to root's socket": (root, lambda: connected(socket.AF_UNIX, socket.SOCK_STREAM, listening)),
    "raw socket": (root, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
    "packet socket": (root, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)),
    "write new": (known, lambda: open(f"{folder}/new", "w")),
    "write old": (known, lambda: open(f"{folder}/kept", "a")),
    "unlink": (known, lambda: os.unlink(f"{folder}/kept")),
    "mkdir": (known, lambda: os.mkdir(f"{folder}/new")),
    "device": (known, lambda: open("/dev/null", "w")),
    "exec": (known, lambda: subprocess.run(["/bin/true"])),
    "tcp": (known >= 4, lambda: connected(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 9))),
    "abstract socket": (known >= 6, lambda: connected(socket.AF_UNIX, socket.SOCK_STREAM, "\\0" + listening)),
    "signal": (known >= 6, lambda: os.kill(others, 0)),
}

def everything():
    for what, (bounded, attempt) in ATTEMPTS.items():
        try:
            bounded and attempt()
        except OSError as problem:
            assert problem.errno in DENIED, (what, problem)
        else:
            assert not bounded, what

everything()
thread = threading.Thread(target=everything)
thread.start()
thread.join()
if root:
    assert os.getresuid() == (chosen.uid,) * 3 and os.getgroups() == [], "another user"
kept.write("what is open stays open")
kept.close()
assert open("/proc/self/status").read()
os.kill(os.getpid(), 0)
print("confined")
"""


def test_what_cannot_be_done_any_more(tmp_path: Path) -> None:
    """What the daemon does when it has mounted, done here, and then each thing that an attacker would do next."""
    listening = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as ours, socket.socket(socket.AF_UNIX) as abstract:
        ours.bind(listening)
        os.chmod(listening, 0o700)
        ours.listen()
        abstract.bind("\0" + listening)
        abstract.listen()
        bystander = subprocess.Popen(["sleep", "100"])
        for folder in (tmp_path, *tmp_path.parents[:2]):
            folder.chmod(0o755)
        try:
            done = subprocess.run(
                [sys.executable, "-c", CONFINED, str(tmp_path), listening, str(bystander.pid)],
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, timeout=60,
                check=False,
            )  # fmt: skip
            assert bystander.poll() is None
        finally:
            bystander.kill()
            bystander.wait()
    assert (done.stdout, done.stderr) == ("confined\n", "")
    assert (tmp_path / "kept").read_text() == "what is open stays open"


@ROOT
def test_the_daemon_is_a_user_of_its_own(mounter: Mounter) -> None:
    """A number that no user and no other process has; the files are the mounter's as ever, and it ends as ever."""
    mount = mounter("domains=3", options="allow_other")
    mount.write("domains/1/freeze", "1")
    for task in Path(f"/proc/{mount.process.pid}/task").iterdir():
        found = status(task)
        assert re.fullmatch(r"(655[23]\d)\1{3}", found["Uid"]), "the same four times"
        assert found["Groups"].strip() == ""
    assert (mount.where / "domains/1/freeze").stat().st_uid == 0
    assert "not given up" not in mount.errors()
    mount.stop()


@ROOT
def test_run_as_names_the_user(mounter: Mounter, tmp_path: Path) -> None:
    mount = mounter("domains=3", options="run_as=60123")
    assert status(Path(f"/proc/{mount.process.pid}"))["Uid"].startswith("60123")
    assert mount.read("version/major") == "4\n"
    where = tmp_path / "unknown"
    where.mkdir()
    wrong = Mount(where, "--hypervisor", "simulator", "-o", "run_as=no-such-user", ready=False)
    assert wrong.process.wait(20) == 1
    assert wrong.errors() == "xenfs: run_as=no-such-user cannot be: this system has no such user\n"
    wrong.force()


@ROOT
def test_a_container_that_has_no_setuid_is_told(mounter: Mounter, tmp_path: Path) -> None:
    """By default it is said and served all the same; `run_as=` that cannot be is one sentence, and no mount."""
    if not shutil.which("capsh"):
        pytest.skip("no capsh, to take rights away first")
    for options, code in (("", 0), (",run_as=60123", 1)):
        where = tmp_path / f"bounded{code}"
        where.mkdir()
        words = [sys.executable, "-P", "-m", "xenfs", "mount", str(where), "--hypervisor", "simulator"]
        line = " ".join(map(shlex.quote, [*words, "-o", f"lifecycle{options}"]))
        server = subprocess.Popen(
            ["capsh", "--drop=cap_setuid,cap_setgid", "--", "-c", f"exec {line}"],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert server.stdout is not None
        if code == 0:
            assert "mounted on" in server.stdout.readline()
            server.terminate()
        _, said = server.communicate(timeout=30)
        assert server.returncode == code
        assert "Traceback" not in said
        wanted = "run_as= cannot be: being user 0" if code else "not given up: being user 0"
        assert wanted in said
        assert not mount_lines(where)


def test_nothing_is_imported_once_it_serves(mounter: Mounter) -> None:
    """The daemon's user may have no right to read xenfs or its Python, which may be in root's own directory."""
    mount = mounter("domains=3", options="lifecycle,debug", env={"PYTHONPROFILEIMPORTTIME": "1"})
    before = mount.errors().count("import time:")
    assert before > 100
    mount.shell("grep -rs . . >/dev/null; ls -lR >/dev/null; echo x >domains/1/freeze; rmdir domains/1; mkdir y")
    mount.shell("cat xenfs/error_log metrics/xen.prom; echo 1 >domains/2/kill; ls -f domains/by-name")
    mount.shell(r"printf 'caf\303\251\377\033\342\200\256' >domains/1/freeze; stat -f .; truncate -s 9 version/major")
    mount.shell("cat xenfs/error_log; fallocate -l 5 domains/1/freeze; chmod 777 domains; touch domains/1/freeze")
    later = mount.errors().split("import time:")[before + 1 :]
    assert not later, later


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


@ROOT
def test_it_serves_from_where_only_root_may_read(mounter: Mounter, tmp_path: Path) -> None:
    """A checkout in root's own directory: all that is read of it has been read when the daemon becomes another user."""
    private = tmp_path / "private"
    shutil.copytree(REPOSITORY / "xenfs", private / "xenfs", ignore=shutil.ignore_patterns("__pycache__"))
    private.chmod(0o700)
    program, env = ("-P", "-m", "xenfs"), {"PYTHONPATH": str(private)}
    mount = mounter("domains=3", options="lifecycle,debug", env=env, program=program)
    mount.write("domains/1/freeze", "1")
    done = mount.shell("find . -type f -perm /400 -exec cat {} + >/dev/null")
    assert "Permission denied" not in done.stderr
    assert "Input/output error" not in done.stderr
    assert "Traceback" not in mount.errors()


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
        mount.process.wait(PATIENCE_S)
        assert until(lambda: not Path(f"/proc/{pid}").exists())
        assert " - tmpfs " in mount_lines(mount.where)[-1]
    finally:
        subprocess.run(["umount", mount.where], check=True)


@ROOT
def test_without_the_one_who_unmounts(mounter: Mounter) -> None:
    """The end is in order all the same, and it is said that the mount stays."""
    mount = mounter("domains=3")
    os.kill(helper(mount), signal.SIGKILL)
    mount.process.send_signal(signal.SIGTERM)
    assert mount.process.wait(PATIENCE_S) == 0
    assert "the process that unmounts does not answer" in mount.errors()
    assert "Traceback" not in mount.errors()


def test_the_one_who_unmounts_outlives_signals(mounter: Mounter) -> None:
    mount = mounter("domains=3")
    pid = helper(mount)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(pid, number)
    mount.stop()
    assert until(lambda: not Path(f"/proc/{pid}").exists())
