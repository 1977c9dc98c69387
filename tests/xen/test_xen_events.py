"""What becomes of domains, as `xenfs watch` and a program that polls hear of it while xl makes and ends them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyfuse3
import pytest
from children import mortal
from xen_guests import Guest, created_by_xl, eventually
from xen_mount import CHECKOUT, XENFS, Mount, environment

from xenfs.calls import lifecycle
from xenfs.hypervisor.base import Hypervisor
from xenfs.xenstore import Watches, XenstoreClient

Doomed = Callable[..., Guest]
QUIET_S = 3.0
SOON_S, BOOT_S = 400.0, 400.0  # an emulated machine beside other work starts a Python in minutes
# What lets a kernel without any programs shut down when xl asks it to, and crash when xl presses its SysRq keys.
WILLING = (
    "extra='console=hvc0 quiet sysrq_always_enabled "
    "sysctl.kernel.poweroff_cmd=\"/bin/busybox poweroff -f\"'"
)  # fmt: skip
POLLER = """
import os, select, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
poll = select.poll()
poll.register(fd, select.POLLIN | select.POLLPRI)
print("ready", flush=True)
while True:
    poll.poll()
    new = os.read(fd, 65536).decode()
    print(new, end="", flush=True)
    if not new:
        time.sleep(0.2)  # without poll(2) every file is taken for ready
"""


class Listener:
    """A process that prints what it hears, from its first line on, which says that it is there."""

    def __init__(self, words: list[str], into: Path) -> None:
        self._into = into
        with into.open("wb") as out:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, env=environment())
        try:
            eventually(lambda: bool(into.read_text().count("\n")), SOON_S, "it listens")
        except AssertionError:
            self.stop()
            raise

    def lines(self) -> list[str]:
        """Complete lines, without the first."""
        return self._into.read_text().rpartition("\n")[0].splitlines()[1:]

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(SOON_S)


class Heard:
    """Both listeners: each gives (what, domid, uuid), in order."""

    def __init__(self, mount: Mount, folder: Path) -> None:
        events = str(mount.path("domains/events"))
        self.poller = Listener([sys.executable, "-c", POLLER, events], folder / "poller")
        self.watch = Listener(
            [*XENFS, "watch", "--json", str(mount.path("xenfs/version")), events], folder / "watch"
        )  # fmt: skip
        self._since = 0

    def by_poller(self) -> list[tuple[int, str, int, str]]:
        rows = (line.split()[:4] for line in self.poller.lines())  # a reason and a name may follow
        return [(int(seq), what, int(domid), uuid) for seq, what, domid, uuid in rows]

    def by_watch(self) -> list[tuple[int, str, int, str]]:
        rows = map(json.loads, self.watch.lines())
        return [(row["seq"], row["event"], row["domid"], row["uuid"]) for row in rows]

    def of(self, domid: int) -> list[str]:
        """What both have heard of a domain; only when they agree. A toolstack names it sooner or later: left out."""
        one, other = (
            [what for _, what, at, _ in heard if at == domid and what != "named"]
            for heard in (self.by_poller(), self.by_watch())
        )
        return one if one == other else []

    def expect(self, domid: int, *what: str) -> None:
        """Both hear this of a domain, and nothing else."""
        deadline = time.monotonic() + SOON_S
        while self.of(domid) != list(what):
            assert time.monotonic() < deadline, (domid, what, self.by_poller(), self.by_watch())
            time.sleep(0.1)


@pytest.fixture
def heard(mount: Mount, tmp_path: Path) -> Iterator[Heard]:
    found = Heard(mount, tmp_path)
    try:
        yield found
    finally:
        found.poller.stop()
        found.watch.stop()
    assert found.by_watch()[-5:] == found.by_poller()[-5:]
    numbers = [seq for seq, *_ in found.by_poller()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@pytest.fixture(params=["pv", "pvh"])
def kind(request: pytest.FixtureRequest, peers: None) -> str:
    if not os.path.exists(f"/guest/{request.param}.cfg"):
        pytest.skip(f"no {request.param} guests here")
    return str(request.param)


def xl(*words: str) -> None:
    subprocess.run(["xl", *words], check=True, timeout=120, capture_output=True, stdin=subprocess.DEVNULL)


def until(mount: Mount, state: str, which: int | str, *, begun: bool = True) -> subprocess.Popen[bytes]:
    """`xenfs watch --until`, begun; of a domain that is not there yet it prints nothing at first."""
    words = [*XENFS, "watch", "--until", state, "--timeout", str(BOOT_S), str(mount.path(f"domains/{which}"))]
    process = mortal(subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE))
    assert process.stdout is not None
    if begun:
        assert select.select([process.stdout], [], [], SOON_S)[0], "it prints the first state"
    return process


def reached(process: subprocess.Popen[bytes]) -> str:
    """The last state that a watch printed when it ended well."""
    out, _ = process.communicate(timeout=BOOT_S)
    assert process.returncode == 0, out
    return [line for line in out.decode().splitlines() if not line.startswith("reason ")][-1]


def test_paused_and_destroyed(mount: Mount, kind: str, heard: Heard) -> None:
    guest = created_by_xl("short", f"/guest/{kind}.cfg")
    heard.expect(guest.domid, "created")
    assert {uuid for *_, domid, uuid in heard.by_poller() if domid == guest.domid} == {mount.value(guest.node("uuid"))}
    gone = until(mount, "gone", guest.domid)
    xl("unpause", "short")
    xl("pause", "short")
    xl("rename", "short", "shorter")
    eventually(lambda: mount.has("domains/by-name/shorter"), SOON_S, "its new name")
    assert heard.of(guest.domid) == ["created"]
    xl("destroy", "shorter")
    heard.expect(guest.domid, "created", "dying", "gone")
    assert reached(gone) == "gone"


@pytest.fixture
def one_kind(peers: None) -> str:
    """The kind that QEMU's emulation does not lose: PV where there is such."""
    return next(kind for kind in ("pv", "pvh") if os.path.exists(f"/guest/{kind}.cfg"))


