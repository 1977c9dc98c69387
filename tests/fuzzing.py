"""What is fuzzed: functions that take bytes and raise nothing but what a caller may be told. Used by the tests, which
draw bytes by rule and run the cases that were found, and by scripts/fuzz, which is guided by coverage."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyfuse3
from worlds import Host

from xenfs import abi
from xenfs.cli.roll import Roll
from xenfs.errors import BadInput, StartError, XenfsError
from xenfs.filesystem.gathering import Gathering
from xenfs.filesystem.mountinfo import mounts
from xenfs.filesystem.operations import Operations
from xenfs.filesystem.record import Record
from xenfs.filesystem.sinks import Sink
from xenfs.hypervisor.qemu import qmp
from xenfs.nodes import tree
from xenfs.nodes.policy import reading
from xenfs.nodes.raw.form import Form, form
from xenfs.nodes.raw.leaves import Kind
from xenfs.nodes.raw.operations import by_path
from xenfs.nodes.raw.question import Question
from xenfs.nodes.tables.base import Exchange, File
from xenfs.nodes.tables.cost import Cost
from xenfs.options import parse
from xenfs.simulator import settings
from xenfs.xenstore.wire import Decoder, Message, Op, Parts, answer, strings

Target = Callable[[bytes], None]

SETTINGS = ("profile=full,cpus=4", "xen=4.14,cpus=4", "xen=4.22,profile=full,cpus=4", "xen=4.22,arch=arm64,cpus=4")
# What a write may say. EIO is not among them: that is for what has gone wrong in xenfs itself.
TOLD = frozenset({
    errno.EINVAL, errno.ERANGE, errno.E2BIG, errno.EBUSY, errno.ESTALE, errno.ENOENT, errno.ESRCH, errno.EPERM,
    errno.EACCES, errno.EOPNOTSUPP, errno.ENODEV, errno.ENODATA, errno.EEXIST, errno.ENOSPC, errno.ENOMEM, errno.EBADF,
    errno.EADDRNOTAVAIL, errno.ENXIO, errno.EDOM, errno.EOVERFLOW, errno.ENOTSUP, errno.EFBIG,
})  # fmt: skip
# What Xen says besides of questions that nothing was wrong with: not yet, and no room for the whole answer. EFAULT is
# not among them: a buffer that is null or too short is known before.
ANSWERED = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.EFBIG})
LONGEST_ROUND = 3000  # writes to one host: what it was made to be by those before shall not hide too much


class _Bug(logging.Handler):
    """A log record of ERROR is a finding, though the caller got an errno."""

    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage()) from (record.exc_info[1] if record.exc_info else None)


class _Lines(Sink):
    name = "lines"

    def send(self, message: str, priority: int, fields: Any) -> None:
        assert message.isprintable(), "a line of the record was forged"
        assert all(value.isprintable() for value in fields.values())


class Writer:
    """Every file that is written, behind Operations, called as the kernel would call it, without an event loop."""

    def __init__(self, host_settings: str = SETTINGS[0]) -> None:
        self._settings, self._host, self._round = host_settings, None, 0
        self._bug = _Bug(logging.ERROR)
        self.paths: list[str] = []
        self._again()

    def _again(self) -> None:
        self.close()
        self._host = Host(self._settings)
        host, self._round = self._host, 0
        self.paths = sorted(
            place.path for place in host.files() if isinstance(place.node, File) and place.node.mode & 0o222
        )
        self.ops = Operations(host.xen, host.root, host.options, host.refusals, record=Record([_Lines()]))
        self.ops.lanes.run = _inline  # type: ignore[method-assign, assignment]

    def close(self) -> None:
        """Give the host back."""
        if self._host is not None:
            self._host.xen.close()

    def write(self, number: int, data: bytes, offset: int = 0, reads: int = 1) -> int:
        """Open a file, write, read what there is then; the errno, 0 for none."""
        return self.put(self.paths[number % len(self.paths)], data, offset, reads)

    def ask(self, path: str, data: bytes) -> int:
        """A question to a file of raw/ in words that it knows; the errno."""
        assert self._host is not None
        if f"raw/{path}" not in self.paths:
            return 0
        return self.put(f"raw/{path}", sentence(form(self._host.xen.abi, by_path()[path]), data).encode())

    def put(self, path: str, data: bytes, offset: int = 0, reads: int = 1) -> int:
        """The same of the file with this path."""
        logging.getLogger("xenfs").addHandler(self._bug)
        try:
            return self._put(path, data, offset, reads)
        finally:  # there are other tests, and what they log on purpose is no finding
            logging.getLogger("xenfs").removeHandler(self._bug)

    def _put(self, path: str, data: bytes, offset: int, reads: int) -> int:
        self._round += 1
        if self._round > LONGEST_ROUND:
            self._again()
        assert self._host is not None
        code = 0
        ctx: Any = SimpleNamespace(uid=0, gid=0, pid=0, umask=0)
        try:
            inode = pyfuse3.ROOT_INODE
            for name in path.split("/"):
                inode = _run(self.ops.lookup(inode, os.fsencode(name), ctx)).st_ino
            file = isinstance(self.ops.inodes[inode].node, Exchange)
            fh = _run(self.ops.open(inode, os.O_RDWR if file else os.O_WRONLY, ctx)).fh
            try:
                assert _run(self.ops.write(fh, offset, data)) == len(data)
                if isinstance(self.ops.handles[fh], Gathering):
                    _run(self.ops.flush(fh))
            finally:
                for _ in range(reads if file else 0):
                    _run(self.ops.read(fh, offset, 4096))
                _run(self.ops.release(fh))
        except pyfuse3.FUSEError as problem:
            code = int(problem.errno)
            told = TOLD | ANSWERED if path.startswith("raw/") else TOLD
            assert code in told, (path, data, errno.errorcode.get(code))
        text = self._host.refusals.text()
        assert all(line.isprintable() for line in text.splitlines()), "a line of error_log was forged"
        assert self._host.xen.pool.stat()["in_use"] == 0
        assert not self.ops.handles
        assert len(self.ops.shares) == 0
        return code


async def _inline(uid: int, kind: object, cost: Cost, work: Callable[..., Any], *args: Any, **_: Any) -> Any:
    return work(*args)


def _run(call: Coroutine[Any, Any, Any]) -> Any:
    try:
        call.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


_KNOWN = [row.path for row in tree.reference()]
_writers: dict[str, Writer] = {}


def write(data: bytes) -> None:
    """Two bytes for the host and the file, the rest for the write."""
    if len(data) < 3:
        return
    _writer(data[0]).write(data[1] | (data[2] & 0x0F) << 8, data[3:])


def _writer(number: int) -> Writer:
    chosen = SETTINGS[number % len(SETTINGS)]
    if chosen not in _writers:
        _writers[chosen] = Writer(chosen)
    return _writers[chosen]


def words(data: bytes) -> None:
    """What is given on a command line."""
    text = data.decode("utf-8", "surrogateescape")
    for read in (parse, settings.parse):
        with contextlib.suppress(StartError):
            read(text)  # type: ignore[operator]


def xenstored(data: bytes) -> None:
    """What a xenstored sends."""
    decoder, parts = Decoder(), Parts()
    try:
        for message in decoder.feed(data[: len(data) // 2]) + decoder.feed(data[len(data) // 2 :]):
            strings(message.payload)
            parts.add(message.payload)
            answer(Message(Op.READ, message.req_id, message.tx_id, b"/x"), message)
    except XenfsError:
        pass


def qemu(data: bytes) -> None:
    """What a QEMU says to who asks for its disks: all of it, then as the rows of an answer that is well formed."""
    for said in (data, b'{"id": "xenfs", "return": [' + data + b"]}\n"):
        heard = qmp.Answer()
        with contextlib.suppress(OSError):
            for piece in (said[: len(said) // 2], said[len(said) // 2 :]):
                for number, disk in (heard.hear(piece) or {}).items():
                    assert 0 <= number < 1 << 29, number
                    assert all(0 <= count < 1 << 80 for count in disk), disk


def policies(data: bytes) -> None:
    """A policy file."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(StartError):
            reading.load(file.name, _KNOWN)


