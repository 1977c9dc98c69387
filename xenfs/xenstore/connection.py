"""One connection to a xenstored: requests under way, replies to them, events. What breaks the protocol raises."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from xenfs.xenstore.base import Event
from xenfs.xenstore.series import Outcome
from xenfs.xenstore.transport import Transport
from xenfs.xenstore.wire import Decoder, ErrorReply, Message, Op, answer, malformed, pack, strings

_MOST_READS = 64  # a flood of events leaves the thread time for something else


class Connection:
    """For one thread. XenfsError or OSError of any method: the other side is gone, or what it says makes no sense.

    Then the connection is to be closed, for replies may be left in it.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.lives = False  # whether anything was ever answered
        self._decoder = Decoder()
        self._last_id = 0
        self._under_way: dict[int, tuple[Message, Callable[[Outcome], object]]] = {}
        self._rest = b""  # of the message that is being sent
        self._moved_at = monotonic()  # when a reply came, or the first request after all were answered was sent
        self._tokens: set[bytes] = set()  # of all watches that were ever set here

    @property
    def sending(self) -> bool:
        """Whether a message is on its way, and the way is full."""
        return bool(self._rest)

    @property
    def has_room(self) -> bool:
        """Whether one more request may be sent: at most a window of them is ahead of the replies.

        A xenstored that has thousands of replies and events to send to one client takes milliseconds for each.
        """
        return not self._rest and len(self._under_way) < self.transport.window

    def silent_at(self, timeout_s: float) -> float | None:
        """When it is silent for too long, if nothing comes until then; None where nothing is waited for."""
        return self._moved_at + timeout_s if self._under_way else None

    def ask(self, op: Op, payload: bytes, then: Callable[[Outcome], object]) -> None:
        """Send one request; `then` is told what came of it."""
        self._last_id = self._last_id % 0xFFFF_FFFF + 1
        request = Message(op, self._last_id, 0, payload)
        self._rest = pack(request)
        if op == Op.WATCH:
            self._tokens.add(strings(payload)[1])
        if not self._under_way:
            self._moved_at = monotonic()
        self._under_way[request.req_id] = request, then
        self.flush()

    def flush(self) -> None:
        """Send what fits of the message; the device takes no more than one in a write."""
        with suppress(BlockingIOError):
            while self._rest:
                self._rest = self._rest[self.transport.send(self._rest) :]

    def receive(self) -> list[Event]:
        """Take what is there: replies go to who asked, events are returned."""
        fired: list[Event] = []
        for _ in range(_MOST_READS):
            try:
                data = self.transport.receive()
            except BlockingIOError:
                break
            if not data:
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
            for message in self._decoder.feed(data):
                if message.op == Op.WATCH_EVENT:
                    fired.append(self._event(message))
                else:
                    self._reply(message)
        return fired

    def close(self) -> None:
        """Give the descriptor back."""
        self.transport.close()

    def _event(self, message: Message) -> Event:
        said = strings(message.payload)
        if len(said) != 2:
            raise malformed(f"an event of {len(said)} strings")
        if said[1] not in self._tokens:
            raise malformed(f"an event with the token {said[1][:40]!r}, which nobody set")
        return Event(said[0], said[1])

    def _reply(self, message: Message) -> None:
        request, then = self._under_way.pop(message.req_id, (None, None))
        if request is None or then is None:
            raise malformed(f"a reply to request {message.req_id}, which nobody asked")
        outcome: Outcome
        try:
            outcome = answer(request, message)
        except ErrorReply as refused:  # as a value: one refused path must not leave the others' replies unread
            outcome = refused
        except BaseException:
            self._under_way[message.req_id] = request, then  # whoever asked has no answer
            raise
        self.lives, self._moved_at = True, monotonic()
        then(outcome)
