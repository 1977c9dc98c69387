"""Where xenfs mounts: on what is free; a mount whose daemon is gone is removed, if it is a xenfs of the same user."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from errno import EBUSY, ENOTCONN
from pathlib import Path

import pytest

from xenfs.cli import mountpoint
from xenfs.cli.mountpoint import Claim, dead
from xenfs.errors import StartError
from xenfs.filesystem.mountinfo import mounted_at
from xenfs.filesystem.taking_away import DETACH, take_away

_libc = ctypes.CDLL(None, use_errno=True)


def may_mount() -> bool:
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError:
        return False
    return os.geteuid() == 0


MOUNTS = pytest.mark.skipif(not may_mount(), reason="needs root and /dev/fuse, to make mounts without a daemon")
Fuse = Callable[..., int]


@pytest.fixture
def where(tmp_path: Path) -> Path:
    found = tmp_path / "here"
    found.mkdir()
    return found


@pytest.fixture
def fuse(where: Path) -> Iterator[Fuse]:
    """Mounts something of a FUSE type whose daemon is this test: the descriptor, which nobody reads."""
    fds: list[int] = []

    def mount(fstype: str = "fuse.xenfs", user: int = 0) -> int:
        fds.append(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
        options = f"fd={fds[-1]},rootmode=40000,user_id={user},group_id=0".encode()
        if _libc.mount(b"xenfs", os.fsencode(where), fstype.encode(), 0, options):
            raise OSError(ctypes.get_errno(), "mount")
        return fds[-1]

    yield mount
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
        subprocess.run(["umount", "-l", where], stderr=subprocess.DEVNULL, check=False)


def test_a_free_directory_is_for_one_at_a_time(where: Path) -> None:
    one = Claim(str(where))
    assert one.mountpoint == str(where)
    with pytest.raises(StartError, match="just being mounted"):
        Claim(str(where))
    one.release()
    one.release()
    Claim(str(where)).release()


@MOUNTS
@pytest.mark.logs("removed a mount whose daemon was gone")
def test_what_is_dead_is_removed(where: Path, fuse: Fuse) -> None:
    for _ in range(2):  # one upon the other
        os.close(fuse())
    with pytest.raises(OSError, match="not connected"):
        os.listdir(where)
    assert dead(str(where))
    assert not dead(str(where.parent))
    claim = Claim(str(where))
    assert mounted_at(str(where)) is None
    assert os.listdir(where) == []
    claim.release()


@MOUNTS
@pytest.mark.parametrize(
    ("fstype", "user", "says"),
    [
        ("fuse.xenfs", 12345, "a xenfs of user 12345 is mounted"),
        ("fuse.sshfs", 0, "Transport endpoint is not connected"),
        ("fuse", 0, "Transport endpoint is not connected"),
    ],
)
def test_what_is_dead_but_anothers_is_left_alone(where: Path, fuse: Fuse, fstype: str, user: int, says: str) -> None:
    os.close(fuse(fstype, user))
    before = mounted_at(str(where))
    with pytest.raises(StartError, match=says) as caught:
        Claim(str(where))
    assert caught.value.errno == (EBUSY if fstype == "fuse.xenfs" else ENOTCONN)
    assert mounted_at(str(where)) == before


@MOUNTS
def test_what_hangs_is_not_dead(where: Path, fuse: Fuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mountpoint, "_ANSWER_S", 0.5)
    fuse()
    began = time.monotonic()
    with pytest.raises(StartError, match="a xenfs is mounted there already"):
        Claim(str(where))
    assert time.monotonic() - began > 0.4
    assert mounted_at(str(where)) is not None


@MOUNTS
def test_a_helper_that_hangs_is_left(where: Path, fuse: Fuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mountpoint, "_ANSWER_S", 0.5)
    monkeypatch.setattr(mountpoint, "tool", lambda path, lazy: ["sleep", "100"])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # root asks no helper
    os.close(fuse())
    began = time.monotonic()
    with pytest.raises(StartError, match="whose daemon is gone cannot be unmounted"):
        Claim(str(where))
    assert time.monotonic() - began < 30


@MOUNTS
def test_upon_what_is_mounted_there_it_is_mounted_and_that_stays(where: Path, fuse: Fuse) -> None:
    fuse()
    subprocess.run(["mount", "-t", "tmpfs", "none", where], check=True)
    try:
        (where / "something").touch()
        Claim(str(where)).release()
    finally:
        subprocess.run(["umount", where], check=True)


@MOUNTS
def test_who_was_quicker_has_it(where: Path, fuse: Fuse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is there at the first look, and something at the last."""
    monkeypatch.setattr(mountpoint, "_clear", lambda path: None)
    monkeypatch.setattr(mountpoint, "_directory", lambda path: os.open(where.parent, os.O_RDONLY))
    fuse()
    with pytest.raises(StartError, match="already"):
        Claim(str(where))


@MOUNTS
@pytest.mark.parametrize("flags", [0, DETACH])
def test_what_a_path_leads_to_by_now_is_not_unmounted(where: Path, fuse: Fuse, flags: int) -> None:
    """Somebody renames the directory above, and has another mount in its place: it is left alone."""
    fuse()
    meant = mounted_at(str(where))
    assert meant is not None
    elsewhere = where.parent.with_name("elsewhere")
    where.parent.rename(elsewhere)
    where.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", where], check=True)
    try:
        with pytest.raises(OSError, match="leads to another mount"):
            take_away(meant, flags)
        assert os.path.ismount(where)
    finally:
        subprocess.run(["umount", where], check=True)
        where.rmdir()
        where.parent.rmdir()
        elsewhere.rename(where.parent)
    take_away(meant, flags)
    assert mounted_at(str(where)) is None