def tables(data: bytes) -> None:
    """The kernel's list of mounts, and domains/stat of a daemon that may be another version."""
    text = data.decode("utf-8", "surrogateescape")
    with tempfile.NamedTemporaryFile() as file:
        line = (
            b"1 2 0:3 / /" + data.replace(b" ", b"\\040").replace(b"\n", b"\\012") + b" rw - " + data[:9] + b" x rw\n"
        )
        file.write(line.replace(b"\0", b""))
        file.flush()
        mounts(file.name)
    roll = Roll("")
    roll.heard(text)


_ABI = abi.load((4, 20))
_ASKED = sorted(path for path, op in by_path().items() if op.exists(_ABI.target))


def questions(data: bytes) -> None:
    """A question to raw/: two bytes for the operation, the rest for the text."""
    path = _ASKED[int.from_bytes(data[:2], "little") % len(_ASKED)]
    text = data[2:].decode("utf-8", "replace")
    try:
        Question(form(_ABI, by_path()[path]), text)
    except BadInput as problem:
        at = problem.at
        assert at is not None and 0 <= at <= len(text), (path, text, problem)  # noqa: PT017, PT018


_NUMBERS = (0, 1, 2, 3, 7, 8, 64, 0xFF, 0x7FF0, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 63, (1 << 64) - 1)
_BUFFERS = ("null", "out:1", "out:8", "out:64", "out:4096", "in:00", "inout:0100000000000000", 'text:"/\\0"')


def sentence(found: Form, data: bytes) -> str:
    """A question with members that there are: which, and with what, these bytes say."""
    words = []
    for leaf, byte in zip((leaf for leaf in found.leaves.values() if not leaf.padding), data, strict=False):
        if byte % 4 == 0 or leaf.name in (found.op.given or {}):
            continue
        low, high = leaf.bounds
        number = min(max(low, _NUMBERS[byte % len(_NUMBERS)]), high)
        said = {Kind.HANDLE: _BUFFERS[byte % len(_BUFFERS)], Kind.BYTES: "00" * min(byte, leaf.length) or "00"}
        words.append(f"{leaf.name}={said.get(leaf.kind, '00' if leaf.kind is Kind.TAIL else number)}")
    return " ".join(words)


def answers(data: bytes) -> None:
    """A question to raw/ that is well formed: a byte for the host, two for the operation, the rest for its members."""
    if len(data) >= 3:
        _writer(data[0]).ask(_ASKED[int.from_bytes(data[1:3], "little") % len(_ASKED)], data[3:])


TARGETS: dict[str, Target] = {
    "write": write, "words": words, "xenstored": xenstored, "policies": policies, "tables": tables,
    "questions": questions, "answers": answers, "qemu": qemu,
}  # fmt: skip


CASES = Path(__file__).parent / "filesystem" / "fuzz_cases.jsonl"


def cases() -> list[tuple[str, bytes]]:
    """(target, input) of what was found once."""
    return [(row["target"], bytes.fromhex(row["input"])) for row in map(json.loads, CASES.read_text().splitlines())]
