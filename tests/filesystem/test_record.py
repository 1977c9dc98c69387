"""The record of what was done: every part of it, no line that could be forged, and no count that gets lost."""

from __future__ import annotations

import hashlib
import os
import socket
import struct
from collections import Counter
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from patience import PATIENCE_S

from xenfs.filesystem import sinks
from xenfs.filesystem.callers import Caller
from xenfs.filesystem.record import LONG, UNKNOWN, Act, Record
from xenfs.filesystem.sinks import Fields, File, Journal, Sink, Stderr, Syslog
from xenfs.hypervisor.ledger import Watch
from xenfs.nodes.policy.trusted import Untrusted

ROOT = Caller(0, 0, 42, "bash")


class Kept(Sink):
    """Keeps what it is given; fails with `fails` while that is set."""

    name = "kept"

    def __init__(self) -> None:
        self.records: list[tuple[str, int, dict[str, str]]] = []
        self.fails = 0

    def send(self, message: str, priority: int, fields: Fields) -> None:
        if self.fails:
            raise OSError(self.fails, os.strerror(self.fails))
        self.records.append((message, priority, dict(fields)))


class Hand:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def watched(*calls: tuple[str, int | None, int]) -> Watch:
    found = Watch()
    for call in calls:
        found.add(*call)
    return found


def test_every_part_of_a_write() -> None:
    kept = Kept()
    calls = watched(("domctl getdomaininfo", 3, 0), ("domctl pausedomain", 3, -3))
    Record([kept]).add(Act("write", ROOT, "domains/3/freeze", b"1\n", 3, 1_234_567, calls))
    [(line, priority, fields)] = kept.records
    assert line == (
        'write result=ESRCH uid=0 gid=0 pid=42 usec=1234 command="bash" path="domains/3/freeze" value="1" '
        'calls="domctl:getdomaininfo(3)=0 domctl:pausedomain(3)=ESRCH"'
    )
    assert priority == 5
    assert fields["XENFS_VALUE"] == "1"
    assert fields["XENFS_RESULT"] == "ESRCH"
    assert fields["OBJECT_PID"] == "42"
    assert len(fields["MESSAGE_ID"]) == 32
    assert all(name.isupper() for name in fields)


def test_long_binary_and_private_values() -> None:
    def parts(data: bytes, **more: bool) -> dict[str, str]:
        return Act("write", ROOT, "x", data, **more).parts()  # type: ignore[arg-type]

    long = parts(b"x" * 300)
    assert long["bytes"] == "300"
    assert len(long["sha256"]) == 64
    assert long["value"] == "x" * 257 or long["value"] == "x" * 256
    assert "sha256" in parts(b"\x01\x02", binary=True)
    assert "value" not in parts(b"\x01\x02", binary=True)
    assert "sha256" in parts(b"\x01" * 200), "short, but not when it is made harmless"
    megabyte = Act("write", ROOT, "x", b"y" * (LONG + 1))
    assert "sha256" not in megabyte.parts(), "the event loop makes none of so much"
    megabyte.seal()
    assert megabyte.parts()["sha256"] == hashlib.sha256(b"y" * (LONG + 1)).hexdigest()
    assert parts(b"\x01" * 200)["value"] == "\\x01" * 128 + "…", "cut between characters"
    assert parts(b"rip 0x1234", private=True) | {"bytes": ""} == parts(b"anything x", private=True) | {"bytes": ""}
    assert parts(b"caf\xc3\xa9")["value"] == "café"


def test_results_and_many_calls() -> None:
    kept = Kept()
    record = Record([kept])
    record.add(Act("rmdir", ROOT, "domains/3", calls=watched(*[("domctl destroydomain", 3, 0)] * 100)))
    record.add(Act("write", ROOT, "x", code=UNKNOWN))
    assert "and 84 more" in kept.records[0][0]
    assert "value" not in kept.records[0][0], "a directory is removed, nothing is written"
    assert kept.records[0][1] == 6
    assert "result=unknown" in kept.records[1][0]


