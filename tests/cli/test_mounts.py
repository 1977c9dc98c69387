"""What is mounted where, and `xenfs umount`, which must leave everything else alone."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenfs.cli import main, umount
from xenfs.filesystem import mountinfo as mounts

LINE = "100 28 0:45 / {at} rw,nosuid,nodev shared:7 master:1 - {fstype} {source} rw,user_id=0\n"


def escaped(text: str) -> str:
    return "".join(f"\\{ord(char):03o}" if char in " \t\n\\#" else char for char in text)


@pytest.fixture
def mountinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mountinfo file that `xenfs umount` reads instead of the kernel's."""
    table = tmp_path / "mountinfo"
    default = mounts.mounted_at

    monkeypatch.setattr(umount, "mounted_at", lambda path: default(path, str(table)))
    return table


@given(st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1))
def test_names_survive_mountinfo(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    table = tmp_path_factory.mktemp("m") / "mountinfo"
    table.write_bytes(os.fsencode(LINE.format(at=escaped("/" + name), fstype="fuse.xenfs", source="xenfs")))
    assert mounts.mounts(str(table)) == [("/" + name, "fuse.xenfs", "xenfs", 100, 0, "0:45")]


def test_name_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_bytes(
        LINE.format(at="/A", fstype="tmpfs", source="t").encode().replace(b"A", b"\xff")
    )
    assert mounts.mounts(str(tmp_path / "mountinfo"))[0].mountpoint == os.fsdecode(b"/\xff")


def test_the_mounts_of_this_machine() -> None:
    assert any(mount.mountpoint == "/proc" and mount.fstype == "proc" for mount in mounts.mounts())


def test_topmost_mount_counts(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        LINE.format(at=tmp_path, fstype="fuse.xenfs", source="x") + LINE.format(at=tmp_path, fstype="tmpfs", source="t")
    )
    found = mounts.mounted_at(str(tmp_path), str(table))
    assert found is not None
    assert found.fstype == "tmpfs"


def test_relative_paths_and_links_lead_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    table = tmp_path / "mountinfo"
    table.write_text(LINE.format(at=tmp_path / "real", fstype="fuse.xenfs", source="x"))
    monkeypatch.chdir(tmp_path)
    for path in ("real", "./real/", "link", str(tmp_path / "link" / ".." / "real")):
        assert mounts.mounted_at(path, str(table)) is not None, path
    assert mounts.mounted_at(str(tmp_path), str(table)) is None


def test_umount_of_nothing(mountinfo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mountinfo.write_text("")
    assert main(["umount", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"xenfs: nothing is mounted at {tmp_path}\n"


def test_umount_of_something_else(mountinfo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mountinfo.write_text(LINE.format(at=tmp_path, fstype="tmpfs", source="t"))
    assert main(["umount", str(tmp_path)]) == 1
    assert "is not a xenfs but tmpfs: left alone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "flags", "told"),
    [
        ("umount: /x: target is busy.\n", [], "in use"),
        ("umount: /x: target is busy.\n", ["--lazy"], "target is busy"),
        ("first\nlast\n", [], "cannot unmount .*: last"),
        ("", [], "no reason"),
    ],
)
def test_umount_says_why_not(
    mountinfo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    flags: list[str],
    told: str,
) -> None:
    mountinfo.write_text(LINE.format(at=tmp_path, fstype="fuse.xenfs", source="x"))
    asked: list[list[str]] = []

    def refuse(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 32, "", said)

    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["umount", *flags, str(tmp_path)]) == 1
    assert re.search(told, capsys.readouterr().err)
    assert asked[0][-2:] == ["--", str(tmp_path)]
    assert ("-l" in asked[0] or "-z" in asked[0]) == bool(flags)


def test_umount_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """fusermount3 where the PATH has it: a program, not a folder or a text of that name."""
    places = [tmp_path / name for name in ("folder", "text", "program")]
    for place in places:
        place.mkdir()
    (places[0] / "fusermount3").mkdir()
    (places[1] / "fusermount3").touch(0o644)
    monkeypatch.setenv("PATH", ":".join(map(str, places)))
    assert umount.tool("/x", True) == ["umount", "-l", "--", "/x"]
    (places[2] / "fusermount3").touch(0o755)
    assert umount.tool("/x", True) == [f"{places[2]}/fusermount3", "-u", "-z", "--", "/x"]


@pytest.mark.parametrize("uid", [0, 1000])
def test_no_name_of_a_mount_point_reaches_the_terminal(
    mountinfo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, uid: int
) -> None:
    where = tmp_path / "a\x1b[31m\u202e"
    where.mkdir()
    mountinfo.write_text(LINE.format(at=where, fstype="fuse.xenfs", source="x"))
    busy = subprocess.CompletedProcess([], 32, "", f"umount: {where}: target is busy.\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: busy)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    for flags in ([], ["--lazy"]):
        assert main(["umount", *flags, str(where)]) == 1
        said = capsys.readouterr().err
        assert said.strip().isprintable()
        assert r"a\x1b[31m\u202e" in said
