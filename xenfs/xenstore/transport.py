"""Ways to a xenstored: a character device or a unix socket, both as a non-blocking stream of bytes."""

from __future__ import annotations

import errno
import os
import socket
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable
from time import monotonic

from xenfs.errors import XenfsError


class Transport(ABC):
    """An open way to xenstored. `send` and `receive` raise BlockingIOError where they would have to wait."""

    window: int
    """How many requests may be under way at once."""

    @abstractmethod
    def fileno(self) -> int:
        """The descriptor to poll."""

    @abstractmethod
    def send(self, data: bytes | bytearray) -> int:
        """Write what fits; the number of bytes taken."""

    @abstractmethod
    def receive(self) -> bytes:
        """What has arrived; empty when the other side is gone."""

    @abstractmethod
    def close(self) -> None:
        """Give the descriptor back."""


class Device(Transport):
    """The kernel's own connection, /dev/xen/xenbus: also where xenstored has a domain of its own."""

    window = 1  # kernels before 4.11 serve a request within write(2) and queue its reply there

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._fd

    def send(self, data: bytes | bytearray) -> int:
        """Write what fits; the number of bytes taken."""
        return os.write(self._fd, data)

    def receive(self) -> bytes:
        """What has arrived."""
        return os.read(self._fd, 65536)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)


class UnixSocket(Transport):
    """xenstored's own socket, where it is a daemon of this domain."""

    window = 64

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._socket.fileno()

    def send(self, data: bytes | bytearray) -> int:
        """Write what fits; the number of bytes taken."""
        return self._socket.send(data)  # Python ignores SIGPIPE: a peer that is gone raises EPIPE

    def receive(self) -> bytes:
        """What has arrived; empty when the other side is gone."""
        return self._socket.recv(65536)

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()


def candidates() -> list[str]:
    """Paths where a xenstored may be reached here, best first: a socket tells when its xenstored has gone."""
    told = os.environ.get("XENSTORED_PATH")
    usual = ["/run/xenstored/socket", "/var/run/xenstored/socket", "/dev/xen/xenbus", "/proc/xen/xenbus"]
    return [told, *usual] if told else usual


def opened(path: str, timeout_s: float) -> int:
    """A descriptor of the device at `path`, or of a socket that is connected to the one there."""
    if not stat.S_ISSOCK(os.stat(path).st_mode):
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(timeout_s)  # a full backlog makes connect wait
        connection.connect(path)
        return connection.detach()


Opening = Callable[[str, float], int]
"""What `opened` does."""
_opening: Opening = opened


def opened_by(opening: Opening) -> None:
    """Have it done so from now on: who gives up the right to open xenstore may have somebody else keep it."""
    global _opening
    _opening = opening


def open_transport(paths: list[str], deadline: float) -> Transport:
    """The first of `paths` that opens by then; ECONNREFUSED, with each path's reason, when none does."""
    reasons = []
    for path in paths:
        try:
            fd = _opening(path, max(0.01, deadline - monotonic()))
        except OSError as exc:
            reasons.append(f"{path}: {exc.strerror or exc}")
        else:
            return UnixSocket(fd) if stat.S_ISSOCK(os.fstat(fd).st_mode) else Device(fd)
    raise XenfsError(f"xenstore is not reachable ({'; '.join(reasons)})", errno.ECONNREFUSED)