NASTY = st.text(st.characters() | st.sampled_from('\n\r\x1b\x00"\\\u202e\u2028 =')).map(
    lambda text: text.encode("utf-8", "surrogatepass")
) | st.binary(max_size=300)


@given(NASTY, NASTY, NASTY)
def test_no_line_can_be_forged(data: bytes, name: bytes, command: bytes) -> None:
    kept = Kept()
    caller = Caller(0, 0, 42, os.fsdecode(command))
    Record([kept]).add(Act("write", caller, f"domains/{os.fsdecode(name)}", data))
    [(line, _, fields)] = kept.records
    assert line.isprintable()
    assert all(value.isprintable() for value in fields.values())
    # Outside of quotes nothing is the user's: what is left without what is quoted names each part once.
    plain, inside, skip = "", False, False
    for char in line:
        if skip:
            skip = False
        elif inside and char == "\\":
            skip = True
        elif char == '"':
            inside = not inside
        elif not inside:
            plain += char
    assert not inside
    names = [word.split("=")[0] for word in plain.split()]
    assert len(names) == len(set(names))
    assert names == ["write", "result", "uid", "gid", "pid", "usec", "command", "path", *names[8:]]
    assert len(line.encode()) < 4000, "what a pipe takes at once"


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_different_values_are_shown_differently(one: bytes, two: bytes) -> None:
    def value(data: bytes) -> dict[str, str]:
        return Act("write", ROOT, "x", data).value()

    if one.removesuffix(b"\n") != two.removesuffix(b"\n"):
        assert value(one) != value(two)


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans(), st.floats(0, 0.2)), max_size=800), st.integers(0, 5))
def test_no_count_gets_lost(acts: list[tuple[int, bool, float]], failing: int) -> None:
    kept, hand = Kept(), Hand()
    record = Record([kept], hand)
    for number, (uid, refused, wait) in enumerate(acts):
        hand.now += wait / 10
        kept.fails = 28 if failing and number % (failing + 1) == 0 else 0
        record.add(Act("write", Caller(uid, 1, 2), "x", code=13 if refused else 0))
        if number % 50 == 0:
            record.flush()
    kept.fails = 0
    record.close()
    written = Counter[str]()
    for _, _, fields in kept.records:
        written[fields["XENFS_OPERATION"]] += int(fields.get("XENFS_LEFT_OUT", 1))
    assert written.total() == len(acts)


def test_noise_hides_nobody_else() -> None:
    kept, hand = Kept(), Hand()
    record = Record([kept], hand)
    for _ in range(5000):
        record.add(Act("open", Caller(1000, 1000, 7), "x", code=13))
    assert len(kept.records) == 200
    record.add(Act("write", Caller(1000, 1000, 7), "domains/3/freeze"))
    record.add(Act("write", ROOT, "domains/3/kill"))
    assert ["path" in each[0] for each in kept.records[200:]] == [True, True]
    record.flush()
    assert kept.records[-1][0] == 'summary left_out=4800 seconds=0.0 of="uid=1000 open EACCES 4800"'
    hand.now += 1
    record.add(Act("open", Caller(1000, 1000, 7), "x", code=13))
    assert "summary" not in kept.records[-1][0], "after a second, there is room again"


@pytest.mark.parametrize("char", ['"', "\\", "\n", "\u202e", "\U0001f600", "\udcff", "x"])
def test_a_long_path_pushes_nothing_out(char: str) -> None:
    """Who it was, what came of it, the digest of the value and the calls are there, whatever somebody called things."""
    kept = Kept()
    calls = watched(*[("x" * 60, 32767, -3)] * 16)
    act = Act("write", Caller(1000, 100, 7, char * 255), char * 3000, b"v" * 4096, 13, 5, calls)
    Record([kept]).add(act)
    [(line, _, fields)] = kept.records
    assert line.startswith("write result=EACCES uid=1000 gid=100 pid=7 usec=0 command=")
    assert len(line.encode("utf-8", "surrogateescape")) < 4000
    assert '…" value="' in line
    assert f" bytes=4096 sha256={fields['XENFS_SHA256']} calls=" in line
    assert line.endswith('"')


