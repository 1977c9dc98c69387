"""A client of xenstore: reads, writes, watches, reconnects, and is never held up for long by a dead xenstored."""

from __future__ import annotations

import errno
import time
from collections.abc import Sequence

from xenfs.errors import XenfsError
from xenfs.xenstore.base import Entry, Path, Watches, Xenstore
from xenfs.xenstore.series import Outcome, Series
from xenfs.xenstore.talk import Talk, resting
from xenfs.xenstore.transport import candidates
from xenfs.xenstore.wire import ErrorReply, Op, Parts, strings, text

_EACH_S = 0.001

MOST_RESTARTS = 16
"""How often a directory may change under a partial reading before the reader gives up with EAGAIN."""


class XenstoreClient(Xenstore):
    """Xenstore over the first of `paths` that opens, in a thread of its own; any thread may ask.

    A call returns within `timeout_s`, and a millisecond more for each of many paths, or raises XenfsError(ETIMEDOUT):
    connecting, trying once more and all parts of a long directory are within it. While others ask as well, each has
    a turn. When xenstored was silent for as long, calls fail at once for `rest_s`: a row of readers does not wait
    one after the other for a xenstored that is gone.
    """

    def __init__(self, paths: Sequence[str] | None = None, *, timeout_s: float = 5.0, rest_s: float = 2.0) -> None:
        self._timeout_s = timeout_s
        self._talk = Talk(candidates() if paths is None else paths, timeout_s, rest_s)
        self._closed = False

    def read(self, path: Path) -> bytes | None:
        """The value at `path`; None where there is no such node."""
        value = _absent_or_raise(self._read([path])[0])
        return None if isinstance(value, ErrorReply) else value

    def read_many(self, paths: Sequence[Path]) -> list[bytes | None]:
        """The value at each of `paths`; None where there is none, or none that may be read: it hides no other.

        Many requests are under way at once.
        """
        outcomes = (_absent_or_raise(one, errno.EACCES) for one in self._read(paths))
        return [None if isinstance(one, ErrorReply) else one for one in outcomes]

    def _read(self, paths: Sequence[Path]) -> list[Outcome]:
        deadline = time.monotonic() + self._timeout_s + _EACH_S * len(paths)
        return self._ask([(Op.READ, text(path)) for path in paths], deadline)

    def directory(self, path: Path) -> list[bytes] | None:
        """The names below `path`, in xenstored's order; None where there is no such node."""
        deadline = time.monotonic() + self._timeout_s
        outcome = self._ask([(Op.DIRECTORY, text(path))], deadline)[0]
        if isinstance(outcome, ErrorReply) and outcome.errno == errno.E2BIG:
            return self._long_directory(path, deadline)
        names = _absent_or_raise(outcome)
        return None if isinstance(names, ErrorReply) else strings(names)

    def write(self, path: Path, value: bytes) -> None:
        """Set the value at `path`, once: after an error other than a refusal nobody knows whether it was."""
        self._do([(Op.WRITE, text(path) + value)])

    def make(self, entries: Sequence[Entry]) -> None:
        """Write nodes, in this order, once: after an error some of them may be there."""
        asked = []
        for path, value, rights in entries:
            asked.append((Op.WRITE, text(path) + value))
            if rights:
                asked.append((Op.SET_PERMS, b"".join(map(text, (path, *rights)))))
        self._do(asked)

    def remove(self, path: Path) -> None:
        """Take a node away with all below it; nothing happens where there is none."""
        self._do([(Op.RM, text(path))], errno.ENOENT)

    def introduce(self, domid: int, frame: int, port: int) -> None:
        """Have a domain served. EINVAL where its ring cannot be mapped or its event channel cannot be bound."""
        self._do([(Op.INTRODUCE, b"".join(text(str(number)) for number in (domid, frame, port)))])

    def resume(self, domid: int) -> None:
        """Its next end is told of again. Of a domain that it does not serve, xenstored says ENOENT or EINVAL."""
        self._do([(Op.RESUME, text(str(domid)))], errno.ENOENT, errno.EINVAL)

    def _do(self, asked: Sequence[tuple[Op, bytes]], *forgiven: int) -> None:
        """Have requests done once, whose answer is only that they are."""
        deadline = time.monotonic() + self._timeout_s + _EACH_S * len(asked)
        for outcome in self._ask(asked, deadline, once=True):
            if isinstance(outcome, ErrorReply) and outcome.errno not in forgiven:
                raise outcome

    def watches(self) -> Watches:
        """New watches. What there is to wait for is waited for by the thread of xenstore."""
        return self._talk.watches()

    def settle(self) -> None:
        """End that thread until the next question."""
        self._talk.settle()

    def close(self) -> None:
        """Give the connection back; later calls raise ESHUTDOWN."""
        self._closed = True
        self._talk.close()

    def _long_directory(self, path: Path, deadline: float) -> list[bytes] | None:
        parts = Parts()
        while parts.restarts <= MOST_RESTARTS:
            request = (Op.DIRECTORY_PART, text(path) + text(str(parts.offset)))
            part = _absent_or_raise(self._ask([request], deadline)[0])
            if isinstance(part, ErrorReply):
                return None
            if parts.add(part):
                return strings(bytes(parts.children))
        raise XenfsError(f"xenstore: {path!r} changes too quickly to be listed", errno.EAGAIN)

    def _ask(self, asked: Sequence[tuple[Op, bytes]], deadline: float, once: bool = False) -> list[Outcome]:
        """The outcome of each request, after one more attempt where the connection turns out to be gone."""
        if self._closed:
            raise XenfsError("the xenstore connection was closed", errno.ESHUTDOWN)
        if time.monotonic() < self._talk.rest_until:
            raise resting()
        series = Series(asked, deadline, once)
        self._talk.post(series)
        try:
            return series.wait()
        except XenfsError as problem:
            if problem.errno == errno.ETIMEDOUT:
                self._talk.missed(series)
            raise


def _absent_or_raise(outcome: Outcome, *more: int) -> Outcome:
    if isinstance(outcome, ErrorReply) and outcome.errno not in (errno.ENOENT, *more):
        raise outcome
    return outcome
