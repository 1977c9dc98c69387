"""Watches of a real xenstored, set and heard by the thread of xenstore: whoever has them never waits for it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from xenfs.errors import XenfsError
from xenfs.xenstore.base import Event, Path, Watches
from xenfs.xenstore.series import Outcome
from xenfs.xenstore.waker import Waker
from xenfs.xenstore.wire import ErrorReply, Op, malformed, require_room, text

log = logging.getLogger(__name__)

_MOST_EVENTS = 2**17  # that nobody has fetched: four for each domain that there can be


class Wanted(NamedTuple):
    """One request for a watch, or for the value of a node that is watched."""

    op: Op
    path: bytes
    token: bytes

    @property
    def payload(self) -> bytes:
        """As the wire has it."""
        return self.path if self.op == Op.READ else self.path + self.token


class ClientWatches(Watches):
    """All watches of a client. When the connection is lost, or says what makes no sense, `events` raises from then on.

    `told` is called when there is something to send or nothing more to hear.
    """

    def __init__(self, told: Callable[[], object]) -> None:
        self._told = told
        self._waker = Waker()
        self._wanted: deque[Wanted] = deque()
        self._fired: deque[Event] = deque()
        self._problem: XenfsError | None = None
        self._closed = False

    @property
    def over(self) -> bool:
        """Whether nothing more will be heard."""
        return self._closed or self._problem is not None

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._waker.fileno()

    def add(self, path: Path, token: bytes) -> None:
        """Set a watch; one that xenstored refuses never fires."""
        self._want(Op.WATCH, path, token)

    def remove(self, path: Path, token: bytes) -> None:
        """Take a watch back."""
        self._want(Op.UNWATCH, path, token)

    def ask(self, path: Path, token: bytes) -> None:
        """Read a node; the answer comes among the events."""
        self._want(Op.READ, path, token)

    def events(self) -> list[Event]:
        """What has fired, each time again where it fired again before somebody asked."""
        self._waker.clear()
        if self._problem is not None:
            raise self._problem
        return [self._fired.popleft() for _ in range(len(self._fired))]

    def close(self) -> None:
        """The connection is given up, and with it xenstored's memory of the watches."""
        self._closed = True
        self._waker.close()
        self._told()

    def _want(self, op: Op, path: Path, token: bytes) -> None:
        wanted = Wanted(op, text(path), text(token))
        require_room(wanted.payload)
        self._wanted.append(wanted)
        self._told()

    # For the thread of xenstore

    def take(self) -> Wanted | None:
        """The next request to send."""
        return self._wanted.popleft() if self._wanted else None

    def answered(self, wanted: Wanted, outcome: Outcome) -> None:
        """What came of one."""
        if isinstance(outcome, ErrorReply):
            log.debug("%s", outcome)
        if wanted.op == Op.READ:
            value = None if isinstance(outcome, ErrorReply) else outcome
            self.fire([Event(wanted.path[:-1], wanted.token[:-1], True, value)])

    def fire(self, events: list[Event]) -> None:
        """Let who polls fetch these. A flood that nobody can mean breaks the connection."""
        if len(self._fired) + len(events) > _MOST_EVENTS:
            raise malformed(f"more than {_MOST_EVENTS} events")
        self._fired += events
        if events:
            self._waker.wake()

    def broken(self, problem: XenfsError) -> None:
        """The connection is gone, and its watches with it."""
        self._problem = problem
        self._waker.wake()
