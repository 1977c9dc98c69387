"""Waiting for events in a mounted tree, as programs do: poll, select, epoll and `xenfs watch`, also without poll(2)."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from children import mortal
from mounting import REPOSITORY, Mount, Mounter, lasting
from patience import PATIENCE_S

WITHOUT_POLL = """
import sys
from xenfs.filesystem.operations import Operations
del Operations.poll  # pyfuse3 then says ENOSYS, as libfuse does to the kernel where pyfuse3 is older than 3.5
"""
MAIN = """
import sys
from xenfs.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    """A mount of a host with many domains that may be killed."""
    with lasting(tmp_path_factory.mktemp("waiting"), "domains=200", "lifecycle") as made:
        yield made


_victims = iter(range(20, 200))


def kill(mount: Mount) -> int:
    """End some domain."""
    domid = next(_victims)
    mount.write(f"domains/{domid}/kill", "1")
    return domid


@contextlib.contextmanager
def opened(mount: Mount, path: str = "domains/events") -> Iterator[int]:
    fd = os.open(mount.where / path, os.O_RDONLY)
    try:
        yield fd
    finally:
        with contextlib.suppress(OSError):  # nobody is there any more who could be told
            os.close(fd)


def quiet(fds: list[int], poll: Any) -> None:
    """Read until nothing more comes: who was killed before is gone a while later."""
    deadline = time.monotonic() + PATIENCE_S
    while poll.poll(300):
        assert time.monotonic() < deadline
        for fd in fds:
            os.read(fd, 65536)


def test_reads_end_at_once(mount: Mount) -> None:
    with opened(mount) as fd:
        for _ in range(5):
            assert os.read(fd, 4096) == b""
    assert mount.out("cat domains/events") == ""


def test_poll_sleeps_until_there_is_something(mount: Mount) -> None:
    with opened(mount) as fd:
        poll = select.poll()
        poll.register(fd, select.POLLIN | select.POLLPRI)
        quiet([fd], poll)
        began = time.monotonic()
        assert poll.poll(300) == []
        assert time.monotonic() - began > 0.25
        domid = kill(mount)
        assert poll.poll(1000 * PATIENCE_S) == [(fd, select.POLLIN | select.POLLPRI)]
        assert poll.poll(0), "until it is read"
        assert f" dying {domid} " in os.read(fd, 65536).decode()
        assert poll.poll(0) == []


def test_select_and_epoll(mount: Mount) -> None:
    with opened(mount) as one, opened(mount) as two:
        epoll, poll = select.epoll(), select.poll()
        poll.register(one, select.POLLIN)
        quiet([one, two], poll)
        epoll.register(two, select.EPOLLIN | select.EPOLLET)
        assert select.select([one], [], [one], 0.1) == ([], [], [])
        assert epoll.poll(0.1) == []
        kill(mount)
        assert select.select([one], [], [one], PATIENCE_S)[0] == [one]
        assert epoll.poll(PATIENCE_S)
        os.read(two, 65536)
        kill(mount)
        assert epoll.poll(PATIENCE_S), "an edge-triggered one does not ask again, and is told all the same"
        epoll.close()


def test_the_log_of_calls_and_other_files(mount: Mount) -> None:
    with opened(mount, "xenfs/calls/log") as fd, opened(mount, "host/memory/free_kb") as plain:
        while os.read(fd, 1 << 20):
            pass
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(200) == []
        mount.read("host/memory/free_kb")
        assert poll.poll(1000 * PATIENCE_S)
        assert b"sysctl:physinfo" in os.read(fd, 1 << 20)
        assert select.select([plain], [plain], [], PATIENCE_S)[:2] == ([plain], [plain])


def test_hundreds_wait_at_once(mount: Mount) -> None:
    """More than there are request handlers; each is woken, and other requests go on meanwhile."""
    threads = f"/proc/{mount.process.pid}/task"
    with contextlib.ExitStack() as stack:
        fds = [stack.enter_context(opened(mount)) for _ in range(400)]
        before = len(os.listdir(threads))
        poll = select.poll()
        for fd in fds:
            poll.register(fd, select.POLLIN)
        quiet(fds, poll)
        assert mount.read("host/scheduler") == "credit2\n"
        assert len(os.listdir(threads)) <= before + 1
        domid = kill(mount)
        heard, deadline = dict.fromkeys(fds, ""), time.monotonic() + PATIENCE_S
        while not all(f" dying {domid} " in text for text in heard.values()):
            assert time.monotonic() < deadline
            for fd, _ in poll.poll(1000):
                heard[fd] += os.read(fd, 65536).decode()


