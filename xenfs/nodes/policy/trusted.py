"""Opening a file that nobody else can put another in the place of: every directory and link on the way is looked at."""

from __future__ import annotations

import errno
import os
import stat

_MOST_LINKS = 40


class Untrusted(Exception):
    """Somebody else can change what this path leads to; the message says where."""


def opened(path: str) -> int:
    """The file, for reading, by a path whose directories and links are root's or ours, and can be changed by no other.

    In a directory where everybody may make files but only remove their own (/tmp), the next name has to be ours too.
    """
    here, names, links = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), _names(path), 0
    try:
        while names:
            name = names.pop(0)
            there = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            try:
                status = os.fstat(there)
                if stat.S_ISLNK(status.st_mode):
                    links += 1
                    _trust(name, status, links)
                    target = os.readlink("", dir_fd=there)
                    names = [*_names(target), *names]
                    if target.startswith("/"):
                        here = _instead(here, os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
                elif not names:
                    return os.open(f"/proc/self/fd/{there}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
                else:
                    _trust(name, status, links)
                    here = _instead(here, os.dup(there))
            finally:
                os.close(there)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    finally:
        os.close(here)


def _instead(old: int, new: int) -> int:
    os.close(old)
    return new


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


def _trust(name: str, status: os.stat_result, links: int) -> None:
    link = stat.S_ISLNK(status.st_mode)
    what = f"the {'link' if link else 'directory'} {name!r} on the way to it"
    if links > _MOST_LINKS:
        raise Untrusted("too many links on the way to it")
    if status.st_uid not in (0, os.geteuid()):
        raise Untrusted(f"others can change it: {what} is user {status.st_uid}'s")
    if not link and status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX:
        raise Untrusted(f"others can change it: {what} is writable for group or other")