def test_roots_acts_are_never_left_out() -> None:
    kept = Kept()
    record = Record([kept], Hand())
    for uid in range(2000):
        record.add(Act("open", Caller(uid + 1, 1, 1), "x", code=13))
    before = len(kept.records)
    for _ in range(1000):
        record.add(Act("write", ROOT, "x", code=13))
        record.add(Act("write", ROOT, "x"))
    assert len(kept.records) - before == 2000


def test_who_is_quiet_is_forgotten() -> None:
    """The memory is bounded, and a user who comes when others are done has a share of his own."""
    kept, hand = Kept(), Hand()
    record = Record([kept], hand)
    for turn in range(20):
        for uid in range(1, 3000):
            record.add(Act("open", Caller(uid + 3000 * turn, 1, 1), "x", code=13))
        assert len(record._buckets) <= 514
        hand.now += 20
    before = len(kept.records)
    for _ in range(200):
        record.add(Act("open", Caller(77, 1, 1), "x", code=13))
    assert len(kept.records) - before == 200


def test_many_users_share() -> None:
    kept = Kept()
    record = Record([kept], Hand())
    for uid in range(3000):
        record.add(Act("open", Caller(uid, 1, 1), "x", code=13))
    assert len(kept.records) < 1000
    record.close()
    assert "left_out=" in kept.records[-1][0]


def test_the_summary_comes_by_itself() -> None:
    kept = Kept()

    async def run() -> None:
        record = Record([kept], Hand())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(record.tend)
            for _ in range(300):
                record.add(Act("write", Caller(1000, 1000, 7), "x"))
            await trio.sleep(5.5)
            nursery.cancel_scope.cancel()

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))
    assert "left_out=100" in kept.records[-1][0]


def listener(path: Path) -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.bind(str(path))
    found.settimeout(PATIENCE_S)
    return found


def parsed(datagram: bytes) -> dict[str, bytes]:
    """What a journal makes of a datagram."""
    found: dict[str, bytes] = {}
    while datagram:
        line, datagram = datagram.split(b"\n", 1)
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack_from("<Q", datagram)
            value, datagram = datagram[8 : 8 + size], datagram[8 + size :].removeprefix(b"\n")
        assert name.decode() not in found
        found[name.decode()] = value
    return found


def test_the_journals_own_protocol(tmp_path: Path) -> None:
    with listener(tmp_path / "socket") as heard:
        journal = Journal(str(tmp_path / "socket"))
        journal.send("a message", 6, {"XENFS_PATH": "x", "XENFS_ODD": "two\nlines\nPRIORITY=0\n"})
        assert parsed(heard.recv(65536)) == {
            "MESSAGE": b"a message",
            "PRIORITY": b"6",
            "SYSLOG_IDENTIFIER": b"xenfs",
            "XENFS_PATH": b"x",
            "XENFS_ODD": b"two\nlines\nPRIORITY=0\n",
        }
        journal.close()


def test_syslog(tmp_path: Path) -> None:
    with listener(tmp_path / "socket") as heard:
        syslog = Syslog(str(tmp_path / "socket"))
        syslog.send("a message", 5, {"XENFS_PATH": "x"})
        assert heard.recv(65536) == f"<85>xenfs[{os.getpid()}]: a message".encode()
        syslog.close()


def send_often(place: Sink) -> None:
    for _ in range(100_000):
        place.send("m" * 3800, 6, {})


def test_nobody_listens_or_nobody_reads(tmp_path: Path) -> None:
    """Neither a socket that is full nor one that is gone makes anybody wait."""
    journal = Journal(str(tmp_path / "socket"))
    with pytest.raises(FileNotFoundError):
        journal.send("m", 6, {})
    with pytest.raises(FileNotFoundError):
        journal.require_there()
    with listener(tmp_path / "socket") as heard:
        with pytest.raises(BlockingIOError):
            send_often(journal)
        heard.recv(65536)
        journal.send("m", 6, {})
    with pytest.raises(ConnectionRefusedError):
        journal.send("m", 6, {})
    os.unlink(tmp_path / "socket")
    with listener(tmp_path / "socket") as again:
        journal.send("back", 6, {})
        assert b"MESSAGE=back" in again.recv(65536)
    journal.close()


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "log"
    place = File(str(path))
    place.send("one", 6, {})
    place.send("two", 6, {})
    place.close()
    assert [line.split(" ", 1)[1] for line in path.read_text().splitlines()] == ["one", "two"]
    assert path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError, match="Too many levels"):
        File(str(tmp_path / "link"))


