"""Tools that delete whole trees must not end a domain: rmdir removes what is over, as of a cgroup that is populated."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mounting import Mount, lasting, refused
from programs import needs

GO = """package main
import "os"
func main() { if os.RemoveAll(os.Args[1]) != nil { os.Exit(1) } }
"""
# Each as its language's handbook has it: program, package of Debian, arguments before the path.
DELETERS = {
    "find": ("find", "findutils", ["{}", "-delete"]),
    "rm": ("rm", "coreutils", ["-rf", "{}"]),
    "busybox": ("busybox", "busybox", ["rm", "-rf", "{}"]),
    "Python": (sys.executable, "python3", ["-c", "import shutil,sys; shutil.rmtree(sys.argv[1], True)", "{}"]),
    "Perl": ("perl", "perl", ["-MFile::Path=remove_tree", "-e", "remove_tree($ARGV[0])", "{}"]),
    "Ruby": ("ruby", "ruby", ["-rfileutils", "-e", "FileUtils.rm_rf(ARGV[0])", "{}"]),
    "Node": ("node", "nodejs", ["-e", "require('fs').rmSync(process.argv[1], {recursive: true, force: true})", "{}"]),
}


@pytest.fixture(scope="module")
def changeable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    """A mount on which domains can be ended."""
    with lasting(tmp_path_factory.mktemp("deleted"), "domains=8,speed=50", "lifecycle,debug") as mount:
        yield mount


def deleting(name: str, target: Path) -> subprocess.CompletedProcess[bytes]:
    """One of the tools, let loose on a directory. What it says and how it ends is its own affair."""
    program, package, words = DELETERS[name]
    return subprocess.run(
        [needs(program, package), *(word.format(target) if word == "{}" else word for word in words)],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", DELETERS)
def test_a_tree_that_is_deleted_leaves_the_domain_alive(changeable: Mount, name: str) -> None:
    deleting(name, changeable.where / "domains/4")
    assert changeable.read("domains/4/state").strip() in {"running", "blocked", "runnable"}
    assert changeable.read("domains/4/freeze") == "0\n"


@pytest.mark.parametrize("name", ["find", "Python"])
def test_a_populated_cgroup_stays_as_well(populated: Path, name: str) -> None:
    deleting(name, populated)
    assert populated.is_dir()
    with refused(16):
        populated.rmdir()


def test_go(changeable: Mount, tmp_path: Path) -> None:
    go = needs("go", "golang-go")
    (tmp_path / "main.go").write_text(GO)
    env = {**os.environ, "GOCACHE": str(tmp_path / "cache"), "GO111MODULE": "off", "HOME": str(tmp_path)}
    subprocess.run([go, "build", "-o", "remove", "main.go"], cwd=tmp_path, env=env, check=True, timeout=300)
    subprocess.run([tmp_path / "remove", changeable.where / "domains/4"], timeout=60, check=False)
    assert changeable.read("domains/4/state").strip() in {"running", "blocked", "runnable"}


def test_what_is_over_goes(changeable: Mount) -> None:
    """Shut down, crashed, dying: rmdir clears it away; a pool when its domains and CPUs have left."""
    mount = changeable
    for domid, reason in ((2, "poweroff"), (3, "crash")):
        with refused(16):
            os.rmdir(mount.where / f"domains/{domid}")
        mount.write(f"domains/{domid}/shutdown", reason)
        os.rmdir(mount.where / f"domains/{domid}")
        assert mount.out(f"cat domains/{domid}/state 2>/dev/null || echo gone") in ("dying\n", "gone\n")
    mount.write("domains/1/kill", "1")
    with contextlib.suppress(FileNotFoundError):  # it may be gone by then
        os.rmdir(mount.where / "domains/1")
    with refused(16):
        os.rmdir(mount.where / "cpupools/0")
    with refused(16):
        os.rmdir(mount.where / "host/livepatch/xsa-470")  # it is applied
    os.rmdir(mount.where / "host/livepatch/hotfix%2Fconsole")
    assert os.listdir(mount.where / "host/livepatch") == ["xsa-470"]


def test_a_trigger_takes_1_alone_as_cgroup_kill_does(changeable: Mount, populated: Path) -> None:
    twin = populated / "cgroup.kill"
    for text, code in (("0", 34), ("2", 34), ("no", 22), ("\n", 22)):
        for place in (changeable.where / "domains/4/kill", changeable.where / "host/console/log_clear", twin):
            if place.exists():  # Linux has it since 5.14
                with refused(code):
                    fd = os.open(place, os.O_WRONLY)
                    try:
                        os.write(fd, text.encode())
                    finally:
                        os.close(fd)
    assert changeable.read("domains/4/state").strip() in {"running", "blocked", "runnable"}
    assert changeable.shell("echo 0 > domains/4/kill").returncode == 1