@pytest.mark.once("a guest has to boot for it; Xen tells of every end in the same words")
def test_shut_down(mount: Mount, one_kind: str, heard: Heard) -> None:
    guest = created_by_xl("willing", f"/guest/{one_kind}.cfg", WILLING, 'on_poweroff="destroy"', booted=True)
    try:
        heard.expect(guest.domid, "created")
        down = until(mount, "shutdown", guest.domid)
        xl("shutdown", "willing")
        heard.expect(guest.domid, "created", "shutdown", "dying", "gone")
        assert reached(down) in ("shutdown", "dying", "gone")
    finally:
        guest.destroy()


@pytest.mark.once("a guest has to boot for it; Xen tells of every end in the same words")
def test_crashed(mount: Mount, one_kind: str, heard: Heard) -> None:
    panics = os.uname().machine != "aarch64"  # where a Linux that does tells Xen nothing of it: it need not boot
    guest = created_by_xl("unlucky", f"/guest/{one_kind}.cfg", WILLING, 'on_crash="preserve"', booted=panics)
    try:
        crashed = until(mount, "crashed", guest.domid)
        if panics:
            xl("sysrq", "unlucky", "c")
        else:
            mount.write(guest.node("shutdown"), "crash")
        heard.expect(guest.domid, "created", "shutdown")
        assert reached(crashed) == "crashed"
        assert mount.value(guest.node("shutdown_reason")) == "crash"
    finally:
        guest.destroy()
    heard.expect(guest.domid, "created", "shutdown", "dying", "gone")


@pytest.mark.once("a script of xenfs's, which waits for commands that take seconds each")
def test_settings_when_a_guest_starts(mount: Mount, one_kind: str, tmp_path: Path) -> None:
    """contrib/at-start and `watch --until running` by name, each begun before xl makes the guest."""
    program, settings = tmp_path / "xenfs", tmp_path / "at-start.d"
    program.write_text(f'#!/bin/sh\nexec {" ".join(XENFS)} "$@"\n')
    program.chmod(0o755)
    settings.mkdir()
    (settings / "started").write_text("# of the night shift\nnothing/here 1\nsched/cap 0\nsched/weight 512\n")
    running = until(mount, "running", "by-name/started", begun=False)
    with subprocess.Popen(
        [CHECKOUT / "contrib" / "at-start", mount.root, settings], stderr=subprocess.PIPE, text=True,
        env=environment(PATH=f"{tmp_path}:{os.environ['PATH']}"), start_new_session=True,
    ) as script:  # fmt: skip
        guest = None
        try:
            guest = created_by_xl("started", f"/guest/{one_kind}.cfg")
            time.sleep(1)
            assert mount.value(guest.node("sched/weight")) == "256", "it has not started yet"
            xl("unpause", "started")
            assert reached(running) in ("running", "runnable", "blocked")
            eventually(lambda: mount.value(guest.node("sched/weight")) == "512", BOOT_S, "its settings are applied")
        finally:
            os.killpg(script.pid, signal.SIGTERM)
            if guest is not None:
                guest.destroy()
        assert script.stderr is not None
        assert "at-start: started: nothing/here was not set to 1\n" in script.stderr.readlines()