@pytest.mark.parametrize("how", ["pipe", "pipe that is read", "folder", "device"])
def test_a_record_goes_to_a_regular_file(tmp_path: Path, how: str) -> None:
    """A pipe's reader may stop reading, and everybody would wait for him."""
    path = tmp_path / "it"
    os.mkdir(path) if how == "folder" else os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if how == "pipe that is read" else None
    with pytest.raises(OSError, match=r"not a regular file|No such device|Is a directory"):
        File("/dev/full" if how == "device" else str(path))
    if reader is not None:
        os.close(reader)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")
@pytest.mark.parametrize("how", ["owner", "mode", "folder", "link", "open folder", "group"])
def test_a_record_is_nobody_elses(tmp_path: Path, how: str) -> None:
    """Who can write to the file, or choose which it is, can forge it; /var/log may be a group's all the same."""
    folder = tmp_path / "folder"
    folder.mkdir()
    log = folder / "log"
    if how in ("owner", "mode"):
        log.touch(mode=0o644)
        os.chown(log, 60123, 0) if how == "owner" else log.chmod(0o660)
    elif how == "folder":
        os.chown(folder, 60123, 0)
    elif how == "link":
        (tmp_path / "link").symlink_to("folder")
        os.chown(tmp_path / "link", 60123, 0, follow_symlinks=False)
        log = tmp_path / "link" / "log"
    else:
        folder.chmod(0o777 if how == "open folder" else 0o775)
    if how == "group":
        File(str(log)).close()
        return
    with pytest.raises(Untrusted, match="others can change it"):
        File(str(log))
    assert how in ("owner", "mode") or not (folder / "log").exists()


def test_a_full_disk_costs_records_and_is_said_afterwards(tmp_path: Path) -> None:
    kept = Kept()
    full = File(str(tmp_path / "log"))
    with open("/dev/full", "wb") as disk:
        os.dup2(disk.fileno(), full._fd)
    record = Record([full])
    record.add(Act("write", ROOT, "x"))
    record.flush()
    record._places = (kept,)
    record.flush()
    assert kept.records[-1][0].startswith("summary left_out=1 ")
    full.close()


def test_stderr_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, writes = os.pipe()
    with open(writes, "w") as ours:
        monkeypatch.setattr("sys.stderr", ours)
        with pytest.raises(BlockingIOError):
            send_often(Stderr())
        assert os.read(reads, 8) == b"xenfs: m"
    os.close(reads)


def names_of(option: str) -> list[str]:
    found = sinks.sinks(option)
    for place in found:
        place.close()
    return [place.name for place in found]


def test_places_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names_of("auto") == ["journal", "syslog", "stderr"]
    assert names_of("off") == []
    assert names_of(f"file:{tmp_path}/x") == ["file"]
    with listener(tmp_path / "socket"):
        monkeypatch.setattr(sinks.Syslog.__init__, "__defaults__", (str(tmp_path / "socket"),))
        assert names_of("syslog") == ["syslog"]
    monkeypatch.setattr(sinks.Journal.__init__, "__defaults__", (str(tmp_path / "none"),))
    with pytest.raises(FileNotFoundError):
        names_of("journal")


def test_the_next_place_where_one_fails() -> None:
    one, two = Kept(), Kept()
    record = Record([one, two])
    one.fails = 2
    record.add(Act("write", ROOT, "x"))
    one.fails = 0
    record.add(Act("write", ROOT, "y"))
    assert (len(one.records), len(two.records)) == (1, 1)
