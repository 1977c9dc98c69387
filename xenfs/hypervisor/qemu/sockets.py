"""Asking QEMUs on their sockets, many at a time, until a deadline: for the process that may.

libxl gives each QEMU two monitors, and this one, qmp-libxenstat-<domid>, is for whoever counts. It takes one at a time:
another who connects meanwhile waits for the greeting.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import selectors
import socket
import stat
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic

from xenfs.hypervisor.qemu.qmp import QUESTION, Answer, Disks, wrong

HOME = "/run/xen"
_NAME = re.compile(r"qmp-libxenstat-([0-9]{1,5})")
_CHUNK = 1 << 16
_MOST_HELD = 1 << 24  # bytes of answers that are not whole yet, of all QEMUs together
_DESCRIPTORS = 1 << 14  # one for each QEMU that is asked at a time
_SPARED = 1 << 8  # of these: a question about many leaves so many to the others, and to xenstore

Told = Callable[[int, int, Disks], object]
"""Given the domain, 0 or the errno that there is instead, and its disks."""


def allow_many() -> None:
    """Let this process have a socket to each QEMU of a large host."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def listed() -> list[int]:
    """The domains that have such a socket; none where nothing can be seen of any."""
    with suppress(OSError):
        return [int(found[1]) for found in map(_NAME.fullmatch, os.listdir(HOME)) if found]
    return []


def there(domid: int) -> int:
    """0 where a domain has such a socket, else the errno."""
    try:
        os.close(_found(domid))
    except OSError as problem:
        return problem.errno or errno.EIO
    return 0


def _found(domid: int) -> int:
    """A descriptor of the socket, not connected: one of our own user's, in a directory where no other can make any."""
    home = os.open(HOME, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _require_ours(home, stat.S_IFDIR, 0o022)
        at = os.open(f"qmp-libxenstat-{domid}", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=home)
    finally:
        os.close(home)
    try:
        _require_ours(at, stat.S_IFSOCK, 0)
    except OSError:
        os.close(at)
        raise
    return at


def _require_ours(at: int, kind: int, without: int) -> None:
    found = os.fstat(at)
    if stat.S_IFMT(found.st_mode) != kind or found.st_uid != os.geteuid() or found.st_mode & without:
        raise wrong(errno.EPERM)


def _connected(domid: int) -> socket.socket:
    """To the very file that was looked at: by its descriptor."""
    at = _found(domid)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        connection.connect(f"/proc/self/fd/{at}")  # EAGAIN where others wait already
        connection.send(QUESTION)
    except BlockingIOError:
        connection.close()
        raise wrong(errno.EBUSY) from None
    except BrokenPipeError:
        connection.close()
        raise wrong(errno.ECONNRESET) from None
    except OSError:
        connection.close()
        raise
    finally:
        os.close(at)
    return connection


class Asking:
    """One question to many QEMUs."""

    def __init__(self, told: Told) -> None:
        self._told, self._held = told, 0
        self._most, self._last = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARED, -1
        self._open: dict[int, tuple[int, socket.socket, Answer]] = {}  # by descriptor: the domain, and what it says
        self._poll = selectors.DefaultSelector()

    def ask(self, domids: Sequence[int], deadline: float, batch: Callable[[], object] = lambda: None) -> None:
        """Tell of each domain by then; `batch` is called after a few of them."""
        waiting = deque(domids)
        try:
            while (waiting or self._open) and (left := deadline - monotonic()) > 0:
                while waiting and self._has_room():
                    self._begin(waiting.popleft())
                batch()
                for key, _ in self._poll.select(left) if self._open else ():
                    if key.fd in self._open:
                        self._hear(key.fd)
            for fd, (_, _, answer) in list(self._open.items()):
                self._end(fd, errno.ETIMEDOUT if answer.greeted else errno.EBUSY)
            for domid in waiting:
                self._told(domid, errno.EMFILE, {})
            batch()
        finally:
            for _, connection, _ in self._open.values():
                connection.close()
            self._poll.close()

    def _has_room(self) -> bool:
        """For one always. The kernel gives the lowest number that is free: a high one tells that many are not."""
        return not self._open or self._last < self._most

    def _begin(self, domid: int) -> None:
        try:
            connection = _connected(domid)
        except OSError as problem:
            self._told(domid, problem.errno or errno.EIO, {})
            return
        self._last = connection.fileno()
        self._open[self._last] = domid, connection, Answer()
        self._poll.register(connection, selectors.EVENT_READ)

    def _hear(self, fd: int) -> None:
        _, connection, answer = self._open[fd]
        before = answer.held
        try:
            data = connection.recv(_CHUNK)
            if not data:
                raise wrong(errno.ECONNRESET)
            disks = answer.hear(data)
        except BlockingIOError:
            return
        except OSError as problem:
            self._held += answer.held - before
            self._end(fd, problem.errno or errno.EIO)
            return
        self._held += answer.held - before
        if disks is not None:
            self._end(fd, 0, disks)
        elif self._held > _MOST_HELD:  # who says most is not believed
            most = max(self._open, key=lambda each: self._open[each][2].held)
            self._end(most, errno.EMSGSIZE)

    def _end(self, fd: int, code: int, disks: Disks | None = None) -> None:
        domid, connection, answer = self._open.pop(fd)
        self._last = fd
        self._held -= answer.held
        self._poll.unregister(connection)
        connection.close()
        self._told(domid, code, disks or {})
