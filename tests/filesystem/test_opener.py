"""The process that does what takes root: it opens xenstore, and asks QEMUs one question; to all else it says no."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from patience import PATIENCE_S, until
from scripted_qemu import GREETING, Qemu, answer, row, says

from xenfs.errors import XenfsError
from xenfs.filesystem.confine import Opener, landlock
from xenfs.hypervisor.qemu import sockets
from xenfs.hypervisor.qemu.disks import Qemus
from xenfs.hypervisor.qemu.qmp import QUESTION, Disk

XVDA = 51712
TELLS = says(GREETING, answer(row("xvda-raw", 3, 4, 4096, 1536)))
TOLD = {XVDA: Disk(3, 4, 8, 3)}
SILENT = says()
Starter = Callable[..., Qemu]
impatient = pytest.mark.parametrize("opener", [3.0], indirect=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the sockets are, in the place of /run/xen."""
    made = tmp_path / "xen"
    made.mkdir(mode=0o700)
    monkeypatch.setattr(sockets, "HOME", str(made))
    return made


@pytest.fixture
def opener(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Opener]:
    """To be made before any thread, and so before the QEMUs. These have a minute, or less where some say nothing."""
    for module in ("xenfs.filesystem.confine.opener", "xenfs.hypervisor.qemu.disks"):
        monkeypatch.setattr(f"{module}.answer_s", lambda count: getattr(request, "param", PATIENCE_S))
    monkeypatch.setattr("xenfs.hypervisor.qemu.disks.PATIENCE_S", PATIENCE_S)
    for name in ("KEPT_S", "_SILENT_S"):  # each question is asked
        monkeypatch.setattr(f"xenfs.hypervisor.qemu.disks.{name}", -1.0)
    made = Opener([str(tmp_path / "xenstored"), "/dev/null"])
    yield made
    made.close()


@pytest.fixture
def qemus(opener: Opener) -> Qemus:
    return Qemus(opener.qemus)


@pytest.fixture
def start(home: Path, opener: Opener) -> Iterator[Starter]:
    started: list[Qemu] = []

    def one(domid: int, conversation: Callable[[socket.socket], object]) -> Qemu:
        started.append(Qemu(home, domid, conversation))
        return started[-1]

    yield one
    opener.close()
    for each in started:
        each.stop()


def refused(ask: Callable[[], object]) -> int:
    with pytest.raises(XenfsError) as said:
        ask()
    return said.value.errno


