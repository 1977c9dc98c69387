"""A process that does one thing: open xenstore again, for a daemon that is not root any more.

A xenstored that starts again leaves every connection to it dead, and /dev/xen/xenbus and its socket are root's. To give
them to a group would let others in, and would take a rule of udev on each dom0; so what is opened comes from here. This
process has no capability, opens nothing but the paths that it was made with, and reads nothing from them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Sequence

from xenfs.filesystem.confine import landlock
from xenfs.filesystem.confine.helper import beside
from xenfs.xenstore.transport import opened

_CONNECT_S = 2.0
_ANSWER_S = 4.0  # a full backlog makes it wait as long as _CONNECT_S


class Opener:
    """The daemon's end. Calling it opens one of the paths; any thread may."""

    def __init__(self, paths: Sequence[str]) -> None:
        known = list(paths)
        self._lock = threading.Lock()
        self._asked = 0
        self._pid, self._socket = beside(b"xenfs-open", frozenset(), lambda ours: _wait(ours, known))
        self._socket.settimeout(_ANSWER_S)

    def __call__(self, path: str, timeout_s: float) -> int:
        """A descriptor of the device, or of a socket that is connected; OSError says why there is none."""
        with self._lock:
            self._asked += 1
            self._socket.send(b"%d %s" % (self._asked, os.fsencode(path)))
            while True:
                answer, fds, _, _ = socket.recv_fds(self._socket, 64, 1)
                number, _, code = answer.partition(b" ")
                if not answer or int(number) == self._asked:
                    break
                for fd in fds:  # asked for by somebody who waited no longer
                    os.close(fd)
        if fds:
            os.set_inheritable(fds[0], False)
            return fds[0]
        reason = int(code) if code else errno.ECONNRESET
        raise OSError(reason, os.strerror(reason))

    def close(self) -> None:
        """It is not needed any more. The second time there is nothing to do."""
        if self._socket.fileno() < 0:
            return
        self._socket.close()
        os.waitpid(self._pid, 0)


def _wait(ours: socket.socket, paths: Sequence[str]) -> None:
    """All of the life of the other process."""
    landlock.restrict({os.path.dirname(path) for path in paths})
    while asked := ours.recv(4096):
        number, _, path = asked.partition(b" ")
        fds, code = _fd(os.fsdecode(path), paths)
        with contextlib.suppress(OSError):
            socket.send_fds(ours, [b"%s %d" % (number, code)], fds)
        for fd in fds:
            os.close(fd)


def _fd(path: str, paths: Sequence[str]) -> tuple[list[int], int]:
    """The descriptor, or the errno that there is instead."""
    if path not in paths:
        return [], errno.EPERM
    try:
        return [opened(path, _CONNECT_S)], 0
    except OSError as problem:
        return [], problem.errno or errno.EIO
