"""Where xenfs is mounted: odd names, locks and renames of others, what is refused, and what is run to start it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mounting import REPOSITORY, Mount, Mounter, serving

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount and to be others")
ODD = b"a\rb\tc\nd\\e \x85\xff\x1b[31m"
SOMEBODY = 60123


def ours() -> list[bytes]:
    return [line for line in Path("/proc/self/mountinfo").read_bytes().split(b"\n") if b" - fuse.xenfs " in line]


def until(holds: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return holds()


def below(where: Path) -> bool:
    """Whether a xenfs is mounted with this word in its path."""
    return any(os.fsencode(where.name) in line for line in ours())


@pytest.fixture
def anybodys(tmp_path: Path) -> Iterator[Path]:
    """A mount of somebody's whose name has every character that ends a line somewhere."""
    where = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + ODD))
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", where], check=True)
    yield where
    subprocess.run(["umount", where], check=True)


@ROOT
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_odd_names_of_other_mounts(mounter: Mounter, anybodys: Path, number: int) -> None:
    mount = mounter("domains=2")
    mount.process.send_signal(number)
    mount.process.wait(10)
    assert until(lambda: not mount.mounted)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_odd_name_of_its_own(tmp_path: Path, number: int) -> None:
    parent = tmp_path / f"parent{number}"
    where = Path(os.fsdecode(os.fsencode(parent) + b"/" + ODD))
    where.mkdir(parents=True)
    mount = Mount(where, "--hypervisor", "simulator")
    try:
        assert below(parent)
        assert mount.read("version/major") == "4\n"
        mount.process.send_signal(number)
        mount.process.wait(10)
        assert until(lambda: not below(parent))
        assert "\x1b" not in mount.errors(), "nothing of it reaches a terminal"
    finally:
        mount.force()


@ROOT
def test_a_lock_that_anybody_can_take(tmp_path: Path) -> None:
    where = tmp_path / "locked"
    where.mkdir(mode=0o755)
    fd = os.open(where, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with serving(where):
        os.close(fd)
    assert Path("/run/xenfs-mount.lock").stat().st_mode & 0o777 == 0o600


@ROOT
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_renamed_parent(tmp_path: Path, number: int) -> None:
    """No dead mount is left; and what somebody put in the parent's place is not what is unmounted."""
    parent, other = tmp_path / "parent", tmp_path / "other"
    (parent / "m").mkdir(parents=True)
    (other / "m").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", other / "m"], check=True)
    mount = Mount(parent / "m", "--hypervisor", "simulator")
    try:
        parent.rename(tmp_path / f"elsewhere{number}")
        parent.symlink_to(other)
        mount.process.send_signal(number)
        mount.process.wait(10)
        assert until(lambda: not below(tmp_path / f"elsewhere{number}"))
        assert os.path.ismount(other / "m")
    finally:
        subprocess.run(["umount", other / "m"], check=False)
        mount.force()


def refused(*words: str, cwd: Path | None = None, before: tuple[str, ...] = (), **env: str) -> str:
    """What a mount that cannot be says: one sentence."""
    done = subprocess.run(
        [*before, sys.executable, "-P", "-m", "xenfs", "mount", "--hypervisor", "simulator", *words],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(REPOSITORY), **env}, capture_output=True, text=True, timeout=60,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    own = [line for line in done.stderr.splitlines() if line.startswith("xenfs: ")]
    assert len(own) == 1, done.stderr
    return own[0]


def test_what_is_refused_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "m").mkdir()
    where = str(tmp_path / "m")
    assert "not a directory" in refused(str(tmp_path / "file"))
    assert "does not exist" in refused(str(tmp_path / "a\nb\x1b"))
    assert "cannot be a mount point" in refused(str(tmp_path / "loop"))
    assert "cannot be a mount point" in refused(str(tmp_path / ("x" * 300)))
    assert "NOTIFY_SOCKET does not answer" in refused(where, NOTIFY_SOCKET=str(tmp_path / "nowhere"))
    assert "record=file:" in refused(where, "-o", f"record=file:{tmp_path}/no/such/folder")
    assert "no such user" in refused(where, "-o", "run_as=no-such-user") or os.geteuid()