def test_a_domain_that_xenstore_never_heard_of(mount: Mount, doomed: Doomed, real: bool, heard: Heard) -> None:
    guest = doomed()
    begin = ["created"] if real else []
    if real:
        heard.expect(guest.domid, *begin)
    mount.write(guest.node("kill"), "1")
    heard.expect(guest.domid, *begin, "dying", "gone")


@pytest.mark.once_a_dom0("what tail does with a file is not of the hypervisor")
def test_tail_follows(mount: Mount, doomed: Doomed, real: bool, tmp_path: Path) -> None:
    """`tail -f` of what grows: lines of events, and what Xen's console says."""
    files = {"domains/events": tmp_path / "events", "host/console/log": tmp_path / "console"}
    tails = []
    try:
        for node, into in files.items():
            with into.open("wb") as out:
                tails.append(subprocess.Popen(["tail", "-n", "+1", "-f", mount.path(node)], stdout=out))
        for node, tail in zip(files, tails, strict=True):  # who opens events later hears nothing of what came before
            eventually(lambda tail=tail, node=node: _has_open(tail.pid, mount.path(node)), SOON_S, f"{node} is open")  # type: ignore[misc]
        eventually(lambda: bool(files["host/console/log"].read_bytes()), SOON_S, "it prints what there was")
        guest = doomed()
        events = files["domains/events"]
        if real:  # it looks now and then: what comes and goes between two looks it never knew
            eventually(lambda: f" created {guest.domid} " in events.read_text(), SOON_S, "a domain's beginning")
        mount.write("host/debug_keys", "h")
        mount.write(guest.node("kill"), "1")
        eventually(lambda: f" gone {guest.domid} " in events.read_text(), SOON_S, "a domain's end")
        eventually(lambda: b"'h' pressed" in files["host/console/log"].read_bytes(), SOON_S, "the console's lines")
    finally:
        for tail in tails:
            tail.terminate()
            tail.wait(SOON_S)


def _has_open(pid: int, path: Path) -> bool:
    descriptors = Path(f"/proc/{pid}/fd")
    with contextlib.suppress(FileNotFoundError):  # one that it has closed meanwhile
        return any(os.readlink(each) == str(path) for each in descriptors.iterdir())
    return False


def test_poll_wakes_when_a_state_is_another(mount: Mount, doomed: Doomed) -> None:
    if not hasattr(pyfuse3, "PollHandle"):
        pytest.skip("this pyfuse3 cannot poll: 3.5 can")
    guest = doomed()
    mount.write(guest.node("freeze"), "1")
    with open(mount.path(guest.node("state")), "rb", 0) as state:
        poll = select.poll()
        poll.register(state, select.POLLPRI)
        assert state.read(64) == b"paused\n"
        assert poll.poll(0) == []
        mount.write(guest.node("freeze"), "0")
        mount.write(guest.node("kill"), "1")
        assert poll.poll(1000 * SOON_S), "its state is another"


