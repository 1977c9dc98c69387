"""Ways to a xenstored: a character device or a unix socket, both as a non-blocking stream of bytes."""

from __future__ import annotations

import errno
import os
import socket
import stat
from abc import ABC, abstractmethod

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

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

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

    def __init__(self, path: str, timeout_s: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.settimeout(timeout_s)  # a full backlog makes connect wait
            self._socket.connect(path)
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise

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
    """Paths where a xenstored may be reached here, best first."""
    told = os.environ.get("XENSTORED_PATH")
    usual = ["/dev/xen/xenbus", "/proc/xen/xenbus", "/run/xenstored/socket", "/var/run/xenstored/socket"]
    return [told, *usual] if told else usual


def open_transport(paths: list[str], timeout_s: float) -> Transport:
    """The first of `paths` that opens; ECONNREFUSED, with each path's reason, when none does."""
    reasons = []
    for path in paths:
        try:
            if stat.S_ISSOCK(os.stat(path).st_mode):
                return UnixSocket(path, timeout_s)
            return Device(path)
        except OSError as exc:
            reasons.append(f"{path}: {exc.strerror or exc}")
    raise XenfsError(f"xenstore is not reachable ({'; '.join(reasons)})", errno.ECONNREFUSED)
