"""Reading xenstore: a client that reconnects, and that a dead xenstored never holds up for long."""

from __future__ import annotations

import errno
import os
import select
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from xenfs.errors import XenfsError
from xenfs.xenstore.base import Path, Watches, Xenstore
from xenfs.xenstore.transport import Transport, candidates, open_transport
from xenfs.xenstore.watches import WatchConnection
from xenfs.xenstore.wire import (
    Decoder,
    ErrorReply,
    Message,
    Op,
    Parts,
    answer,
    malformed,
    pack,
    strings,
    text,
)

Outcome = bytes | ErrorReply

_EACH_S = 0.001

MOST_RESTARTS = 16
"""How often a directory may change under a partial reading before the reader gives up with EAGAIN."""


class XenstoreClient(Xenstore):
    """Xenstore over the first of `paths` that opens. Thread-safe: one exchange at a time.

    A call returns within `timeout_s`, and a millisecond more for each of many paths, or raises XenfsError(ETIMEDOUT):
    waiting for others' exchanges, connecting and trying once more are all within it. After that calls fail at once for
    `rest_s`: a row of readers does not wait one after the other for a xenstored that is gone.
    """

    def __init__(self, paths: Sequence[str] | None = None, *, timeout_s: float = 5.0, rest_s: float = 2.0) -> None:
        self._paths = list(candidates() if paths is None else paths)
        self._timeout_s, self._rest_s = timeout_s, rest_s
        self._lock = threading.Lock()
        self._transport: Transport | None = None
        self._decoder = Decoder()
        self._last_id = 0
        self._rest_until = 0.0
        self._closed = False

    def read(self, path: Path) -> bytes | None:
        """The value at `path`; None where there is no such node."""
        return self.read_many([path])[0]

    def read_many(self, paths: Sequence[Path]) -> list[bytes | None]:
        """The value at each of `paths`, None where there is no such node; many requests under way at once."""
        outcomes = self._ask([(Op.READ, text(path)) for path in paths])
        return [None if isinstance(one, ErrorReply) else one for one in map(_absent_or_raise, outcomes)]

    def directory(self, path: Path) -> list[bytes] | None:
        """The names below `path`, in xenstored's order; None where there is no such node."""
        outcome = self._ask([(Op.DIRECTORY, text(path))])[0]
        if isinstance(outcome, ErrorReply) and outcome.errno == errno.E2BIG:
            return self._long_directory(path)
        names = _absent_or_raise(outcome)
        return None if isinstance(names, ErrorReply) else strings(names)

    def watches(self) -> Watches:
        """A new connection for watches; XenfsError when xenstored does not answer in time."""
        return WatchConnection(self._paths, timeout_s=self._timeout_s)

    def close(self) -> None:
        """Give the connection back; later calls raise ESHUTDOWN. Whoever is in an exchange closes it when that ends."""
        self._closed = True
        if self._lock.acquire(blocking=False):
            try:
                self._disconnect()
            finally:
                self._lock.release()

    def _long_directory(self, path: Path) -> list[bytes] | None:
        parts = Parts()
        while parts.restarts <= MOST_RESTARTS:
            request = (Op.DIRECTORY_PART, text(path) + text(str(parts.offset)))
            part = _absent_or_raise(self._ask([request])[0])
            if isinstance(part, ErrorReply):
                return None
            if parts.add(part):
                return strings(bytes(parts.children))
        raise XenfsError(f"xenstore: {path!r} changes too quickly to be listed", errno.EAGAIN)

    def _ask(self, asked: Sequence[tuple[Op, bytes]]) -> list[Outcome]:
        """The outcome of each request, after one more attempt where the connection turns out to be gone."""
        deadline = time.monotonic() + self._timeout_s + _EACH_S * len(asked)
        self._require_usable()
        if not self._lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise self._late()
        try:
            requests = [Message(op, self._new_id(), 0, payload) for op, payload in asked]
            packed = [pack(request) for request in requests]
            self._require_usable()
            try:
                return self._attempt(requests, packed, deadline)
            except (BrokenPipeError, ConnectionResetError):  # reading twice is harmless
                return self._last_attempt(requests, packed, deadline)
        finally:
            if self._closed:
                self._disconnect()
            self._lock.release()

    def _late(self) -> XenfsError:
        return XenfsError(f"xenstore did not answer within {self._timeout_s:g} s", errno.ETIMEDOUT)

    def _attempt(self, requests: Sequence[Message], packed: Sequence[bytes], deadline: float) -> list[Outcome]:
        """One exchange. A failure costs the connection, in which replies may be left."""
        try:
            return list(self._exchange(requests, packed, self._connected(deadline), deadline))
        except BaseException as exc:
            self._disconnect()
            if isinstance(exc, XenfsError) and exc.errno in (errno.ETIMEDOUT, errno.ECONNREFUSED):
                self._rest_until = time.monotonic() + self._rest_s
            if isinstance(exc, OSError) and not isinstance(exc, (BrokenPipeError, ConnectionResetError)):
                raise _named(exc) from exc
            raise

    def _last_attempt(self, requests: Sequence[Message], packed: Sequence[bytes], deadline: float) -> list[Outcome]:
        try:
            return self._attempt(requests, packed, deadline)
        except OSError as exc:
            raise _named(exc) from exc

    def _require_usable(self) -> None:
        if self._closed:
            raise XenfsError("the xenstore connection was closed", errno.ESHUTDOWN)
        if time.monotonic() < self._rest_until:
            raise XenfsError("xenstore did not answer a moment ago", errno.ETIMEDOUT)

    def _connected(self, deadline: float) -> Transport:
        if self._transport is None:
            self._transport = open_transport(self._paths, max(0.01, deadline - time.monotonic()))
            self._decoder = Decoder()
        return self._transport

    def _disconnect(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _new_id(self) -> int:
        self._last_id = self._last_id % 0xFFFF_FFFF + 1
        return self._last_id

    def _exchange(
        self, requests: Sequence[Message], packed: Sequence[bytes], transport: Transport, deadline: float
    ) -> Iterator[Outcome]:
        """Send `requests`, at most a window of them ahead of their replies, which come in the same order."""
        outgoing, sent, answered = bytearray(), 0, 0
        while answered < len(requests):
            while sent < min(len(requests), answered + transport.window):
                outgoing += packed[sent]
                sent += 1
            self._wait(transport, outgoing, deadline)
            for reply in self._arrived(transport):
                if answered == sent:
                    raise malformed("a reply that nobody asked for")
                yield _outcome(requests[answered], reply)
                answered += 1

    def _wait(self, transport: Transport, outgoing: bytearray, deadline: float) -> None:
        """Send what fits, then wait for something to come. Sending is first: xenbus never polls writable."""
        if outgoing:
            with suppress(BlockingIOError):
                del outgoing[: transport.send(outgoing)]
        left_s = deadline - time.monotonic()  # events alone do not put the deadline off
        poll = select.poll()
        poll.register(transport, select.POLLIN | (select.POLLOUT if outgoing else 0))
        if left_s <= 0 or not poll.poll(left_s * 1000):
            raise self._late()

    def _arrived(self, transport: Transport) -> Iterator[Message]:
        """The replies that are there now. Events are not for this connection, which sets no watch."""
        try:
            data = transport.receive()
        except BlockingIOError:
            return
        if not data:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        yield from (message for message in self._decoder.feed(data) if message.op != Op.WATCH_EVENT)


def _named(exc: OSError) -> XenfsError:
    return XenfsError(f"xenstore: {exc.strerror or exc}", exc.errno or errno.EIO)


def _outcome(request: Message, reply: Message) -> Outcome:
    """An answer or a refusal, as a value: one refused path must not leave the others' replies unread."""
    try:
        return answer(request, reply)
    except ErrorReply as refused:
        return refused


def _absent_or_raise(outcome: Outcome) -> Outcome:
    if isinstance(outcome, ErrorReply) and outcome.errno != errno.ENOENT:
        raise outcome
    return outcome
