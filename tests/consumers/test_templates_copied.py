"""A copy of a template is a template: what cp -r does, and what it must not set off."""

from __future__ import annotations

import errno
import filecmp
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from mounting import Mount, lasting, refused
from programs import needs

from xenfs.filesystem import filling
from xenfs.filesystem.filling import Filling
from xenfs.filesystem.inodes import Inodes
from xenfs.nodes.tables.base import Dir, File

COPIERS = {
    "cp -r": ("cp", "coreutils", ["-r"]),
    "cp -a": ("cp", "coreutils", ["-a"]),
    "cp -rp": ("cp", "coreutils", ["-rp"]),
    "busybox cp -r": ("busybox", "busybox", ["cp", "-r"]),
    "busybox cp -a": ("busybox", "busybox", ["cp", "-a"]),
}


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    with lasting(tmp_path_factory.mktemp("templates"), options="lifecycle,debug") as found:
        yield found


@pytest.fixture
def source(mount: Mount) -> Iterator[Path]:
    """A template, of whose files some were looked at before others: by their numbers cp sorts them."""
    where = mount.where / "templates" / "a"
    where.mkdir()
    for name, value in (("max_vcpus", "2"), ("flags", "none"), ("max_vcpus", "200"), ("name", "alpha"),
                        ("address_size", "32"), ("arch/emulation", "none"), ("grant_frames", "9")):  # fmt: skip
        (where / name).write_text(f"{value}\n")
    yield where
    for each in (mount.where / "templates").iterdir():
        each.rmdir()


def files(where: Path) -> list[str]:
    return sorted(str(each.relative_to(where)) for each in where.rglob("*") if each.is_file())


@pytest.mark.parametrize("copier", COPIERS)
def test_a_copy_is_a_template(mount: Mount, source: Path, copier: str) -> None:
    """In one step. Nothing is committed by it, and each of the two makes a domain of its own kind."""
    program, package, words = COPIERS[copier]
    needs(program, package)
    copy = source.with_name("b")
    before = os.listdir(mount.where / "domains")
    done = subprocess.run([program, *words, "a", "b"], cwd=source.parent, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert files(copy) == files(source)
    assert filecmp.cmpfiles(source, copy, files(source), shallow=False) == (files(source), [], [])
    assert (copy.stat().st_mode, (copy / "commit").stat().st_size) == (source.stat().st_mode, 0)
    assert os.listdir(mount.where / "domains") == before
    with open(copy / "commit", "r+b", buffering=0) as file:
        file.write(b"any")
        domain = mount.where / "domains" / file.read().decode().strip()
    assert [(domain / name).read_text().strip() for name in ("type", "name", "address_size")] == ["pv", "alpha", "32"]
    assert len(os.listdir(domain / "vcpus")) >= 200
    (domain / "kill").write_text("1")


def test_a_copy_of_what_is_inconsistent_is_refused_when_it_is_committed(mount: Mount, source: Path) -> None:
    """A copy takes its files in any order; what they make together is looked at in the end."""
    subprocess.run(["cp", "-r", "a", "b"], cwd=source.parent, check=True, timeout=60)
    copy = source.with_name("b")
    (copy / "flags").write_text("hvm hap")
    (copy / "arch/emulation").write_text("lapic")
    (copy / "address_size").write_text("64")
    with refused(errno.ERANGE):
        (copy / "max_vcpus").with_name("commit").write_text("any")


def test_who_makes_a_template_and_writes_to_it_at_once_sees_it_all(mount: Mount, source: Path) -> None:
    """Only to cp, which says so, the files are not there yet; and what is no file of a template is never made."""
    script = """
import os, sys
os.mkdir("c")
assert open("c/max_vcpus").read() == "1\\n"
with open("c/max_vcpus", "w") as file:
    file.write("3")
assert open("c/max_vcpus").read() == "3\\n"
for name in ("c/odd", "c/max_vcpus"):
    try:
        open(name, "x")
    except (PermissionError, FileExistsError):
        continue
    sys.exit(name)
"""
    subprocess.run([sys.executable, "-c", script], cwd=source.parent, check=True, timeout=60)
    odd = source.parent / "d"
    done = subprocess.run(
        ["bash", "-c", "mkdir d; exec 3<d; chmod 755 d"], cwd=source.parent, capture_output=True, timeout=60
    )
    assert done.returncode != 0, "mkdir was another process"
    assert (odd / "flags").is_file()


def test_what_is_no_templates_is_not_copied_into_one(mount: Mount, source: Path, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    for name in ("max_vcpus", "odd"):
        (tmp_path / "x" / name).write_text("2")
    (tmp_path / "x").chmod(0o555)
    done = subprocess.run(["cp", "-r", tmp_path / "x", "e"], cwd=source.parent, capture_output=True, timeout=60)
    assert b"odd" in done.stderr
    assert (source.parent / "e" / "max_vcpus").read_text() == "2\n"


ALL = {"update_mode": True, "update_uid": False, "update_gid": False}


def test_it_lasts_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number of a process that is used again means nothing a minute later, nor is much kept of who makes many."""
    now = [1000.0]
    monkeypatch.setattr(filling, "time", SimpleNamespace(monotonic=lambda: now[0]))
    file = File("f", "f", read=lambda xen: "")
    inodes = Inodes(Dir("/", "root", (Dir("d", "d", (file,)),)))
    [(_, inode)] = inodes.listed(inodes[1], [("d", Dir("d", "d", (file,)), ())])
    found = Filling()
    found.made(inode, 7)
    asked = (0o40555, SimpleNamespace(st_mode=0o40755), SimpleNamespace(**ALL))
    assert not found.hides(inode, "f", 7)
    assert not found.begins(inode, 8, *asked)
    assert not found.begins(inode, 7, 0o40555, SimpleNamespace(st_mode=0o40777), SimpleNamespace(**ALL))
    assert found.begins(inode, 7, *asked)
    assert (found.hides(inode, "f", 7), found.hides(inode, "f", 8)) == (True, False)
    assert found.takes(inode, "f", 7)
    assert not found.takes(inode, "f", 7)
    assert not found.hides(inode, "f", 7)
    assert found.hides(inode, "g", 7)
    now[0] += 61
    assert not found.hides(inode, "g", 7)
    assert not found.takes(inode, "g", 7)
