"""Watches of a real xenstored, on a connection of their own: no event comes between a request and its reply."""

from __future__ import annotations

import errno
import logging
import os
import select
import stat
import time
from collections import deque
from collections.abc import Sequence

from xenfs.errors import XenfsError
from xenfs.xenstore.base import Event, Path, Watches
from xenfs.xenstore.transport import open_transport
from xenfs.xenstore.wire import Decoder, ErrorReply, Message, Op, answer, malformed, pack, strings, text

log = logging.getLogger(__name__)

_DONE = b"OK\0"  # what xenstored answers where there is nothing to say
_MOST_READS = 64  # a flood of events leaves the thread time for something else


class WatchConnection(Watches):
    """Over the first of `paths` that opens, sockets before devices: a socket tells when its xenstored has gone.

    A xenstored that does not answer a first question within `timeout_s` is an XenfsError. That comes before any watch
    because the kernel sets one within write(2), for which it waits however long xenstored takes.
    """

    def __init__(self, paths: Sequence[str], *, timeout_s: float = 5.0) -> None:
        self._transport = open_transport(sorted(paths, key=_is_no_socket), timeout_s)
        self._decoder = Decoder()
        self._last_id = 0
        self._asked: dict[int, Message] = {}  # sent, and not answered yet
        self._tokens: dict[int, bytes] = {}  # of those that somebody wants the answer of
        self._outgoing: deque[Message] = deque()
        self._rest = b""  # of the message that is being sent
        self._fired: list[Event] = []
        try:
            self._see_that_it_lives(timeout_s)
        except BaseException:
            self._transport.close()
            raise

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._transport.fileno()

    def add(self, path: Path, token: bytes) -> None:
        """Set a watch; one that xenstored refuses never fires."""
        self._ask(Op.WATCH, text(path) + text(token))

    def remove(self, path: Path, token: bytes) -> None:
        """Take a watch back."""
        self._ask(Op.UNWATCH, text(path) + text(token))

    def ask(self, path: Path, token: bytes) -> None:
        """Read a node; the answer comes among the events."""
        self._ask(Op.READ, text(path), token)

    @property
    def sending(self) -> bool:
        """Whether the way to xenstored is full; that it has enough to do is no reason to wait for the way."""
        return bool(self._rest)

    def events(self) -> list[Event]:
        """What has fired; sends what waits to be sent."""
        for _ in range(_MOST_READS):
            try:
                data = self._transport.receive()
            except BlockingIOError:
                break
            if not data:
                raise XenfsError("xenstore: the connection is gone", errno.EPIPE)
            for message in self._decoder.feed(data):
                self._take(message)
        self._send()
        fired, self._fired = self._fired, []
        return fired

    def close(self) -> None:
        """Give the connection back."""
        self._transport.close()

    def _ask(self, op: Op, payload: bytes, token: bytes | None = None) -> None:
        self._last_id = self._last_id % 0xFFFF_FFFF + 1
        if token is not None:
            self._tokens[self._last_id] = token
        self._outgoing.append(Message(op, self._last_id, 0, payload))
        self._send()

    def _send(self) -> None:
        """What fits, a message a write, for the device takes no more than one; at most a window ahead of the replies.

        A xenstored that has thousands of replies and events to send to one client takes milliseconds for each.
        """
        while self._rest or (self._outgoing and len(self._asked) < self._transport.window):
            if not self._rest:
                request = self._outgoing.popleft()
                self._asked[request.req_id] = request
                self._rest = pack(request)
            try:
                self._rest = self._rest[self._transport.send(self._rest) :]
            except BlockingIOError:
                return

    def _take(self, message: Message) -> None:
        if message.op == Op.WATCH_EVENT:
            said = strings(message.payload)
            if len(said) < 2:
                raise malformed("an event without a token")
            self._fired.append(Event(said[0], said[1]))
            return
        request = self._asked.pop(message.req_id, None)
        if request is None:
            raise XenfsError("xenstored sent a reply that nobody asked for", errno.EIO)
        value: bytes | None = None
        try:
            value = answer(request, message)
        except ErrorReply as refused:
            log.debug("%s", refused)
        if value is not None and request.op != Op.READ and value != _DONE:
            raise malformed("an odd reply to a request for a watch")
        if message.req_id in self._tokens:
            self._fired.append(Event(request.payload.rstrip(b"\0"), self._tokens.pop(message.req_id), True, value))

    def _see_that_it_lives(self, timeout_s: float) -> None:
        """Whatever it answers, if only that there is no such node."""
        self._ask(Op.READ, text("/"))
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self._transport, select.POLLIN)
        while self._asked:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not poll.poll(left_s * 1000):
                raise XenfsError(f"xenstore did not answer within {timeout_s:g} s", errno.ETIMEDOUT)
            self.events()  # none yet: no watch is set


def _is_no_socket(path: str) -> bool:
    try:
        return not stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return True
