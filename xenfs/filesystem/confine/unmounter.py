"""A process that does one thing: unmount, when the daemon says so, and when the daemon is no more.

To unmount takes CAP_SYS_ADMIN, or a set-user-ID program; the daemon gives up both. This process is forked before there
is anything in the daemon's memory, and has no other capability. It reads nothing but what the daemon tells it, and
unmounts that one mount. After a kill -9 no dead mount is left behind.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import subprocess
import time

from xenfs.filesystem.confine.helper import beside
from xenfs.filesystem.confine.rights import SYS_ADMIN
from xenfs.filesystem.mountinfo import OUR_TYPE, Mount, mounts
from xenfs.filesystem.taking_away import DETACH, FORCE, take_away

log = logging.getLogger(__name__)

_WAIT_S = 5.0
_ATTEMPTS, _AGAIN_S = 10, 0.02  # a directory above may be renamed at the same moment
_UNMOUNT = b"-"


class Unmounter:
    """The daemon's end. To be made before any thread, and before anything is opened that is not for everybody."""

    def __init__(self) -> None:
        self._pid, self._socket = beside(b"xenfs-unmount", frozenset((SYS_ADMIN,)), _wait)

    def mounted(self, directory: int) -> Mount | None:
        """The mount is there, on this open directory: that one, by its number, whatever its path may come to be."""
        for _ in range(_ATTEMPTS):
            where = os.readlink(f"/proc/self/fd/{directory}")
            there = [mount for mount in mounts() if mount.mountpoint == where]
            if there and there[-1].fstype == OUR_TYPE:
                self._socket.send(str(there[-1].number).encode())
                return there[-1]
            time.sleep(_AGAIN_S)
        log.warning("the mount is not where it was made: unmount it by hand in the end")
        return None

    def unmount(self) -> None:
        """Unmount if it is still mounted, and end. The second time there is nothing to do."""
        if self._socket.fileno() < 0:
            return
        try:
            self._socket.settimeout(_WAIT_S)
            self._socket.send(_UNMOUNT)
            if self._socket.recv(16) != _UNMOUNT:
                raise ConnectionResetError(errno.ECONNRESET, "it is gone")
            os.waitpid(self._pid, 0)  # nothing comes after its answer
        except OSError as problem:
            log.warning("the process that unmounts does not answer: %s", problem)
        finally:
            self._socket.close()


def _wait(ours: socket.socket) -> None:
    """All of the life of the other process."""
    number = 0
    while (told := ours.recv(64)) not in (b"", _UNMOUNT):
        number = int(told)
    _unmount(number)
    if told:
        ours.send(_UNMOUNT)


def _unmount(number: int) -> None:
    """By number: the path is only the way there, and may lead somewhere else by now."""
    for _ in range(_ATTEMPTS):
        there = next((mount for mount in mounts() if (mount.number, mount.fstype) == (number, OUR_TYPE)), None)
        if there is None or _unmounted(there):
            return
        time.sleep(_AGAIN_S)


def _unmounted(there: Mount) -> bool:
    try:
        take_away(there, FORCE | DETACH)  # by force: whatever waits for an answer gets an error, also where it is busy
    except OSError as problem:
        return problem.errno == errno.EPERM and _helped(there.mountpoint)
    return True


def _helped(mountpoint: str) -> bool:
    """By the set-user-ID program, for whoever is not root."""
    command = ["fusermount3", "-u", "-z", "-q", "--", mountpoint]
    try:
        return subprocess.run(command, check=False, timeout=_WAIT_S / 2).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
