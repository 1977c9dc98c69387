"""Where records go: systemd's journal, syslog, a file, or stderr. None of them ever waits for a reader.

The journal's own protocol is a datagram of `NAME=value` lines, a dozen lines of code here; the library for it would be
one more package that has to be compiled on each dom0.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from xenfs.nodes.policy.trusted import open_log

JOURNAL, SYSLOG = "/run/systemd/journal/socket", "/dev/log"
_AUTHPRIV = 10 << 3  # of syslog's facilities the one for what not everybody shall read

Fields = Mapping[str, str]


class Sink(ABC):
    """A place for records. `send` raises OSError where this one did not arrive."""

    name: str

    @abstractmethod
    def send(self, message: str, priority: int, fields: Fields) -> None:
        """Hand over one record: the line for a person, syslog's number for how much it matters, and its parts."""

    def require_there(self) -> None:  # noqa: B027 - some are always there
        """OSError where there is no such place now."""

    def close(self) -> None:  # noqa: B027 - some hold nothing
        """Give back what is held."""


class _Datagrams(Sink):
    """A socket of this machine. Nothing is connected: who listens there may come, go and come back."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

    def _hand(self, datagram: bytes) -> None:
        self._socket.sendto(datagram, self._path)

    def require_there(self) -> None:
        """Whether the socket is there."""
        os.stat(self._path)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Journal(_Datagrams):
    """systemd's journal, each part of a record a field of its own."""

    name = "journal"

    def __init__(self, path: str = JOURNAL) -> None:
        super().__init__(path)

    def send(self, message: str, priority: int, fields: Fields) -> None:
        """One datagram."""
        everything = {"MESSAGE": message, "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": "xenfs", **fields}
        self._hand(b"".join(_field(name, value.encode("utf-8", "replace")) for name, value in everything.items()))


class Syslog(_Datagrams):
    """syslog, under authpriv: the line alone."""

    name = "syslog"

    def __init__(self, path: str = SYSLOG) -> None:
        super().__init__(path)

    def send(self, message: str, priority: int, fields: Fields) -> None:
        """One datagram; the receiver adds the time."""
        self._hand(f"<{_AUTHPRIV | priority}>xenfs[{os.getpid()}]: {message}".encode("utf-8", "replace"))


class File(Sink):
    """A file that lines are appended to, made for root alone where it is not there. No pipe: its reader may stop."""

    name = "file"

    def __init__(self, path: str) -> None:
        self._fd = open_log(path)
        self._torn = False  # the last line is not whole: the disk was full

    def send(self, message: str, priority: int, fields: Fields) -> None:
        """One line, with the time."""
        line = f"{_now()} {message}\n".encode("utf-8", "replace")
        whole = (b"\n" if self._torn else b"") + line
        written = os.write(self._fd, whole)
        self._torn = 0 < written < len(whole) or (self._torn and not written)
        if written < len(whole):
            raise OSError(errno.ENOSPC, "only a part was written")

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Stderr(Sink):
    """Where the daemon's own messages go; under a service manager, its log."""

    name = "stderr"

    def send(self, message: str, priority: int, fields: Fields) -> None:
        """One line, if there is room for it: nobody may be reading."""
        fd = sys.stderr.fileno()
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        if not any(event & select.POLLOUT for _, event in poll.poll(0)):
            raise BlockingIOError(errno.EAGAIN, "nobody reads stderr")
        os.write(fd, f"xenfs: {message}\n".encode("utf-8", "replace"))


def sinks(option: str) -> Sequence[Sink]:
    """The places that `-o record=` names, the next of which is tried where one fails; none for "off"."""
    if option == "auto":
        return (Journal(), Syslog(), Stderr())
    if option.startswith("file:"):
        return (File(option.removeprefix("file:")),)
    kinds: dict[str, type[Journal] | type[Syslog] | type[Stderr]] = {
        "journal": Journal, "syslog": Syslog, "stderr": Stderr,
    }  # fmt: skip
    if option == "off":
        return ()
    found = kinds[option]()
    try:
        found.require_there()
    except OSError:
        found.close()
        raise
    return (found,)


def _field(name: str, value: bytes) -> bytes:
    if b"\n" not in value:
        return b"%s=%s\n" % (name.encode(), value)
    return b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(value)), value)


def _now() -> str:
    seconds, ms = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{ms:03}Z"  # datetime has 0.3 MB
