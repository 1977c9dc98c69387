"""The record: who wrote what where, which hypercalls that made, and what came of it. For writes it is always kept.

Much at once is cut down, for each user and for refusals apart: noise hides nothing but the noise of the same user, and
nothing of root's is left out. What is left out is counted, and the counts are in the record.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

import trio

from xenfs.errors import errno_name
from xenfs.filesystem.callers import Caller
from xenfs.filesystem.sinks import Sink
from xenfs.hypervisor.ledger import Watch
from xenfs.nodes.tables.harmless import cut

log = logging.getLogger(__name__)

_BURST, _EACH_S = 200.0, 20.0  # records at once, and for each second
_MOST_BUCKETS = 512  # users times two who are busy at once; beyond, they share
_ROOT = 0  # never left out: nobody but root can make noise as root
_SUMMARY_S = 5.0
_LONGEST_VALUE = 256
LONG = 1 << 16
"""Of what is longer a digest takes milliseconds: it is made in a thread, or there is none."""
_MOST_ROWS = 16
# Bytes of what is shown: with quotes escaped and all that is around it, below the 4096 that a pipe takes at once.
_LONGEST_PATH, _LONGEST_TEXT, _LONGEST_CALLS, _LONGEST_COMMAND = 640, 512, 1024, 64
_NOTICE, _INFO = 5, 6
_WRITE_ID, _SUMMARY_ID = "6f1c2a0f1f7a4d0fa3b0b5c1c6c9d3e7", "0b4a6f0f5d3c4c2f8a4e9c7d1b2f6a85"


UNKNOWN = -1
"""Instead of an errno: nobody will know what came of it."""


@dataclass(eq=False)
class Act:
    """Something that was tried: write, mkdir, rmdir, or an open for writing that was refused; `code` is its errno, and
    `digest` is of what was written, once `seal` has made it."""

    what: str
    caller: Caller
    path: str
    data: bytes = b""
    code: int = 0
    took_ns: int = 0
    calls: Watch = field(default_factory=Watch)
    binary: bool = False
    private: bool = False
    digest: str = ""

    def seal(self) -> None:
        """Make the digest, where there is to be one."""
        if self.binary or not self.private:
            self.digest = hashlib.sha256(self.data).hexdigest()

    def value(self) -> dict[str, str]:
        """What was written: as text, cut where it is long; or length and digest; of a guest's inside the length."""
        size = {"bytes": str(len(self.data))}
        if self.private and not self.binary:
            return size
        if not self.digest and len(self.data) <= LONG:
            self.seal()
        digest = {**size, "sha256": self.digest} if self.digest else size
        if self.binary:
            return digest
        text = cut(bytes(self.data[: _LONGEST_VALUE + 1]).removesuffix(b"\n"), _LONGEST_TEXT)
        whole = len(self.data) <= _LONGEST_VALUE and not text.endswith("…")
        return {"value": text} if whole else {"value": text, **digest}

    def parts(self) -> dict[str, str]:
        """Everything, by name, none of it with a character that is not printable. Who and what came of it are first,
        and what somebody chose is cut: a line never is, so no part can push out another."""
        done = " ".join(_call(*each) for each in self.calls.first)
        more = self.calls.count - len(self.calls.first)
        return {
            "operation": self.what,
            "result": "unknown" if self.code == UNKNOWN else errno_name(self.code) if self.code else "0",
            "uid": str(self.caller.uid),
            "gid": str(self.caller.gid),
            "pid": str(self.caller.pid),
            "usec": str(self.took_ns // 1000),
            "command": cut(self.caller.command, _LONGEST_COMMAND),
            "path": cut(self.path, _LONGEST_PATH),
            **(self.value() if self.what == "write" else {}),
            "calls": cut(f"{done} and {more} more" if more else done, _LONGEST_CALLS),
        }


class Record:
    """Keeps the record in the first of `places` that takes it. Used from the event loop's thread alone."""

    def __init__(self, places: Sequence[Sink] = (), clock: Callable[[], float] = monotonic) -> None:
        self._places, self._clock = places, clock
        self._buckets: dict[tuple[int, bool], tuple[float, float]] = {}
        self._left: Counter[tuple[int, str, str]] = Counter()
        self._since = 0.0
        self._forgot = float("-inf")
        self._due = trio.Event()

    def __bool__(self) -> bool:
        return bool(self._places)

    def add(self, act: Act) -> None:
        """Record this, or count it where its user has had more than his share."""
        if not self._places:
            return
        parts = act.parts()
        admitted = self._admitted(act.caller.uid, bool(act.code))
        if not (admitted and self._sent(_line(parts), _NOTICE if act.code else _INFO, _fields(parts, _WRITE_ID))):
            self._leave_out(act.caller.uid, act.what, parts["result"])

    def flush(self) -> None:
        """Say what was left out since the last time, if anything was."""
        self._due = trio.Event()
        left, self._left = self._left, Counter()
        if not left:
            return
        rows = [f"uid={uid} {what} {result} {number}" for (uid, what, result), number in left.most_common(_MOST_ROWS)]
        others = left.total() - sum(number for _, number in left.most_common(_MOST_ROWS))
        parts = {
            "operation": "summary",
            "left_out": str(left.total()),
            "seconds": f"{self._clock() - self._since:.1f}",
            "of": "; ".join([*rows, f"others {others}"] if others else rows),
        }
        if not self._sent(_line(parts), _NOTICE, _fields(parts, _SUMMARY_ID)):
            self._left.update(left)
            self._due.set()

    async def tend(self) -> None:
        """Say from time to time what was left out; nothing runs while nothing is."""
        while True:
            await self._due.wait()
            await trio.sleep(_SUMMARY_S)
            self.flush()

    def close(self) -> None:
        """Say what is left to say, and give the places back."""
        self.flush()
        for place in self._places:
            place.close()
        self._places = ()

    def _admitted(self, uid: int, refused: bool) -> bool:
        if uid == _ROOT:
            return True
        key, now = (uid, refused), self._clock()
        if key not in self._buckets and len(self._buckets) >= _MOST_BUCKETS:
            self._forget_who_is_quiet(now)
            if len(self._buckets) >= _MOST_BUCKETS:
                key = (-1, refused)
        tokens, then = self._buckets.get(key, (_BURST, now))
        tokens = min(_BURST, tokens + (now - then) * _EACH_S)
        self._buckets[key] = (tokens - 1 if tokens >= 1 else tokens, now)
        return tokens >= 1

    def _forget_who_is_quiet(self, now: float) -> None:
        """Who has a whole burst to go again is as one who was never there. Looked for once a second at the most."""
        if now - self._forgot < 1:
            return
        self._forgot = now
        self._buckets = {
            key: (tokens, then)
            for key, (tokens, then) in self._buckets.items()
            if tokens + (now - then) * _EACH_S < _BURST
        }

    def _leave_out(self, uid: int, what: str, result: str) -> None:
        if not self._left:
            self._since = self._clock()
        key = (uid, what, result)
        self._left[key if key in self._left or len(self._left) < _MOST_BUCKETS else (-1, what, result)] += 1
        self._due.set()

    def _sent(self, line: str, priority: int, fields: dict[str, str]) -> bool:
        for place in self._places:
            try:
                place.send(line, priority, fields)
                return True
            except OSError as problem:
                log.debug("%s does not take a record: %s", place.name, problem)
        return False


def _call(name: str, domid: int | None, result: int) -> str:
    where = "" if domid is None else f"({domid})"
    return f"{name.replace(' ', ':')}{where}={errno_name(-result) if result < 0 else result}"


def _line(parts: dict[str, str]) -> str:
    plain = {"operation", "result", "usec", "uid", "gid", "pid", "bytes", "sha256", "left_out", "seconds"}
    words = [
        value if name == "operation" else f"{name}={value}" if name in plain else f"{name}={_again(value)}"
        for name, value in parts.items()
    ]
    return " ".join(words)


def _again(value: str) -> str:
    """Between quotes what is harmless already."""
    return '"' + value.replace('"', '\\"') + '"'


def _fields(parts: dict[str, str], ident: str) -> dict[str, str]:
    """The names that they have in the journal. From root, OBJECT_PID has it add what it knows of that process."""
    found = {"MESSAGE_ID": ident, **{f"XENFS_{name.upper()}": value for name, value in parts.items()}}
    return {**found, "OBJECT_PID": parts["pid"]} if parts.get("pid", "0") != "0" else found