def test_it_may_reach_no_file_but_where_xenstored_is(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    monkeypatch.setattr(landlock, "restrict", lambda folders: told.write_text(" ".join(sorted(folders))))
    made = Opener([str(tmp_path / "xenstored"), "/dev/xen/xenbus"])
    try:
        until(told.exists)
        until(lambda: told.read_text() == f"/dev/xen {tmp_path}")
    finally:
        made.close()


def test_numbers_come_back_and_one_thing_is_said(qemus: Qemus, start: Starter) -> None:
    qemu = start(5, TELLS)
    assert qemus.of(5) == TOLD
    assert qemus.of_all() == {5: TOLD}
    until(lambda: qemu.heard == 2 * QUESTION)
    assert QUESTION.count(b"execute") == 2
    assert b"qmp_capabilities" in QUESTION
    assert b"query-blockstats" in QUESTION


def test_whether_there_is_one_asks_nobody(qemus: Qemus, start: Starter) -> None:
    qemu = start(5, TELLS)
    assert (qemus.there(5), qemus.there(6)) == (True, False)
    assert qemu.clients == 0
    assert refused(lambda: qemus.of(6)) == errno.ENOENT


ODD = {
    "nonsense": (says(GREETING, b"no json\r\n"), errno.EPROTO),
    "an error": (says(GREETING, b'{"error": {"class": "CommandNotFound"}, "id": "xenfs"}\r\n'), errno.EPROTO),
    "hangs up": (lambda client: client.sendall(GREETING), errno.ECONNRESET),
    "endless": (says(GREETING, b'{"event": "x"}\r\n' * 20_000), errno.EMSGSIZE),
    "one long line": (says(GREETING, b'"' + b"x" * 300_000), errno.EMSGSIZE),
    "deep": (says(GREETING, b"[" * 200_000 + b"\r\n"), errno.EPROTO),
}


@pytest.mark.parametrize("what", ODD)
def test_a_qemu_that_does_not_answer_as_one_costs_only_who_asks_it(qemus: Qemus, start: Starter, what: str) -> None:
    conversation, code = ODD[what]
    start(5, conversation)
    start(6, TELLS)
    assert qemus.of_all() == {6: TOLD}
    assert refused(lambda: qemus.of(5)) == code
    assert qemus.of(6) == TOLD


def drips(client: socket.socket) -> None:
    client.sendall(GREETING)
    while True:
        client.sendall(b" ")
        time.sleep(0.05)


NEVER = {
    "no greeting": (SILENT, errno.EBUSY),
    "only a greeting": (says(GREETING), errno.ETIMEDOUT),
    "half an answer": (says(GREETING, answer(row("xvda-raw"))[:-9]), errno.ETIMEDOUT),
    "one byte at a time": (drips, errno.ETIMEDOUT),
}


@impatient
@pytest.mark.parametrize("what", NEVER)
def test_one_that_never_comes_to_an_end(qemus: Qemus, start: Starter, what: str) -> None:
    """The deadline is that of the whole answer."""
    conversation, code = NEVER[what]
    start(5, conversation)
    start(6, TELLS)
    assert refused(lambda: qemus.of(5)) == code
    until(lambda: answers(qemus, 6))


@impatient
def test_somebody_else_has_the_monitor(qemus: Qemus, start: Starter) -> None:
    """It takes one at a time. Who waits there is one more, and the next is turned away at once."""
    qemu = start(5, TELLS)
    with socket.socket(socket.AF_UNIX) as first:
        first.connect(str(qemu.path))
        assert first.recv(10)
        assert refused(lambda: qemus.of(5)) == errno.EBUSY
        waiting = []
        for _ in range(4):
            one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            waiting.append(one)
            if one.connect_ex(str(qemu.path)) == errno.EAGAIN:
                break
        assert refused(lambda: qemus.of(5)) == errno.EBUSY
        for one in waiting:
            one.close()
    until(lambda: answers(qemus, 5))


def answers(qemus: Qemus, domid: int) -> bool:
    try:
        return qemus.of(domid) == TOLD
    except XenfsError:
        return False


def test_a_silent_one_holds_nothing_else_up(opener: Opener, qemus: Qemus, start: Starter, tmp_path: Path) -> None:
    """While it is waited for, another is asked, and xenstore is opened."""
    begun, goes_on = threading.Event(), threading.Event()

    def silent(client: socket.socket) -> None:
        begun.set()
        goes_on.wait(PATIENCE_S)

    start(5, silent)
    start(6, TELLS)
    ended: list[int] = []
    asks = threading.Thread(target=lambda: ended.append(refused(lambda: qemus.of(5))))
    with socket.socket(socket.AF_UNIX) as xenstored:
        xenstored.bind(str(tmp_path / "xenstored"))
        xenstored.listen()
        asks.start()
        assert begun.wait(PATIENCE_S)
        assert qemus.of(6) == TOLD
        os.close(opener(str(tmp_path / "xenstored"), 1.0))
        assert not ended, "all that while the silent one was waited for"
    goes_on.set()
    asks.join(PATIENCE_S)
    assert ended == [errno.ECONNRESET]


def test_three_hundred_at_once(qemus: Qemus, start: Starter) -> None:
    for domid in range(1, 301):
        start(domid, says(GREETING, b"no json\r\n") if domid % 100 == 0 else TELLS)
    found = qemus.of_all()
    assert found.keys() == set(range(1, 301)) - {100, 200, 300}
    assert all(told == TOLD for told in found.values())


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process may have few descriptors, and spares some of them."""

    def allow() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

    monkeypatch.setattr(sockets, "allow_many", allow)
    monkeypatch.setattr(sockets, "_SPARED", 20)


def test_more_of_them_than_there_are_descriptors(few: None, qemus: Qemus, start: Starter) -> None:
    for domid in range(1, 101):
        start(domid, TELLS)
    assert qemus.of_all() == dict.fromkeys(range(1, 101), TOLD)


@impatient
def test_many_silent_ones_leave_descriptors_to_others(few: None, opener: Opener, qemus: Qemus, start: Starter) -> None:
    """A question about many does not take all, and of one that comes when there is none only itself is lost."""
    start(5, TELLS)
    for domid in range(101, 201):
        start(domid, SILENT)
    own = Path(f"/proc/{opener._pid}/fd")
    with contextlib.ExitStack() as asked:
        many = asked.enter_context(contextlib.closing(opener.qemus("disks", range(101, 201))))
        until(lambda: len(list(own.iterdir())) >= 20)
        os.close(opener("/dev/null", 1.0))
        assert qemus.of(5) == TOLD
        for domid in range(180, 200):
            asked.enter_context(contextlib.closing(opener.qemus("disks", [domid])))
        told = many.by(time.monotonic() + PATIENCE_S)
        assert {told[domid].errno for domid in range(101, 111)} == {errno.EBUSY}
        assert {told[domid].errno for domid in range(130, 201)} == {errno.EMFILE}
    assert qemus.of(5) == TOLD, "and lives on"
    until(lambda: len(list(own.iterdir())) < 10)


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process has smaller bounds, that tests may reach."""
    monkeypatch.setattr(sockets, "_MOST_HELD", 100_000)
    monkeypatch.setattr("xenfs.filesystem.confine.opener._MOST_AT_ONCE", 4)
    monkeypatch.setattr("xenfs.filesystem.confine.opener._ANSWER_S", 0.5)


@impatient
def test_who_says_most_is_not_believed(bounded: None, opener: Opener, start: Starter) -> None:
    """Of all that is not whole yet, there is so much and no more."""
    start(5, says(GREETING, b"x" * 90_000))
    start(6, says(GREETING, b"x" * 30_000))
    start(7, TELLS)
    with contextlib.closing(opener.qemus("disks", [5, 6, 7])) as asked:
        told = asked.by(time.monotonic() + PATIENCE_S)
    assert [told[domid].errno for domid in (5, 6, 7)] == [errno.EMSGSIZE, errno.ETIMEDOUT, 0]


@impatient
def test_so_many_questions_at_once(bounded: None, opener: Opener, qemus: Qemus, start: Starter) -> None:
    """One more gets no answer, and others do when those have theirs."""
    for domid in range(11, 18):
        start(domid, SILENT)
    start(6, TELLS)
    with contextlib.ExitStack() as asked:
        several = [asked.enter_context(contextlib.closing(opener.qemus("disks", [domid]))) for domid in range(11, 18)]
        told = [each.by(time.monotonic() + PATIENCE_S) for each in several]
    assert [len(each) for each in told] == [1] * 4 + [0] * 3
    until(lambda: answers(qemus, 6))


def test_an_answer_that_nobody_reads_is_not_kept(bounded: None, opener: Opener, qemus: Qemus) -> None:
    tasks = Path(f"/proc/{opener._pid}/task")
    with contextlib.closing(opener.qemus("there", range(1, 20_001))):
        until(lambda: len(list(tasks.iterdir())) == 2)
        until(lambda: len(list(tasks.iterdir())) == 1)
    assert not qemus.there(5), "and it lives on"


def test_where_no_thread_can_be_made(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a limit of tasks: who asks is told so, and the process that asks lives on."""

    def refuse(thread: threading.Thread) -> None:
        if (home / "no more").exists():
            raise RuntimeError("can't start new thread")
        plain(thread)

    plain = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with contextlib.closing(Opener(["/dev/null"])) as opener:
        (home / "no more").touch()
        with pytest.raises(ConnectionResetError):
            opener("/dev/null", 1.0)
        assert not Qemus(opener.qemus).there(5)
        (home / "no more").unlink()
        os.close(opener("/dev/null", 1.0))


def test_only_sockets_that_are_ours_where_nobody_else_makes_any(qemus: Qemus, start: Starter, home: Path) -> None:
    elsewhere = home.parent / "elsewhere"
    elsewhere.mkdir()
    real = Qemu(elsewhere, 5, TELLS)
    try:
        (home / "qmp-libxenstat-5").symlink_to(real.path)
        (home / "qmp-libxenstat-6").write_text("")
        (home / "qmp-libxenstat-7").mkdir()
        assert [refused(lambda domid=domid: qemus.of(domid)) for domid in (5, 6, 7)] == [  # type: ignore[misc]
            errno.EPERM if hasattr(os, "O_PATH") else errno.ELOOP, errno.EPERM, errno.EPERM,
        ]  # fmt: skip
        start(8, TELLS)
        assert qemus.of(8) == TOLD
        home.chmod(0o777)
        assert refused(lambda: qemus.of(8)) == errno.EPERM
        home.chmod(0o700)
        if os.geteuid() == 0:
            os.chown(home / "qmp-libxenstat-8", 65534, 65534)
            assert refused(lambda: qemus.of(8)) == errno.EPERM
        assert real.clients == 0
    finally:
        real.stop()


@pytest.mark.parametrize(
    "question",
    [b"", b" ", b"disks", b"disks -1", b"disks 32752", b"disks 5/../6", b"disks \xd9\xa1", b"disks 00000000005",
     b"quit 5", b"there", b"there /etc/passwd", b"open", b"open /etc/shadow", b"open /dev/null\0"],
)  # fmt: skip
def test_to_all_else_it_says_nothing(opener: Opener, qemus: Qemus, start: Starter, question: bytes) -> None:
    qemu = start(5, TELLS)
    if question:
        with opener._asked(question) as said:
            said.settimeout(PATIENCE_S)
            data, fds, _, _ = socket.recv_fds(said, 100, 1)
        assert (data, fds) in ((b"", []), (b"%d" % errno.EPERM, []))
    assert qemu.clients == 0
    assert qemus.of(5) == TOLD, "and lives on"


def test_it_has_no_more_than_it_needs(opener: Opener, qemus: Qemus, start: Starter, home: Path) -> None:
    """After a hundred questions no descriptor, no thread is left; and it ends with the daemon."""
    own = Path(f"/proc/{opener._pid}")

    def held() -> list[str]:
        until(lambda: len(list((own / "task").iterdir())) == 1)
        return sorted(os.readlink(each) for each in (own / "fd").iterdir())

    start(5, TELLS)
    start(6, says(GREETING, b"no json\r\n"))
    assert not qemus.there(7)
    (home / "qmp-libxenstat-8").write_text("no socket")
    status = dict(line.split(":\t", 1) for line in (own / "status").read_text().splitlines() if ":\t" in line)
    assert (status["Name"], status["CapEff"], status["CapPrm"]) == ("xenfs-open", "0" * 16, "0" * 16)
    assert status["NoNewPrivs"] == "1" or os.geteuid()
    before = held()
    assert len([link for link in before if link.startswith("socket:")]) == 1
    for _ in range(50):
        assert qemus.of(5) == TOLD
        os.close(opener("/dev/null", 1.0))
        for domid in (6, 7, 8):
            refused(lambda domid=domid: qemus.of(domid))  # type: ignore[misc]
    assert held() == before
    opener.close()
    assert not own.exists()
    assert not qemus.there(5)
    assert refused(lambda: qemus.of(5)) in (errno.EPIPE, errno.EBADF)
