"""What `xenfs watch` looks at: growing files that give lines, and values that change. No read here ever waits."""

from __future__ import annotations

import errno
import json
import os
import select
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from xenfs.cli.lives import OVER, content_of, continues, home, life_of, named
from xenfs.cli.roll import Roll
from xenfs.errors import XenfsError

GONE = "gone"
_CHUNK = 1 << 16
_MOST_CHUNKS = 64  # whoever fills a file without end leaves us time for signals and the others
# What the kernel says of a file whose filesystem does not know poll(2), and of one that cannot be polled any more.
_USELESS = select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP

Fields = Callable[[str], dict[str, Any]]


class Followed:
    """Something that is watched, by the name that it was given. `over` when nothing more can come of it."""

    interval = False  # whether it has to be looked at by the clock

    def __init__(self, name: str, path: str, flags: int = os.O_RDONLY) -> None:
        self.name, self.over = name, False
        self._path, self._flags = path, flags
        self.fd = -1
        self._open()

    def _open(self) -> None:
        """Open, and close what was open before."""
        path, name = self._path, self.name
        try:
            if self.fd >= 0:
                with suppress(OSError):  # nobody is there to hear of it
                    os.close(self.fd)
                self.fd = -1
            self.fd = os.open(path, self._flags | os.O_CLOEXEC)
            # The kernel asks the daemon about the first close(2) of all in a mount, and waits for the answer, even in
            # a process that is being killed. Let it be now, and not when the daemon may have got stuck.
            os.close(os.dup(self.fd))
        except OSError as problem:
            raise named(name, problem) from None

    def new(self) -> Iterator[str]:
        """What is new since the last call."""
        raise NotImplementedError

    def again(self) -> None:
        """Open the same with another daemon; XenfsError as long as there is none."""
        self._open()

    def reason(self) -> str:
        """Of a domain's state: why it has shut down; empty of anything else."""
        return ""

    def as_json(self, text: str) -> dict[str, Any]:
        """One of them as fields."""
        raise NotImplementedError

    def rung(self, events: int) -> None:
        """epoll(7) has said this of the descriptor."""


class Lines(Followed):
    """A growing file, from its end on, or from the first line that it has."""

    def __init__(self, name: str, path: str, topic: str = "", *, whole: bool = False) -> None:
        super().__init__(name, path)
        self._fields, self._topic = _FIELDS.get(topic, _line), topic
        self._rest = b""
        if not whole:
            self._to_the_end()

    def _to_the_end(self) -> None:
        for _ in self._chunks():
            pass

    def again(self) -> None:
        """From the end on, but for what belongs to the daemon itself and is all new."""
        super().again()
        self._rest, self.interval = b"", False
        if self._topic != "calls":
            self._to_the_end()

    def new(self) -> Iterator[str]:
        """Complete lines."""
        for chunk in self._chunks():
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            yield from (line.decode("utf-8", "surrogateescape") for line in lines)

    def as_json(self, text: str) -> dict[str, Any]:
        """A line by the names of its words."""
        try:
            return self._fields(text)
        except (ValueError, IndexError):
            return _line(text)

    def rung(self, events: int) -> None:
        """Where epoll(7) says nothing, the clock has to do."""
        self.interval |= bool(events & _USELESS)

    def _chunks(self) -> Iterator[bytes]:
        for _ in range(_MOST_CHUNKS):
            try:
                chunk = os.read(self.fd, _CHUNK)
            except OSError as problem:
                raise named(self.name, problem) from None
            if not chunk:
                return
            yield chunk


class Events(Lines):
    """domains/events. When there is another daemon, what has happened meanwhile comes first, each line numbered 0."""

    def __init__(self, name: str, path: str, *, whole: bool = False) -> None:
        super().__init__(name, path, "domains", whole=whole)
        self._roll = Roll(self._stat())
        self._missed: list[str] = []
        self._is_another = False

    def new(self) -> Iterator[str]:
        """Complete lines, none that says again what was found by comparing."""
        missed, self._missed = self._missed, []
        yield from missed
        for line in super().new():
            if self._roll.heard(line) or not self._is_another:
                yield line

    def again(self) -> None:
        """Open first, then compare: nothing can happen unnoticed between the two."""
        super().again()
        self._missed += self._roll.compared(self._stat())
        self._is_another = True

    def _stat(self) -> str:
        return content_of(self.name, os.path.join(os.path.dirname(self._path), "stat"))


