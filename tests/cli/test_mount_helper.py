"""The helper of mount(8), with a stand-in for `xenfs` that reports what it was asked."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from patience import PATIENCE_S, until

HELPER = Path(__file__).resolve().parents[2] / "contrib" / "mount.fuse.xenfs"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[Run]:
    """Runs the helper with a `xenfs` that is the script given. Its arguments end up in the file "asked",
    and what would go to syslog in "logged"."""
    (tmp_path / "logged").touch()
    executable(tmp_path / "logger", f"exec cat >{tmp_path}/logged")

    def run(script: str, *words: str) -> subprocess.CompletedProcess[str]:
        note = f'echo $$ >{tmp_path}/pid; echo "$*" >{tmp_path}/asked; fd=${{@: -1}}'
        command = executable(tmp_path / "xenfs", f"{note}\n{script}")
        return subprocess.run(
            [sys.executable, HELPER, *words],
            env={**os.environ, "XENFS": str(command), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    yield run
    if (tmp_path / "pid").exists():
        pid = int((tmp_path / "pid").read_text())
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if os.fsencode(tmp_path) in Path(f"/proc/{pid}/environ").read_bytes():  # nobody else has the number
                os.kill(pid, signal.SIGKILL)


def executable(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)
    return path


READY = 'eval "echo READY >&$fd"; exec sleep 600'


def test_leaves_when_ready(helper: Run, tmp_path: Path) -> None:
    """Xenfs would serve for ten minutes."""
    done = helper(READY, "none", "/mnt", "-o", "rw,ro,user=joe,comment=x,umask=077", "-t", "fuse.xenfs")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("mount /mnt -o rw,ro,umask=077 --hypervisor auto --new-session --ready-fd ")


def test_xenfs_survives_and_is_nowhere(helper: Run, tmp_path: Path) -> None:
    """A session of its own it makes itself, once it is mounted: tests/mounted/test_places.py."""
    helper(READY, "none", "/mnt")
    pid = int((tmp_path / "pid").read_text())
    assert os.readlink(f"/proc/{pid}/cwd") == "/"


def test_spec_chooses_the_hypervisor(helper: Run, tmp_path: Path) -> None:
    helper(READY, "simulator:domains=10,cpus=4", "relative")
    asked = (tmp_path / "asked").read_text()
    assert "--hypervisor simulator:domains=10,cpus=4" in asked
    assert f"mount {tmp_path}/relative " in asked


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'xenfs: no /dev/fuse' >&2; exit 1", "mount.fuse.xenfs: no /dev/fuse\n"),
        ("exit 1", "mount.fuse.xenfs: xenfs gave no reason\n"),
        ('echo "xenfs: one" >&2; echo two >&2; kill -9 $$', "mount.fuse.xenfs: one\nmount.fuse.xenfs: two\n"),
    ],
)
def test_failure_is_passed_on(helper: Run, script: str, told: str) -> None:
    done = helper(script, "none", "/mnt", "-o", "rw")
    assert (done.returncode, done.stderr) == (32, told)


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["none"], 1, "dir"),
        (["none", "/mnt", "-o", "remount,ro"], 32, "is not a xenfs that answers"),
        (["none", "/mnt", "-N", "/proc/1/ns/mnt"], 1, "nsenter"),
    ],
)
def test_what_it_cannot_do(helper: Run, tmp_path: Path, words: list[str], status: int, told: str) -> None:
    done = helper(READY, *words)
    assert done.returncode == status
    assert told in done.stderr
    assert not (tmp_path / "asked").exists()


def test_fake_mounts_nothing(helper: Run, tmp_path: Path) -> None:
    assert helper(READY, "none", "/mnt", "-f", "-n", "-s").returncode == 0
    assert not (tmp_path / "asked").exists()


def test_verbose_prints_the_command(helper: Run) -> None:
    assert "mount /mnt -o rw --hypervisor auto" in helper(READY, "none", "/mnt", "-v", "-o", "rw").stdout


def test_command_that_cannot_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, HELPER, "none", "/mnt"],
        env={**os.environ, "XENFS": str(tmp_path / "absent")},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 32
    assert "absent: No such file" in done.stderr


def test_what_comes_later_goes_to_syslog(helper: Run, tmp_path: Path) -> None:
    lines = "".join(f"line {number}\n" for number in range(20000))  # more than a pipe holds
    (tmp_path / "lines").write_text(lines)
    helper(f'eval "echo READY >&$fd"; sleep 0.2; cat {tmp_path}/lines >&2; exec sleep 60', "none", "/mnt")
    until(lambda: (tmp_path / "logged").read_text() == lines)
