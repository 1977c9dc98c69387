"""Death and birth on a real Xen: a daemon that is killed, the next one, a second one; xenstore away for a while."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from xen_guests import Guest, eventually
from xen_mount import END_S, XENFS, environment, failure, is_mounted, mounted, xenfs

XENBUS = Path("/dev/xen/xenbus")


def started(where: Path, hypervisor: str, *more: str) -> subprocess.Popen[bytes]:
    """A daemon that is not ended by anybody but the test."""
    reads, writes = os.pipe()
    process = subprocess.Popen(
        [*XENFS, "mount", str(where), "--hypervisor", hypervisor, "-o", "lifecycle", "--ready-fd", str(writes), *more],
        pass_fds=(writes,), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(writes)
    with os.fdopen(reads, "rb") as ready:
        assert ready.read() == b"READY\n"
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    """kill -9, the process that unmounts first."""
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)
    process.kill()
    process.wait(END_S)


@pytest.fixture
def where(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    while is_mounted(tmp_path):
        subprocess.run(["umount", "-l", tmp_path], check=True)


@pytest.mark.once_a_dom0("dead mounts are Linux's, xenstore's device is dom0's")
def test_a_killed_daemon_and_the_next(hypervisor: str, where: Path, guest: Guest) -> None:
    """What was done stays done, the dead mount is removed, and the next daemon knows the guest for what it is."""
    process = started(where, hypervisor)
    state = where / "domains" / str(guest.domid) / "freeze"
    fd = os.open(state, os.O_RDWR)
    try:
        before = os.pread(fd, 10, 0).strip()
        wanted = b"0" if before == b"1" else b"1"
        os.write(fd, wanted)
        kill(process)
        assert failure(lambda: os.listdir(where)) == errno.ENOTCONN
        assert failure(lambda: os.write(fd, before)) == errno.ENOTCONN
        second = started(where, hypervisor)
        try:
            if hypervisor == "privcmd":
                assert state.read_bytes().strip() == wanted
            state.write_bytes(before)
            refused = xenfs("mount", str(where), "--hypervisor", hypervisor)
            assert (refused.returncode, "busy" in refused.stderr) == (1, True)
            assert failure(lambda: os.write(fd, before)) == errno.ENOTCONN
        finally:
            second.terminate()
            assert second.wait(END_S) == 0
        assert not is_mounted(where)
    finally:
        with contextlib.suppress(OSError):  # nobody is there to hear of it
            os.close(fd)


@pytest.mark.once_a_dom0("dead mounts are Linux's, and the orphan is one wherever it lives")
@pytest.mark.parametrize("step", ["max_vcpus", "setdomainhandle"])
def test_a_commit_under_which_the_daemon_is_killed(
    hypervisor: str, where: Path, real: bool, no_peers: str, step: str
) -> None:
    """Between two steps: the next daemon names what was begun, by its UUID, shows it, and ends it with its nodes."""
    if not real:
        pytest.skip("a pretended Xen ends with its daemon: tests/mounted/test_death.py has one that does not")
    process = started(where, hypervisor, "--faults", f"domctl:{step} hang")
    name = "" if no_peers else "half-made"
    try:
        template = where / "templates" / "t"
        template.mkdir()
        if name:
            (template / "name").write_text(name)
        writer = subprocess.Popen(["sh", "-c", f"echo any >{template}/commit"], stderr=subprocess.DEVNULL)
        in_flight = where / "xenfs" / "calls" / "in_flight"
        eventually(lambda: f"domctl:{step} " in in_flight.read_text(), END_S, "it is at that step")
        [line] = [line for line in in_flight.read_text().splitlines() if f"domctl:{step} " in line]
    finally:
        kill(process)
    assert writer.wait(END_S) != 0
    second = started(where, hypervisor)
    try:
        [said] = [line for line in (where / "xenfs/error_log").read_text().splitlines() if "EOWNERDEAD" in line]
        domid = said.partition("domains/")[2].partition(":")[0]
        domain = where / "domains" / domid
        assert domid in line
        assert (domain / "uuid").read_text().startswith("78656e66-7300-8000-")
        assert (domain / "state").read_text() in ("paused\n", "offline\n")
        if name and step == "setdomainhandle":
            assert (domain / "name").read_text() == f"{name}\n"
            assert xl("domid", name) == domid
        (domain / "kill").write_text("1")
        eventually(lambda: not domain.exists(), END_S, "it is gone")
        assert not name or xl("domid", name) == ""
    finally:
        second.terminate()
        assert second.wait(END_S) == 0


def xl(*words: str) -> str:
    return subprocess.run(["xl", *words], capture_output=True, text=True, timeout=END_S, check=False).stdout.strip()


@pytest.mark.once_a_dom0("dead mounts are Linux's, xenstore's device is dom0's")
@pytest.mark.skipif(not XENBUS.exists(), reason="there is no /dev/xen/xenbus to take away")
def test_xenstores_device_is_gone_for_a_while(hypervisor: str, guest: Guest) -> None:
    """What is open stays open; what has to be opened anew is found again by itself when it is there again."""
    aside = XENBUS.with_name("xenbus.aside")
    with mounted(hypervisor, "lifecycle") as mount:
        before = mount.value(guest.node("uuid"))
        XENBUS.rename(aside)
        try:
            assert mount.value(guest.node("uuid")) == before
            assert guest.node("").split("/")[1] in mount.names("domains")
        finally:
            aside.rename(XENBUS)
        assert mount.value(guest.node("name")) is not None
