"""A process that does one thing: unmount, when the daemon says so, and when the daemon is no more.

To unmount takes CAP_SYS_ADMIN, or a set-user-ID program; the daemon gives up both. This process is forked before there
is anything in the daemon's memory, has no other capability, reads nothing but what the daemon tells it, and unmounts
nothing but the mount that it was told of. After a kill -9 no dead mount is left behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import socket
import subprocess
from pathlib import Path

from xenfs.filesystem.confine.helper import beside
from xenfs.filesystem.confine.rights import SYS_ADMIN

log = logging.getLogger(__name__)

_FORCE, _DETACH, _NOFOLLOW = 1, 2, 8
_WAIT_S = 5.0
_UNMOUNT = b"-"
_libc = ctypes.CDLL(None, use_errno=True)


class Unmounter:
    """The daemon's end. To be made before any thread, and before anything is opened that is not for everybody."""

    def __init__(self, mountpoint: str) -> None:
        self._mountpoint = mountpoint
        self._pid, self._socket = beside(
            b"xenfs-unmount", frozenset((SYS_ADMIN,)), lambda ours: _wait(ours, mountpoint)
        )

    def mounted(self) -> None:
        """The mount is there: this one, by its device number, and no other."""
        with contextlib.suppress(OSError):
            self._socket.send(_device(self._mountpoint).encode())

    def unmount(self) -> None:
        """Unmount if it is still mounted, and end. The second time there is nothing to do."""
        if self._socket.fileno() < 0:
            return
        try:
            self._socket.settimeout(_WAIT_S)
            self._socket.send(_UNMOUNT)
            if self._socket.recv(16) != _UNMOUNT:
                raise ConnectionResetError(errno.ECONNRESET, "it is gone")
            os.waitpid(self._pid, 0)
        except OSError as problem:
            log.warning("the process that unmounts does not answer: %s", problem)
        finally:
            self._socket.close()


def _wait(ours: socket.socket, mountpoint: str) -> None:
    """All of the life of the other process."""
    device = ""
    while (told := ours.recv(64)) not in (b"", _UNMOUNT):
        device = told.decode()
    if device and _device(mountpoint) == device:
        _unmount(mountpoint)
    with contextlib.suppress(OSError):
        ours.send(_UNMOUNT)


def _unmount(mountpoint: str) -> None:
    # By force: whatever waits for an answer gets an error, also where the mount stays busy
    if _libc.umount2(os.fsencode(mountpoint), _FORCE | _DETACH | _NOFOLLOW):
        with contextlib.suppress(OSError):
            subprocess.run(["fusermount3", "-u", "-z", "-q", "--", mountpoint], check=False, timeout=_WAIT_S)


def _device(mountpoint: str) -> str:
    """The device number of the topmost mount there, if it is of our type; nothing is looked up below it."""
    found = ""
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        before, _, after = line.partition(b" - ")
        words = before.split(b" ")
        name = words[4].decode("unicode_escape").encode("latin-1")
        if name == os.fsencode(mountpoint):
            found = words[2].decode() if after.startswith(b"fuse.xenfs ") else ""
    return found