def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    script = f"cd {tmp_path} && mkdir gone && cd gone && rmdir ../gone && exec {sys.executable} -P -m xenfs mount here"
    done = subprocess.run(
        ["bash", "-c", script], env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "the working directory is gone" in done.stderr


@ROOT
def test_who_may_not_mount_is_told_so(tmp_path: Path) -> None:
    if not shutil.which("capsh"):
        pytest.skip("no capsh, to take rights away first")
    (tmp_path / "m").mkdir()
    words = ("capsh", "--drop=cap_sys_admin", "--", "-c", 'exec "$0" "$@"')
    assert "cannot mount on" in refused(str(tmp_path / "m"), before=words)


@ROOT
@pytest.mark.parametrize("how", ["folder", "link", "writable"])
def test_a_policy_that_somebody_else_can_replace(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    policy = folder / "policy.toml"
    policy.write_text('[[rule]]\nuser = "*"\npaths = ["version/*"]\nrights = "read"\n')
    path = policy
    if how == "folder":
        os.chown(folder, SOMEBODY, SOMEBODY)
    elif how == "link":
        path = tmp_path / "link"
        path.symlink_to(policy)
        os.chown(path, SOMEBODY, SOMEBODY, follow_symlinks=False)
    else:
        folder.chmod(0o777)
    where = tmp_path / "m"
    where.mkdir()
    assert "others can change it: the" in refused(str(where), "-o", f"policy={path}")


@ROOT
def test_a_record_that_somebody_else_can_choose_or_hold_up(tmp_path: Path) -> None:
    where, folder = tmp_path / "m", tmp_path / "folder"
    where.mkdir()
    folder.mkdir()
    os.chown(folder, SOMEBODY, SOMEBODY)
    os.mkfifo(tmp_path / "pipe")
    assert "others can change it: the directory" in refused(str(where), "-o", f"record=file:{folder}/log")
    assert "cannot be" in refused(str(where), "-o", f"record=file:{tmp_path}/pipe")
    assert os.listdir(folder) == []


@ROOT
def test_a_policy_by_a_link_of_roots_own(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "policy.toml").write_text('[[rule]]\nuser = "*"\npaths = ["version/*"]\nrights = "read"\n')
    (tmp_path / "folder").symlink_to("real/../real")
    where = tmp_path / "m"
    where.mkdir()
    with serving(where, options=f"policy={tmp_path}/folder/policy.toml"):
        pass


# What is run to start it


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A directory of somebody's, with a package and a command that are called as ours, and Python's, are."""
    for name in ("xenfs", "pip", "venv"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('what lay in the working directory was run')")
    for name in ("argparse", "subprocess"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('what lay in the working directory was run')")
    return tmp_path


def test_scripts_run_nothing_of_the_working_directory(hostile: Path) -> None:
    """The very line of scripts/run, with --version instead of a mount."""
    lines = (REPOSITORY / "scripts" / "run").read_text().splitlines()
    starts = [line for line in lines if "-m xenfs" in line]
    assert len(starts) == 2
    assert all('"$py" -I -m xenfs mount' in line for line in starts)
    done = subprocess.run(
        [sys.executable, "-I", "-m", "xenfs", "--version"], cwd=hostile, env={**os.environ, "PYTHONPATH": "."},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "was run" not in done.stderr
    assert done.stdout.startswith("xenfs ") or "No module named xenfs" in done.stderr  # not installed here


def test_no_script_runs_the_package_of_the_working_directory() -> None:
    """Each of them that starts `-m xenfs`; some are run by root, to measure or to soak."""
    starts = re.compile(r"""([^\n]*)-m(?:"?,? "?)xenfs""")
    found = 0
    for path in (REPOSITORY / "scripts").rglob("*"):
        text = path.read_text(errors="replace") if path.is_file() and path.suffix != ".pyc" else ""
        for match in starts.finditer(text):
            found += 1
            assert re.search(r"-[PI]\b", match[1]), (path, match[0])
    assert found >= 8


@ROOT
def test_the_bench_does_not(hostile: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import mounted\nwith mounted.xenfs('simulator:domains=1'): pass"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, str(REPOSITORY / "scripts" / "bench.d")], cwd=hostile,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_no_page_or_script_says_to_run_the_working_directory() -> None:
    shown = [REPOSITORY / "README.md", *(REPOSITORY / "docs").iterdir(), *(REPOSITORY / "contrib").rglob("*")]
    shown += [REPOSITORY / "scripts" / "run", *(REPOSITORY / "scripts" / "on-xen.d").iterdir()]
    for path in shown:
        if path.is_file() and path.suffix != ".pyc":
            text = path.read_text(errors="replace")
            assert "python3 -m xenfs" not in text, path
            assert '"$py" -m ' not in text, path


@pytest.mark.parametrize("path", ["", ".", ":/usr/bin:/bin", None])
def test_the_mount_helper_runs_nothing_of_the_working_directory(hostile: Path, path: str | None) -> None:
    shutil.rmtree(hostile / "xenfs")
    (hostile / "xenfs").write_text("#!/bin/sh\necho what lay in the working directory was run >&2\nexit 3\n")
    (hostile / "xenfs").chmod(0o755)
    env = {name: value for name, value in os.environ.items() if name not in ("PATH", "XENFS")}
    helper = hostile / "elsewhere" / "contrib" / "mount.fuse.xenfs"
    helper.parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / "contrib" / "mount.fuse.xenfs", helper)
    done = subprocess.run(
        [sys.executable, "-I", helper, "none", str(hostile / "pip"), "-f"], cwd=hostile,
        env=env if path is None else {**env, "PATH": path}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "was run" not in done.stderr
    assert (REPOSITORY / "contrib" / "mount.fuse.xenfs").read_text().startswith("#!/usr/bin/env -S python3 -I\n")
    relative = subprocess.run(
        [sys.executable, "-I", helper, "none", str(hostile / "pip"), "-f"], cwd=hostile, env={**env, "XENFS": "xenfs"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "XENFS=xenfs is not the whole path" in relative.stderr
