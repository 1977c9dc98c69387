"""The directory to mount on: empty, nobody else's, and cleared of what a daemon left there that was killed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import signal
import stat
import struct
import subprocess
import time

from xenfs.cli.umount import tool
from xenfs.errors import StartError
from xenfs.filesystem.mountinfo import OUR_TYPE, Mount, mounted_at
from xenfs.filesystem.taking_away import DETACH, take_away
from xenfs.nodes.tables.harmless import harmless

log = logging.getLogger(__name__)

_ANSWER_S = 5.0
_LOOK_S = 0.01
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MOST_DEAD = 16  # one upon another
_DEAD = (errno.ENOTCONN, errno.ECONNABORTED)


class Claim:
    """A directory, or what is mounted there, that no xenfs is on, and no other mounts on until this is released."""

    def __init__(self, path: str) -> None:
        where = _absolute(path)
        self.fd = _directory(where) if _clear(where) is None else _mounted(where)
        self.lock = -1
        self.mountpoint = os.readlink(f"/proc/self/fd/{self.fd}")  # of a path, it might hang
        try:
            self.lock = _locked(self.fd)
            there = mounted_at(where)  # by one who was quicker
            if there is not None and there.fstype == OUR_TYPE:
                raise _busy(where, there)
        except BlockingIOError:
            self.release()
            raise _refused(where, "is busy: another xenfs is just being mounted there", errno.EBUSY) from None
        except OSError as problem:  # of another FUSE filesystem whose daemon is gone
            self.release()
            raise _refused(where, f"cannot be a mount point: {problem.strerror}", problem.errno or errno.EIO) from None
        except BaseException:
            self.release()
            raise

    @property
    def target(self) -> str:
        """What to mount on. Root mounts on the directory that was looked at, whatever its path leads to by now."""
        return f"/proc/self/fd/{self.fd}" if os.geteuid() == 0 else self.mountpoint

    def release(self) -> None:
        """The mount is there, or will not be."""
        for fd in {self.fd, self.lock} - {-1}:
            os.close(fd)
        self.fd = self.lock = -1


def _refused(where: str, why: str, code: int) -> StartError:
    return StartError(f"{harmless(where)} {why}", code)


def _absolute(path: str) -> str:
    try:
        return os.path.abspath(path)
    except OSError as problem:
        raise _refused(path, "leads nowhere: the working directory is gone", problem.errno or errno.ENOENT) from None


def _locked(directory: int) -> int:
    """A lock for this directory, in a file that nobody else can open; BlockingIOError where it is taken.

    A lock on the directory itself could be taken, and held, by whoever may look into it. -1 where there is no place for
    such a file: then the last look has to do.
    """
    there = os.fstat(directory)
    for folder in ("/run", os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{os.geteuid()}"):
        try:
            if not folder.startswith("/") or os.stat(folder).st_uid != os.geteuid():
                continue
            fd = os.open(f"{folder}/xenfs-mount.lock", _LOCK_FLAGS, 0o600)
        except OSError as problem:
            log.debug("no lock in %s: %s", folder, problem)
            continue
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _one_byte(hash((there.st_dev, there.st_ino)) % 2**62))
        except OSError:
            os.close(fd)
            raise BlockingIOError from None
        return fd
    return -1


def _one_byte(at: int) -> bytes:
    """A struct flock: this byte of the file, for writing; the file need not be that long."""
    return struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, at, 1, 0)


def _directory(where: str) -> int:
    """The directory, open, if it can be a mount point."""
    try:
        if not stat.S_ISDIR(os.stat(where).st_mode):
            raise _refused(where, "is not a directory", errno.ENOTDIR)
        if os.listdir(where):
            raise _refused(where, "is not empty: mount on an empty directory", errno.ENOTEMPTY)
        return os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _refused(
            where, f"does not exist: make the directory first (mkdir -p {harmless(where)})", errno.ENOENT
        ) from None
    except PermissionError:
        raise StartError(f"no permission to look into {harmless(where)}", errno.EACCES) from None
    except OSError as problem:
        raise _refused(where, f"cannot be a mount point: {problem.strerror}", problem.errno or errno.EINVAL) from None


def _mounted(where: str) -> int:
    """What is mounted there, to mount upon it as mount(2) does. Only named, not opened: what stands there may be what
    x-systemd.automount has put there, which mounts us, and would wait for itself."""
    try:
        return os.open(where, os.O_PATH | os.O_CLOEXEC)
    except OSError as problem:
        raise _refused(where, f"cannot be a mount point: {problem.strerror}", problem.errno or errno.EINVAL) from None


def _clear(where: str) -> Mount | None:
    """Unmount each xenfs that is dead there and was mounted by the same user; StartError for one that is not.

    What is mounted there then, of another type, stays.
    """
    there = mounted_at(where)
    for _ in range(_MOST_DEAD):
        if there is None or there.fstype != OUR_TYPE:
            return there
        if there.user != os.getuid() or not dead(there.mountpoint):
            raise _busy(where, there)
        if not _removed(there) and mounted_at(where) == there:
            raise _refused(where, "is busy: a xenfs whose daemon is gone cannot be unmounted there", errno.EBUSY)
        log.warning("%s: removed a mount whose daemon was gone", harmless(where))
        there = mounted_at(where)
    raise _refused(where, "is busy: too many dead mounts are there, one upon another", errno.EBUSY)


def _removed(there: Mount) -> bool:
    if os.geteuid() == 0:
        try:
            take_away(there, DETACH)
        except OSError as problem:
            log.debug("%s: %s", there.mountpoint, problem)
            return False
        return True
    command = tool(there.mountpoint, lazy=True)
    try:
        return not subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_S
        ).returncode  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as problem:
        log.debug("%s: %s", command[0], problem)
        return False


def _busy(where: str, there: Mount) -> StartError:
    what = "a xenfs" if there.user == os.getuid() else f"a xenfs of user {there.user}"
    return _refused(where, f"is busy: {what} is mounted there already", errno.EBUSY)


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
    return False  # nor waited for: where it cannot be killed, it is left
