"""Files that stay open: read anew each time, opened again where another device has the name, closed with the device."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from xenfs.hypervisor.devices import SysfsCounters
from xenfs.hypervisor.kept import KeptFiles

NAMES = ("reads", "writes")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for directory, first in (("a", 1), ("b", 11)):
        (tmp_path / directory / "statistics").mkdir(parents=True)
        for at, name in enumerate(NAMES):
            (tmp_path / directory / "statistics" / name).write_text(f"{first + at}\n")
    return tmp_path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that are opened."""
    seen: list[str] = []
    plain = os.open

    def noting(path: str, *words: int, **more: int) -> int:
        seen.append(str(path))
        return plain(path, *words, **more)

    monkeypatch.setattr(os, "open", noting)
    return seen


@pytest.fixture
def kept(home: Path) -> Iterator[KeptFiles]:
    made = KeptFiles(str(home), "statistics", NAMES)
    yield made
    made.close()


def open_below(home: Path) -> int:
    """How many files below it this process has open."""
    links = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
    return sum(os.path.islink(link) and os.readlink(link).startswith(f"{home}/") for link in links)


def test_a_second_look_opens_nothing_and_sees_what_is_there_now(home: Path, kept: KeptFiles, opened: list[str]) -> None:
    assert kept.read(("a", "b")) == {"a": {"reads": 1, "writes": 2}, "b": {"reads": 11, "writes": 12}}
    assert opened
    opened.clear()
    (home / "a/statistics/reads").write_text("18446744073709551615\n")
    assert kept.read(("a", "b"))["a"] == {"reads": 2**64 - 1, "writes": 2}
    assert not opened


def test_of_all_devices_a_second_look_opens_the_table_alone(tmp_path: Path, opened: list[str]) -> None:
    for number in range(5):
        (tmp_path / f"sys/bus/xen-backend/devices/vbd-{number}-51712/statistics").mkdir(parents=True)
        (tmp_path / f"sys/bus/xen-backend/devices/vbd-{number}-51712/statistics/rd_req").write_text("7\n")
    counters = SysfsCounters(str(tmp_path))
    assert len(counters.everything()) == 5
    opened.clear()
    assert len(counters.everything()) == 5
    assert not opened
    counters.close()
    assert open_below(tmp_path) == 0


def test_what_is_gone_is_closed(home: Path, kept: KeptFiles) -> None:
    kept.read(("a", "b"))
    assert open_below(home) == 2 * len(NAMES)
    assert kept.read(("b",)).keys() == {"b"}
    assert open_below(home) == len(NAMES)
    kept.close()
    assert open_below(home) == 0


@pytest.mark.parametrize("code", [errno.ENODEV, errno.EINVAL])
def test_a_device_that_came_again_under_its_name(
    home: Path, kept: KeptFiles, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Linux refuses to read the files of the one that went."""
    kept.read(("a", "b"))
    plain, stale = os.pread, set(kept._kept["a"].values())

    def refusing(fd: int, count: int, at: int) -> bytes:
        if fd in stale:
            stale.clear()  # the new files get these numbers
            raise OSError(code, "no such device")
        return plain(fd, count, at)

    monkeypatch.setattr(os, "pread", refusing)
    (home / "a/statistics/reads").unlink()
    (home / "a/statistics/reads").write_text("5\n")
    assert kept.read(("a", "b")) == {"a": {"reads": 5, "writes": 2}, "b": {"reads": 11, "writes": 12}}
    assert open_below(home) == 2 * len(NAMES)


def test_a_device_that_goes_between_has_none(home: Path, kept: KeptFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = os.pread

    def gone(fd: int, count: int, at: int) -> bytes:
        if "/a/" in os.readlink(f"/proc/self/fd/{fd}"):
            raise OSError(errno.ENODEV, "no such device")
        return plain(fd, count, at)

    monkeypatch.setattr(os, "pread", gone)
    assert kept.read(("a", "b", "c")) == {"b": {"reads": 11, "writes": 12}}
    assert open_below(home) == len(NAMES)


def test_another_fault_is_told_and_leaves_nothing_open(
    home: Path, kept: KeptFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(fd: int, count: int, at: int) -> bytes:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "pread", failing)
    with pytest.raises(OSError, match="broken"):
        kept.read(("a",))
    assert open_below(home) == 0


def test_no_more_stay_open_than_may(home: Path) -> None:
    kept = KeptFiles(str(home), "statistics", NAMES, most=3)
    for _ in range(2):
        assert kept.read(("a", "b"))["b"] == {"reads": 11, "writes": 12}
        assert open_below(home) == len(NAMES)
    kept.close()


@pytest.mark.parametrize(
    ("limits", "raised", "stay"),
    [((1024, 4096), [], 4), ((200, 259), [259], 2), ((100, 200), [200], 0), ((-1, -1), [], 4)],
)
def test_a_process_that_may_open_few_keeps_few(
    home: Path, monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], raised: list[int], stay: int
) -> None:
    """Its soft limit is raised as far as it needs, and 256 are left to all else."""
    soft, hard = limits
    asked: list[int] = []

    def setrlimit(which: int, new: tuple[int, int]) -> None:
        nonlocal soft
        asked.append(new[0])
        soft = new[0]

    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    kept = KeptFiles(str(home), "statistics", NAMES, most=4)
    assert kept.read(("a", "b")).keys() == {"a", "b"}
    assert (asked, open_below(home)) == (raised, stay)
    kept.close()


def test_threads_read_while_devices_come_and_go(home: Path, kept: KeptFiles) -> None:
    """A descriptor that another thread has closed by now may be another file's."""

    def look(directories: tuple[str, ...]) -> list[dict[str, dict[str, int]]]:
        return [kept.read(directories) for _ in range(100)]

    right = {"a": {"reads": 1, "writes": 2}, "b": {"reads": 11, "writes": 12}}
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(look, [("a", "b"), ("b",), ("a",), ()]):
            assert all(right[name] == numbers for each in found for name, numbers in each.items())