@pytest.mark.parametrize("way", ["/dev/xen/xenbus", "/run/xenstored/socket", "/var/run/xenstored/socket"])
def test_both_ways_to_watch_xenstore(way: str, peers: None) -> None:
    if not os.path.exists(way):
        pytest.skip(f"no {way} here")
    store = XenstoreClient([way])
    watches = store.watches()
    try:
        watches.add("/tool/xenfs-test", b"mine")
        watches.add("@releaseDomain", b"release")
        paths: list[bytes] = []
        both = {b"/tool/xenfs-test", b"@releaseDomain"}
        eventually(lambda: both <= set(_heard(watches, paths)), SOON_S, "each fires once up front")
        paths.clear()
        for value in ("a", "b"):
            subprocess.run(["xenstore-write", "/tool/xenfs-test/below", value], check=True, timeout=60)
        subprocess.run(["xenstore-write", "/tool/elsewhere", "c"], check=True, timeout=60)
        subprocess.run(["xenstore-rm", "/tool/xenfs-test"], check=True, timeout=60)
        changed = {b"/tool/xenfs-test/below", b"/tool/xenfs-test"}  # of two alike xenstored may send one
        eventually(lambda: changed <= set(_heard(watches, paths)), SOON_S, "what was written and removed")
        assert set(paths) <= {*changed, b"@releaseDomain"}, "domains end meanwhile, too"
        watches.remove("/tool/xenfs-test", b"mine")
        time.sleep(1)
        _heard(watches, paths)
        paths.clear()
        subprocess.run(["xenstore-write", "/tool/xenfs-test", "d"], check=True, timeout=60)
        time.sleep(1)
        assert set(_heard(watches, paths)) <= {b"@releaseDomain"}
    finally:
        watches.close()
        store.close()
        for path in ("/tool/xenfs-test", "/tool/elsewhere"):
            subprocess.run(["xenstore-rm", path], check=False, timeout=60, capture_output=True)


def _heard(watches: Watches, paths: list[bytes]) -> list[bytes]:
    paths += [event.path for event in watches.events()]
    return paths


@pytest.fixture
def served(mount: Mount, peers: None) -> Iterator[Guest]:
    """A domain without anything in it that xenstored serves."""
    mount.mkdir("templates/served")
    try:
        mount.write("templates/served/name", "served")
        domid = mount.ask("templates/served/commit", "any")
    finally:
        mount.rmdir("templates/served")
    try:
        if mount.value(f"domains/{domid}/type") == "pv":
            pytest.skip("a processor without SVM: PV domains are served once they have memory")
        yield Guest(int(domid), "served")
    finally:
        mount.write(f"domains/{domid}/kill", "1")
        eventually(lambda: not mount.has(f"domains/{domid}"), SOON_S, "it is gone")


@pytest.mark.parametrize("way", ["/dev/xen/xenbus", "/run/xenstored/socket"])
def test_an_end_after_a_resume_is_told_of(mount: Mount, served: Guest, xen: Hypervisor, way: str) -> None:
    """By xenstored, which tells of an end once until somebody says that the domain goes on: xenfs does as xl does."""
    if not os.path.exists(way):
        pytest.skip(f"no {way} here")
    store, paths = XenstoreClient([way]), []
    watches = store.watches()
    events = os.open(mount.path("domains/events"), os.O_RDONLY)

    def told() -> bool:
        return bool(_heard(watches, paths))

    def ends() -> int:
        return sum(f" shutdown {served.domid} " in line for line in os.pread(events, 65536, 0).decode().splitlines())

    def quiet(why: str) -> None:
        time.sleep(QUIET_S)
        assert not told(), why

    try:
        watches.add("@releaseDomain", b"release")
        eventually(told, SOON_S, "it fires once up front")
        for end in (1, 2, 3):
            paths.clear()
            mount.write(served.node("shutdown"), "suspend")
            eventually(told, SOON_S, "its end is told of")
            assert ends() == end
            if end < 3:
                mount.write(served.node("resume"), "1")
        lifecycle.resume(xen, served.domid)
        paths.clear()
        mount.write(served.node("shutdown"), "suspend")
        quiet("xenstored was not told that it went on")
        lifecycle.resume(xen, served.domid)
        store.resume(served.domid)
        quiet("it goes on")
        mount.write(served.node("shutdown"), "suspend")
        eventually(told, SOON_S, "its end is told of")
    finally:
        os.close(events)
        watches.close()
        store.close()


def test_of_a_domain_that_xenstored_does_not_serve_there_is_nothing_to_tell(
    mount: Mount, doomed: Doomed, at_home: None
) -> None:
    """And nothing to complain of: the log of the daemon stays empty."""
    guest = doomed()
    mount.write(guest.node("shutdown"), "suspend")
    mount.write(guest.node("resume"), "1")
    assert mount.value(guest.node("state")) != "shutdown"


def test_nothing_is_asked_while_nobody_waits(mount: Mount) -> None:
    time.sleep(1)
    before = mount.calls()
    time.sleep(3)
    assert mount.calls() == before
