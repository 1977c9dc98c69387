"""The end of a domain, and of everything that was open below it; the next domain of that number is another."""

from __future__ import annotations

import errno
import os
import platform
import subprocess
import uuid
from collections.abc import Callable, Iterator

import pytest
from xen_guests import Guest, bare, eventually
from xen_mount import Mount, failure, write

from xenfs.hypervisor.base import Hypervisor

GONE = {errno.ESTALE, errno.ENOENT}
AGREE_S = 60.0
Doomed = Callable[..., Guest]


class Held:
    """Descriptors below a domain's directory that are kept open."""

    def __init__(self, mount: Mount, guest: Guest) -> None:
        self.directory = os.open(mount.path(guest.node()), os.O_RDONLY | os.O_DIRECTORY)
        self.reading = [os.open(mount.path(guest.node(name)), os.O_RDONLY) for name in ("state", "info", "memory/max")]
        self.writing = {
            name: os.open(mount.path(guest.node(name)), os.O_WRONLY)
            for name in ("memory/max", "sched/weight", "freeze", "kill", "vcpus/0/affinity_hard")
        }
        self.shell = subprocess.Popen(
            ["sh", "-c", "read go; cat state"], cwd=mount.path(guest.node()),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        for fd in self.reading:
            assert os.pread(fd, 4096, 0)

    def outcomes(self) -> set[int]:
        """The errno of every way to get at the domain through what is open; 0 where one succeeded."""
        words = {"memory/max": "77776", "sched/weight": "77", "freeze": "1", "kill": "1", "vcpus/0/affinity_hard": "1"}
        found = {failure(lambda fd=fd: os.pread(fd, 4096, 0)) for fd in self.reading}
        found |= {failure(lambda name=name, fd=fd: write(fd, words[name])) for name, fd in self.writing.items()}
        found |= {failure(lambda name=name: self._read_below(name)) for name in ("uuid", "state", ".")}
        return found

    def _read_below(self, name: str) -> None:
        """Look at something from the directory that is held. Opening a file may succeed as long as the kernel
        remembers its name, for a second; reading it may not."""
        fd = os.open(name, os.O_RDONLY, dir_fd=self.directory)
        try:
            assert name != "." or os.listdir(fd)
            assert name == "." or os.read(fd, 4096)
        finally:
            os.close(fd)

    def shell_fails(self) -> bool:
        """Whether a process whose working directory this is can read no more there."""
        out, err = self.shell.communicate(b"\n", timeout=60)
        return self.shell.returncode != 0 and out == b"" and err != b""

    def close(self) -> None:
        """Give everything back."""
        for fd in (self.directory, *self.reading, *self.writing.values()):
            os.close(fd)
        if self.shell.poll() is None:
            self.shell.communicate(b"\n", timeout=60)


@pytest.fixture
def held(mount: Mount) -> Iterator[Callable[[Guest], Held]]:
    made: list[Held] = []

    def hold(guest: Guest) -> Held:
        made.append(Held(mount, guest))
        return made[-1]

    yield hold
    for one in made:
        one.close()


def gone(mount: Mount, guest: Guest) -> bool:
    """Whether the domain is in no listing and under no name any more."""
    listed = {line.split()[0] for line in mount.value("domains/stat").splitlines()}
    number = str(guest.domid)
    return number not in listed and number not in mount.names("domains") and not mount.has(guest.node())


@pytest.mark.parametrize("how", ["kill", "rmdir"])
def test_end(mount: Mount, doomed: Doomed, held: Callable[[Guest], Held], how: str) -> None:
    guest = doomed()
    handle = mount.value(guest.node("uuid"))
    kept = held(guest)
    if how == "kill":
        mount.write(guest.node("kill"), "1")
    else:
        assert failure(lambda: os.rmdir(mount.path(guest.node()))) == errno.EBUSY, "it lives"
        assert mount.value(guest.node("state")) not in ("dying", "shutdown", "crashed")
        mount.write(guest.node("shutdown"), "crash")
        mount.rmdir(guest.node())
    eventually(lambda: gone(mount, guest), AGREE_S, "the domain is gone")
    assert kept.outcomes() <= GONE
    assert kept.shell_fails()
    eventually(lambda: not mount.has(f"domains/by-uuid/{handle}"), AGREE_S, "its UUID is gone")


def test_end_by_xl_of_a_guest_that_ran(mount: Mount, peers: None, held: Callable[[Guest], Held]) -> None:
    from xen_guests import created_by_xl

    guest = created_by_xl("doomed", "/guest/pvh.cfg")
    try:
        kept = held(guest)
        if platform.machine() == "x86_64":  # on Arm Xen itself chooses the interrupt
            unheard = failure(lambda: mount.write(guest.node("request"), "poweroff"))
            assert unheard == errno.EOPNOTSUPP, "it has run nothing yet"
        mount.write(guest.node("freeze"), "0")
        mount.write(guest.node("kill"), "1")  # with its memory, console and all
        eventually(lambda: gone(mount, guest), AGREE_S, "the guest is gone")
        assert kept.outcomes() <= GONE
        eventually(
            lambda: " doomed " not in subprocess.check_output(["xl", "list"], text=True, timeout=60),
            AGREE_S,
            "for xl too",
        )
        eventually(lambda: not mount.has("domains/by-name/doomed"), AGREE_S, "its name is gone")
    finally:
        guest.destroy()


@pytest.mark.parametrize("noticed", ["noticed", "unnoticed"])
def test_the_next_domain_of_that_number(
    mount: Mount, xen: Hypervisor, doomed: Doomed, held: Callable[[Guest], Held], noticed: str
) -> None:
    old = doomed()
    kept = held(old)
    settings = ("memory/max", "sched/weight", "vcpus/0/affinity_hard", "freeze")
    mount.value(old.node("state"))
    old.destroy()
    if noticed == "noticed":
        assert kept.outcomes() <= GONE
    handle = uuid.uuid4()
    new = doomed(domid=old.domid, handle=handle.bytes)
    assert new.domid == old.domid
    assert kept.outcomes() <= GONE
    eventually(lambda: mount.has(new.node()), AGREE_S, "the new domain is there")
    assert mount.value(new.node("uuid")) == str(handle)
    fresh = [mount.value(new.node(name)) for name in settings]
    assert kept.outcomes() <= GONE
    assert [mount.value(new.node(name)) for name in settings] == fresh
    assert fresh[:2] == ["0", "256"]
    assert kept.shell_fails()


def test_the_same_uuid_again(mount: Mount, doomed: Doomed, held: Callable[[Guest], Held], xen: Hypervisor) -> None:
    """As a domain that is restored, or a rebooted one: with the same number, too, it is another life."""
    handle = uuid.uuid4()
    old = doomed(handle=handle.bytes)
    kept = held(old)
    old.destroy()
    assert kept.outcomes() <= GONE
    new = bare(xen, old.domid, handle.bytes)
    try:
        assert kept.outcomes() <= GONE
        eventually(lambda: mount.has(new.node("state")), AGREE_S, "the new life is there")
        assert mount.value(new.node("uuid")) == str(handle)
        assert mount.value(new.node("memory/max")) == "0"
        assert kept.outcomes() <= GONE
    finally:
        new.destroy()


@pytest.mark.usefixtures("at_home")
def test_a_domain_without_memory_disturbs_nobody(mount: Mount, doomed: Doomed) -> None:
    """A toolstack's domain looks so for a moment: no memory, no vCPU, no name."""
    before = mount.names("domains/by-name")
    guest = doomed(vcpus=1) if "privcmd" in mount.value("xenfs/interface") else doomed()
    for name in ("info", "state", "type", "name", "uuid", "memory/max", "vcpu_stat", "max_vcpu_id"):
        mount.read(guest.node(name))
    if "privcmd" in mount.value("xenfs/interface"):
        assert mount.names("domains/by-name") == before
        assert mount.value(guest.node("state")) not in ("dying", "shutdown", "crashed")
