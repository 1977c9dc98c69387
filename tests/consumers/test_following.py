"""Programs that follow a file: `tail -f` of what grows, and poll(2) for a value, beside cgroup.events of Linux."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mounting import Mount, lasting
from patience import PATIENCE_S
from programs import needs, until

TAILS = {
    "GNU": ("tail", "coreutils", ["-f"]),
    "GNU, all": ("tail", "coreutils", ["-n", "+1", "-f"]),
    "GNU, by name": ("tail", "coreutils", ["-F"]),
    "busybox": ("busybox", "busybox", ["tail", "-f"]),
    "uutils": ("/usr/lib/cargo/bin/coreutils/tail", "rust-coreutils", ["-f", "--use-polling"]),  # it has inotify else
}
CHANGED = select.POLLPRI | select.POLLERR


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    """A mount on which domains may be ended."""
    with lasting(tmp_path_factory.mktemp("followed"), "xen=4.21,domains=20,speed=50", "lifecycle,debug") as mount:
        yield mount


class Tail:
    """A program that follows a file, and what it has printed."""

    def __init__(self, folder: Path, name: str, path: Path) -> None:
        program, package, words = TAILS[name]
        self._out = folder / "out"
        self._said = folder / "said"
        with self._out.open("wb") as out, self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [needs(program, package), *words, path], stdin=subprocess.DEVNULL, stdout=out, stderr=said
            )
        until(lambda: any(os.readlink(fd) == str(path) for fd in self._fds()), f"{name} has it open")

    def _fds(self) -> list[Path]:
        return list(Path(f"/proc/{self._process.pid}/fd").iterdir())

    def printed(self) -> str:
        return self._out.read_text()

    def end(self) -> str:
        """End it: all that it printed. It has nothing to complain of."""
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        assert self._said.read_text() == ""
        return self.printed()


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Callable[[str, Path], Tail]]:
    tails: list[Tail] = []

    def start(name: str, path: Path) -> Tail:
        tails.append(Tail(tmp_path, name, path))
        return tails[-1]

    yield start
    for tail in tails:
        tail.end()


def killed(mount: Mount) -> int:
    domid = max(int(name) for name in os.listdir(mount.where / "domains") if name.isdigit())
    mount.write(f"domains/{domid}/kill", "1")
    return domid


@pytest.mark.parametrize("name", ["GNU", "GNU, by name", "busybox", "uutils"])
def test_events_are_followed(living: Mount, follow: Callable[[str, Path], Tail], name: str) -> None:
    """Each line once, though another has the file open and has come as far as nothing."""
    other = os.open(living.where / "domains/events", os.O_RDONLY)
    tail = follow(name, living.where / "domains/events")
    for _ in range(2):
        domid = killed(living)
        until(lambda domid=domid: f" gone {domid} " in tail.printed(), f"{name} prints that {domid} is gone")  # type: ignore[misc]
    os.close(other)
    numbers = [int(line.split()[0]) for line in tail.end().splitlines()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@pytest.mark.parametrize("name", ["GNU, all", "busybox"])
def test_the_console_is_followed(living: Mount, follow: Callable[[str, Path], Tail], name: str) -> None:
    before = living.read("host/console/log")
    assert before
    tail = follow(name, living.where / "host/console/log")
    until(tail.printed, f"{name} prints the last lines")  # only then has busybox seen how long it was
    for key in "qh":
        living.write("host/debug_keys", key)
        until(lambda key=key: f"'{key}' pressed" in tail.printed(), f"{name} prints what the console says of {key}")  # type: ignore[misc]
    printed = tail.end()
    lines = printed.count("'q' pressed")
    assert lines == 1 + (before.count("'q' pressed") if name == "GNU, all" else 0)
    assert name != "GNU, all" or printed.startswith(before)


def changes(fd: int, poll: select.poll, change: Callable[[], object]) -> None:
    """A file of one value wakes who waits for POLLPRI when it is another, and until that is read."""
    os.pread(fd, 4096, 0)
    assert poll.poll(0) == []
    change()
    assert poll.poll(1000 * PATIENCE_S) == [(fd, CHANGED)]
    assert poll.poll(0) == [(fd, CHANGED)]


def test_a_state_wakes_as_cgroup_events_does(living: Mount, populated: Path) -> None:
    """The twin has it of the same kind: always readable, and POLLPRI and POLLERR when it is not what was read last."""
    state = living.where / "domains/4/state"
    living.write("domains/4/freeze", "1")
    freezer = populated / "cgroup.freeze"
    pairs = (
        (state, lambda: living.write("domains/4/kill", "1")),
        (populated / "cgroup.events", lambda: freezer.write_text("1")),
    )
    for path, change in pairs:
        fd = os.open(path, os.O_RDONLY)
        poll = select.poll()
        poll.register(fd, select.POLLPRI)
        assert poll.poll(0) == [(fd, CHANGED)], "nothing was read yet"
        changes(fd, poll, change)
        os.close(fd)
    freezer.write_text("0")


def test_a_state_and_a_lifecycle_wake(living: Mount) -> None:
    """Who waits with epoll, and is not the one who changes it."""
    epoll = select.epoll()
    fds = {}
    for path in ("domains/2/state", "domains/2/lifecycle"):
        fds[os.open(living.where / path, os.O_RDONLY)] = path
    living.write("domains/2/freeze", "1")
    for fd in fds:
        os.read(fd, 4096)
        epoll.register(fd, select.EPOLLPRI)
    assert epoll.poll(0.3) == []
    living.write("domains/2/shutdown", "poweroff")
    woken: set[int] = set()
    deadline = time.monotonic() + PATIENCE_S
    while woken != set(fds) and time.monotonic() < deadline:
        woken |= {fd for fd, mask in epoll.poll(1) if mask & select.EPOLLPRI}
    assert {fds[fd] for fd in woken} == set(fds.values())
    for fd in fds:
        assert b"shutdown" in os.pread(fd, 4096, 0)
        os.close(fd)


def test_every_other_value_is_ready_and_no_more(living: Mount) -> None:
    fd = os.open(living.where / "domains/3/uuid", os.O_RDONLY)
    poll = select.poll()
    poll.register(fd, select.POLLPRI)
    assert poll.poll(0) == []
    poll.modify(fd, select.POLLIN)
    assert poll.poll(0) == [(fd, select.POLLIN)]
    os.close(fd)