class Value(Followed):
    """A file whose content is a value: what it is at first, then each other one that it is seen to have.

    It is kept open, so that it goes on belonging to the same life of a domain, and ends with that.
    """

    interval = True

    def __init__(self, name: str, path: str, key: str = "value") -> None:
        real = os.path.realpath(path)  # what a link led to then
        super().__init__(name, real)
        self._key = key
        self._last: str | None = None
        self._gone = False
        self._home = home(real)
        self._life = self._home and life_of(name, *self._home)

    def again(self) -> None:
        """The same life of the same domain, or it is gone."""
        life = self._home and life_of(self.name, *self._home)
        if not continues(self._life, life):
            self._gone = True
            return
        self._life = life
        super().again()

    def reason(self) -> str:
        """Of a domain's state: why it has shut down, empty where it has not, or of any other value."""
        if self._home is None or self._last not in ("shutdown", "crashed"):
            return ""
        try:
            path = os.path.join(os.path.dirname(self._path), "shutdown_reason")
            return content_of(self.name, path).strip()
        except XenfsError:
            return ""

    def new(self) -> Iterator[str]:
        """The value, where it is another than before; "gone" once, when what it belongs to is gone."""
        if self.over:
            return
        try:
            if self._gone:
                raise OSError(errno.ESTALE, "another life")
            content = b""
            while chunk := os.pread(self.fd, _CHUNK, len(content)):
                content += chunk
            value = content.decode("utf-8", "surrogateescape").removesuffix("\n")
        except OSError as problem:
            if problem.errno not in OVER:
                raise named(self.name, problem) from None
            value, self.over = GONE, True
        if value != self._last:
            self._last = value
            yield value

    def as_json(self, text: str) -> dict[str, Any]:
        """The value by its name."""
        return {self._key: text}


class Awaited(Followed):
    """What is not there yet: nothing, until it is. `find` gives what is behind the path, or raises XenfsError."""

    interval = True

    def __init__(self, name: str, find: Callable[[], Followed]) -> None:
        super().__init__(name, os.path.dirname(os.path.abspath(name)), os.O_PATH)
        self._find = find
        self._found: Followed | None = None

    def new(self) -> Iterator[str]:
        """What the other has to say, as soon as it is there."""
        if self._found is None:
            try:
                self._found = self._find()
            except XenfsError as problem:
                if problem.errno not in OVER:
                    raise
                return
        yield from self._found.new()
        self.over = self._found.over

    def reason(self) -> str:
        """As the other has it."""
        return "" if self._found is None else self._found.reason()

    def again(self) -> None:
        """Whoever was found is followed on; who was not is still waited for."""
        if self._found is None:
            super().again()
        else:
            self._found.again()

    def as_json(self, text: str) -> dict[str, Any]:
        """As the other has it."""
        return _line(text) if self._found is None else self._found.as_json(text)


def encoded(followed: Followed, text: str) -> str:
    """One line of JSON."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = {"time": now, "path": followed.name, **followed.as_json(text)}
    return json.dumps(fields).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _line(text: str) -> dict[str, Any]:
    return {"line": text}


def _event(text: str) -> dict[str, Any]:
    seq, kind, domid, uuid, reason, *name = text.split(" ", 5)
    more = {"reason": None if reason == "-" else reason, "name": name[0] if name else None}
    return {"seq": int(seq), "event": kind, "domid": int(domid), "uuid": uuid, **more}


def _call(text: str) -> dict[str, Any]:
    number, began, operation, *pairs = text.split(" ")
    more: dict[str, Any] = dict(pair.split("=", 1) for pair in pairs)
    for key in ("domain", "ns"):
        more[key] = int(more[key]) if more[key] != "-" else None
    return {"number": int(number), "began": float(began), "operation": operation, **more}


_FIELDS: dict[str, Fields] = {"domains": _event, "calls": _call}