def test_a_process_that_waits_can_be_killed(mount: Mount) -> None:
    code = (
        "import os, select, sys; p = select.poll(); p.register(os.open(sys.argv[1], 0), 1); print(flush=True)\n"
        "while True: p.poll()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(mount.where / "domains/events")], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    time.sleep(0.1)
    process.kill()
    assert process.wait(PATIENCE_S) == -signal.SIGKILL
    process.stdout.close()


def test_events_do_not_wait_for_the_clock(mounter: Mounter) -> None:
    """Looks by the clock would be an hour apart: it is xenstore's watch, or the write itself, that tells. Most events
    are there within 50 ms of a write's beginning on a machine with nothing else to do; how long it took is printed."""
    program = "from xenfs.connect import watcher; watcher._WATCHED_S = watcher._PERIOD_S = 3600.0" + MAIN
    mount, took = mounter("domains=200", options="lifecycle", program=("-c", program)), []
    with opened(mount) as fd:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        for _ in range(25):
            domid = next(_victims)
            kill_fd = os.open(mount.where / f"domains/{domid}/kill", os.O_WRONLY)
            pid = os.fork()
            if not pid:
                time.sleep(0.05)
                os.write(kill_fd, b"1")
                os._exit(0)
            seen, before = "", time.monotonic()
            while f" dying {domid} " not in seen:
                assert poll.poll(1000 * PATIENCE_S)
                after = time.monotonic()
                seen += os.read(fd, 65536).decode()
            os.waitpid(pid, 0)
            os.close(kill_fd)
            took.append(after - before - 0.05)
    print(f"median {statistics.median(took) * 1000:.0f} ms")


def test_nobody_waits_nothing_runs(mounter: Mounter) -> None:
    """No processor time while nobody waits, nor while somebody does and nothing happens."""
    mount = mounter("domains=10")

    def used() -> float:
        words = Path(f"/proc/{mount.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    mount.read("domains/by-name/web-1/name")
    with opened(mount):
        pass
    time.sleep(0.3)
    before, calls = used(), mount.read("xenfs/calls/stat")
    time.sleep(2)
    assert mount.read("xenfs/calls/stat") == calls
    assert used() - before <= 0.02
    with opened(mount) as fd:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        before = used()
        assert poll.poll(3000) == []
        assert used() - before <= 0.05


@pytest.mark.parametrize("source", ["xenstore=on", "xenstore=off"])
def test_a_storm_is_seen_whole(mounter: Mounter, source: str) -> None:
    """Domains that live for seconds, hundreds of them a second: two readers see the same, and each life once.

    Told by xenstore's watches, and found by listing the domains where there is none.
    """
    mount = mounter(f"churn=250,domains=5,{source}")
    heard = [b"", b""]
    with opened(mount) as one, opened(mount) as two:
        poll = select.poll()
        for fd in (one, two):
            poll.register(fd, select.POLLIN)
        enough, deadline = time.monotonic() + 8, time.monotonic() + 2 * PATIENCE_S
        while time.monotonic() < enough or heard[0].count(b" gone ") < 1500:
            assert time.monotonic() < deadline
            for fd, _ in poll.poll(1000):
                heard[fd == two] += os.read(fd, 1 << 20)  # which may end within a line
    told = [[line.split() for line in text.decode().split("\n")[:-1]] for text in heard]
    for lines in told:
        numbers = [int(line[0]) for line in lines]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    last = min(told[0][-1][0], told[1][-1][0], key=int)
    both = [[line for line in lines if int(line[0]) <= int(last)] for lines in told]
    first = max(both[0][0][0], both[1][0][0], key=int)
    assert [line for line in both[0] if int(line[0]) >= int(first)] == [
        line for line in both[1] if int(line[0]) >= int(first)
    ]
    lives: dict[str, list[str]] = {}
    for _, kind, _, uuid, *_ in told[0]:
        if kind != "named":
            lives.setdefault(uuid, []).append(kind)
    assert len(lives) > 1000
    allowed = ["created", "shutdown", "dying", "gone"]
    for kinds in lives.values():
        assert len(set(kinds)) == len(kinds)
        assert [allowed.index(kind) for kind in kinds] == sorted(allowed.index(kind) for kind in kinds)
    born = [uuid for uuid, kinds in lives.items() if kinds[0] == "created"]
    assert sum(kinds[-1] == "gone" for kinds in lives.values()) > 500
    assert len(born) >= len(lives) - 900, "those that were there before"


# xenfs watch


def watch(mount: Mount, *words: str) -> subprocess.Popen[str]:
    return mortal(
        subprocess.Popen(
            [sys.executable, "-m", "xenfs", "watch", *words],
            cwd=mount.where, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
    )  # fmt: skip


def ended(process: subprocess.Popen[str], within_s: float = PATIENCE_S) -> tuple[int, list[str], str]:
    out, err = process.communicate(timeout=within_s)
    return process.returncode, out.splitlines(), err


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line, and no byte more: what a buffer has already, select would not tell of."""
    assert process.stdout is not None
    fd, line = process.stdout.fileno(), b""
    while not line.endswith(b"\n"):
        assert select.select([fd], [], [], PATIENCE_S)[0]
        byte = os.read(fd, 1)
        if not byte:
            break
        line += byte
    return line.decode()


def watching(mount: Mount, *words: str) -> subprocess.Popen[str]:
    """A watch that is known to have begun: it has printed the first value of a file of its own."""
    process = watch(mount, *words, "host/cpu_khz")
    while "2995178" not in line_of(process):
        pass
    return process


@pytest.fixture(params=["poll", "without"])
def either(request: pytest.FixtureRequest, mount: Mount, tmp_path: Path) -> Iterator[Mount]:
    """The mount, or one of a daemon that does not have poll(2)."""
    if request.param == "poll":
        yield mount
        return
    where = tmp_path / "xenfs"
    where.mkdir()
    made = Mount(where, "--hypervisor", "simulator:domains=200", "-o", "lifecycle", program=("-c", WITHOUT_POLL + MAIN))
    try:
        with opened(made) as fd:
            assert select.select([fd], [fd], [], PATIENCE_S)[:2] == ([fd], [fd]), "every file is taken for ready"
        yield made
        made.stop()
    finally:
        made.force()


def test_lines_as_they_come(either: Mount) -> None:
    process = watching(either, "--json", "domains/events")
    domid = kill(either)
    for _ in range(20):
        told = json.loads(line_of(process))
        if told.get("domid") == domid:
            break
    uuid = either.read(f"domains/{domid}/uuid").strip()
    assert {key: told[key] for key in ("path", "event", "uuid")} == {
        "path": "domains/events", "event": "dying", "uuid": uuid,
    }  # fmt: skip
    assert told["time"].endswith("Z")
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == -signal.SIGTERM


def test_until_a_state(either: Mount) -> None:
    domid = next(_victims)
    process = watch(either, "--until", "shutdown", "--timeout", "60", f"domains/{domid}")
    assert line_of(process) in ("running\n", "blocked\n", "runnable\n")
    either.write(f"domains/{domid}/shutdown", "poweroff")
    status, lines, _ = ended(process)
    assert (status, lines[-2:]) == (0, ["shutdown", "reason poweroff"])
    both = watch(either, "--until", "gone", f"domains/{domid}", f"{either.where}/domains/{next(_victims)}")
    line_of(both), line_of(both)
    for each in (domid, domid + 1):
        either.write(f"domains/{each}/kill", "1")
    status, lines, _ = ended(both)
    assert status == 0
    assert sorted(lines[-2:]) == sorted([f"{either.where}/domains/{domid + 1}:gone", f"domains/{domid}:gone"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it(mount: Mount, number: int) -> None:
    process = watching(mount, "domains/events", "xenfs/calls/log", "domains/3")
    process.send_signal(number)
    assert ended(process)[0] == -number


def test_time_out_and_what_cannot_be(mount: Mount) -> None:
    assert ended(watch(mount, "--until", "crashed", "--timeout", "0.5", "domains/2"))[0] == 124
    assert ended(watch(mount, "--timeout", "0.5", "domains/events"))[:2] == (124, [])
    assert ended(watch(mount, "--until", "crashed", "domains/12"))[:2] == (0, ["crashed", "reason crash"])
    assert ended(watch(mount, "--until", "shutdown", "domains/12", "domains/15"))[0] == 0
    domid = next(_victims)
    process = watch(mount, "--until", "crashed", f"domains/{domid}")
    line_of(process)
    mount.write(f"domains/{domid}/kill", "1")
    status, lines, err = ended(process)
    assert (status, lines[-1]) == (1, "gone")
    assert err == f"xenfs: domains/{domid}: gone without having been crashed\n"
    for words in (["domains/99999"], ["host"], ["--timeout", "-1", "host/info"]):
        status, lines, err = ended(watch(mount, *words))
        assert status in (1, 2)
        assert "Traceback" not in err


def test_values_when_they_change(mount: Mount) -> None:
    process = watch(mount, "--interval", "0.05", "domains/3/sched/weight")
    assert line_of(process) == "256\n"
    mount.write("domains/3/sched/weight", "300")
    assert line_of(process) == "300\n"
    process.kill()
    ended(process)


def test_nobody_reads_it_any_more(mount: Mount) -> None:
    process = watch(mount, "domains/events")
    time.sleep(1)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(PATIENCE_S) in (0, -signal.SIGPIPE)
    assert process.stderr is not None
    process.stderr.close()


def test_the_daemon_ends(mounter: Mounter) -> None:
    mount = mounter()
    process = watching(mount, "--reconnect", "0", "domains/events", "domains/3/uuid")
    mount.process.terminate()
    status, _, err = ended(process)
    assert status == 1
    assert "Traceback" not in err
    assert mount.process.wait(PATIENCE_S) == 0


def test_who_sleeps_in_poll_is_woken_when_the_daemon_ends(mounter: Mounter) -> None:
    mount = mounter()
    with opened(mount) as fd:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(200) == []
        mount.process.terminate()
        assert poll.poll(1000 * PATIENCE_S)[0][1] & select.POLLERR
        with pytest.raises(OSError, match=r"not connected|abort"):
            os.read(fd, 1)
    assert mount.process.wait(PATIENCE_S) == 0


def test_a_daemon_that_hangs_does_not_keep_it(mounter: Mounter) -> None:
    mount = mounter()
    process = watching(mount, "domains/events")
    mount.process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(1)  # it asks, and nobody answers
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == -signal.SIGTERM
    finally:
        mount.process.send_signal(signal.SIGCONT)


# Who is not there yet


def test_a_domain_that_is_not_there_yet_is_waited_for_by_name(mounter: Mounter) -> None:
    mount = mounter("churn=2,life=30")
    process = watch(mount, "--until", "running", "--timeout", "60", "domains/by-name/passing-9")
    status, lines, err = ended(process, 80)
    assert (status, err) == (0, "")
    assert lines[-1] in ("running", "blocked", "runnable")
    assert mount.read("domains/by-name/passing-9/name") == "passing-9\n"


def test_names_and_reasons_are_in_the_lines(mounter: Mounter) -> None:
    """Each end is made here, one step after the other was told of: however busy the machine is, no line is missing."""
    mount = mounter("churn=2,life=600", options="lifecycle")
    process = watch(mount, "--json", "domains/events")
    told: list[tuple[str, int, str | None, str | None]] = []

    def until_told(what: str, domid: int | None = None) -> tuple[int, str]:
        while True:
            event = json.loads(line_of(process))
            told.append((event["event"], event["domid"], event["name"], event["reason"]))
            if event["event"] == what and domid in (None, event["domid"]):
                return event["domid"], event["name"]

    domid, name = until_told("named", until_told("created")[0])  # of others the watch may not have seen all
    mount.write(f"domains/{domid}/shutdown", "crash")
    until_told("shutdown", domid)
    mount.write(f"domains/{domid}/kill", "1")
    until_told("gone", domid)
    kinds = ("created", "named", "shutdown", "dying", "gone")
    assert [each for each in told if each[1] == domid] == [
        (kind, domid, name if at else None, "crash" if at > 1 else None) for at, kind in enumerate(kinds)
    ]
    domid, name = until_told("named", until_told("created")[0])  # of others the watch may not have seen all
    mount.write(f"domains/{domid}/kill", "1")
    until_told("gone", domid)
    assert [each for each in told if each[1] == domid][-2:] == [(kind, domid, name, None) for kind in ("dying", "gone")]
    assert ("shutdown", domid) not in {each[:2] for each in told}, "destroyed while it ran"


def test_settings_are_applied_when_a_domain_starts(mounter: Mounter, tmp_path: Path) -> None:
    """contrib/at-start, as it is shipped."""
    mount = mounter("churn=1,life=600")
    program = tmp_path / "xenfs"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -m xenfs "$@"\n')
    program.chmod(0o755)
    settings = tmp_path / "at-start.d"
    settings.mkdir()
    there = mount.out("sed -n 's/^[1-9][0-9]* //p' domains/names | head -n 1").strip()
    for name in ("passing-9", there):
        (settings / name).write_text("# of the night shift\nsched/weight 512\n\nnothing/here 1\nsched/cap 0\n")
    script = REPOSITORY / "contrib" / "at-start"
    with subprocess.Popen(
        [script, mount.where, settings], stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    ) as process:  # fmt: skip
        try:
            for name in ("passing-9", there):
                weight = mount.where / "domains" / "by-name" / name / "sched" / "weight"
                deadline = time.monotonic() + 60
                while not weight.exists() or weight.read_text() != "512\n":
                    assert time.monotonic() < deadline, name
                    time.sleep(0.2)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
        assert process.stderr is not None
        assert f"at-start: {there}: nothing/here was not set to 1\n" in process.stderr.readlines()
    other = mount.where / "domains" / "by-name" / "passing-8" / "sched" / "weight"
    assert other.read_text() == "256\n"
