"""The directory to mount on: empty, nobody else's, and cleared of what a daemon left there that was killed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import signal
import stat
import subprocess
import time

from xenfs.cli.mounts import OUR_TYPE, Mount, mounted_at
from xenfs.cli.umount import tool
from xenfs.errors import StartError

log = logging.getLogger(__name__)

_ANSWER_S = 5.0
_LOOK_S = 0.01
_MOST_DEAD = 16  # one upon another
_DEAD = (errno.ENOTCONN, errno.ECONNABORTED)


class Claim:
    """A directory that nothing is mounted on, and that no other xenfs mounts on until this is released."""

    def __init__(self, path: str) -> None:
        where = os.path.abspath(path)
        _clear(where)
        self.fd = _directory(where)
        self.mountpoint = os.readlink(f"/proc/self/fd/{self.fd}")  # of a path, it might hang
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise StartError(f"{where} is busy: another xenfs is just being mounted there", errno.EBUSY) from None
        except OSError as problem:  # a filesystem that has no locks: then the last look has to do
            log.debug("%s cannot be locked: %s", where, problem)
        there = mounted_at(where)  # by one who was quicker
        if there is not None:
            self.release()
            raise _busy(where, there)

    def release(self) -> None:
        """The mount is there, or will not be."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _directory(where: str) -> int:
    """The directory, open, if it can be a mount point."""
    try:
        if not stat.S_ISDIR(os.stat(where).st_mode):
            raise StartError(f"{where} is not a directory", errno.ENOTDIR)
        if os.listdir(where):
            raise StartError(f"{where} is not empty: mount on an empty directory", errno.ENOTEMPTY)
        return os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise StartError(f"{where} does not exist: make the directory first (mkdir -p {where})", errno.ENOENT) from None
    except PermissionError:
        raise StartError(f"no permission to look into {where}", errno.EACCES) from None
    except OSError as problem:
        raise StartError(
            f"{where} cannot be a mount point: {problem.strerror}", problem.errno or errno.EINVAL
        ) from None


def _clear(where: str) -> None:
    """Unmount what is dead there and was mounted by the same user; StartError for everything else."""
    for _ in range(_MOST_DEAD):
        there = mounted_at(where)
        if there is None:
            return
        if there.fstype != OUR_TYPE or there.user != os.getuid() or not dead(there.mountpoint):
            raise _busy(where, there)
        done = subprocess.run(tool(there.mountpoint, lazy=True), stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode and mounted_at(where) == there:
            raise StartError(f"{where} is busy: a xenfs whose daemon is gone cannot be unmounted there", errno.EBUSY)
        log.warning("%s: removed a mount whose daemon was gone", where)


def _busy(where: str, there: Mount) -> StartError:
    what = f"a {there.fstype}"
    if there.fstype == OUR_TYPE:
        what = "a xenfs" if there.user == os.getuid() else f"a xenfs of user {there.user}"
    return StartError(f"{where} is busy: {what} is mounted there already", errno.EBUSY)


def dead(mountpoint: str) -> bool:
    """Whether the daemon of a FUSE mount is gone: "Transport endpoint is not connected". One that hangs is not dead.

    It is asked for what the kernel does not remember, by a process that can be left to wait.
    """
    pid = os.fork()
    if not pid:
        code = 0
        try:
            os.statvfs(mountpoint)
        except OSError as problem:
            code = 1 if problem.errno in _DEAD else 0
        finally:
            os._exit(code)
    end = time.monotonic() + _ANSWER_S
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 1
        time.sleep(_LOOK_S)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)  # a request to FUSE ends with its process
    os.waitpid(pid, 0)
    return False
