"""Taking a mount away by its number: a path is only the way there, and may lead somewhere else by now."""

from __future__ import annotations

import ctypes
import errno
import os

from xenfs.filesystem.mountinfo import Mount, mount_of

FORCE, DETACH = 1, 2
_NO_FOLLOW = 8

_libc = ctypes.CDLL(None, use_errno=True)


def take_away(there: Mount, flags: int = 0) -> None:
    """umount2(2) of that mount and no other; ESTALE where its path leads somewhere else, or one is mounted upon it.

    The directory that it is in is held meanwhile, whatever is renamed above; a name that is a mount point cannot be.
    """
    folder, name = os.path.split(there.mountpoint)
    parent = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _number(parent, name) != there.number:
            raise OSError(errno.ESTALE, "its path leads to another mount by now")
        if _libc.umount2(b"/proc/self/fd/%d/%s" % (parent, os.fsencode(name)), flags | _NO_FOLLOW):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(parent)


def _number(parent: int, name: str) -> int:
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        return mount_of(fd)
    finally:
        os.close(fd)
