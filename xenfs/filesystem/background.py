"""Requests that nobody waits for in a system call: how many the kernel lets be on their way, of all users together.

Closing is one of them, and so is what is read by aio or io_uring. By itself Linux has twelve of a mount. Who reads
something slow so would then hold up what everybody closes, root too, and who opens files meanwhile would come to the
end of his share. Of what waits here nobody has more than his places (lanes.py); all of these fit, and some beside them.
"""

from __future__ import annotations

import ctypes
import logging
import os

from xenfs.filesystem.lanes import MOST_WAITING
from xenfs.filesystem.mountinfo import Mount

log = logging.getLogger(__name__)

MOST = MOST_WAITING + 64
_CONNECTIONS = "/sys/fs/fuse/connections"
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432  # the same numbers everywhere, in Linux since 5.2
_CREATE = 6

_libc = ctypes.CDLL(None, use_errno=True)


def allow(mount: Mount, most: int = MOST) -> None:
    """Have the kernel let so many be on their way. Root may say so, or whose mount it is where fusectl is mounted."""
    file = f"{mount.device.rpartition(':')[2]}/max_background"
    try:
        _write(os.open(f"{_CONNECTIONS}/{file}", os.O_WRONLY | os.O_CLOEXEC), most)
    except OSError as problem:
        try:
            _beside(file, most)
        except OSError:
            log.info("what is read by aio can hold up what is closed: %s/%s: %s", _CONNECTIONS, file, problem.strerror)


def _beside(file: str, most: int) -> None:
    """Where systemd has not mounted it: root may, for itself alone and in no directory."""
    context = _asked(_FSOPEN, b"fusectl", 1)
    try:
        _asked(_FSCONFIG, context, _CREATE, None, None, 0)
        directory = _asked(_FSMOUNT, context, 1, 0)
    finally:
        os.close(context)
    try:
        _write(os.open(file, os.O_WRONLY | os.O_CLOEXEC, dir_fd=directory), most)
    finally:
        os.close(directory)


def _write(fd: int, most: int) -> None:
    try:
        os.write(fd, b"%d" % most)
    finally:
        os.close(fd)


def _asked(number: int, *args: object) -> int:
    answer = int(_libc.syscall(number, *args))
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer
