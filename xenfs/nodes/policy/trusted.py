"""Opening a file that nobody else can put another in the place of: every directory and link on the way is looked at."""

from __future__ import annotations

import errno
import os
import stat

_MOST_LINKS = 40
_GROUP, _OTHER = stat.S_IWGRP, stat.S_IWOTH
_APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class Untrusted(Exception):
    """Somebody else can change what this path leads to; the message says where."""


def opened(path: str, others: int = _GROUP | _OTHER) -> int:
    """The file, for reading, by a path whose directories and links are root's or ours, and can be changed by no other.

    In a directory where everybody may make files but only remove their own (/tmp), the next name has to be ours too.
    `others` are the permission bits of a directory that make it one that others can change.
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
                    _trust(name, status, links, others)
                    target = os.readlink("", dir_fd=there)
                    names = [*_names(target), *names]
                    if target.startswith("/"):
                        here = _instead(here, os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
                elif not names:
                    return os.open(f"/proc/self/fd/{there}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
                else:
                    _trust(name, status, links, others)
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


def open_log(path: str) -> int:
    """A file to append to, made where it is not there. Nobody but root and us can have chosen which, or write to it.

    A directory may be writable for a group, as /var/log is on some systems.
    """
    folder, name = os.path.split(path)
    directory = opened(folder, _OTHER)
    try:
        _trust(folder, os.fstat(directory), 0, _OTHER)
        fd = os.open(name, _APPENDING, 0o600, dir_fd=directory)  # a pipe without a reader must not keep us
    finally:
        os.close(directory)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & (_GROUP | _OTHER):
            raise Untrusted("others can change it: it must be root's or yours, and not writable for group or other")
    except BaseException:
        os.close(fd)
        raise
    return fd


def _trust(name: str, status: os.stat_result, links: int, others: int) -> None:
    link = stat.S_ISLNK(status.st_mode)
    what = f"the {'link' if link else 'directory'} {name!r} on the way to it"
    if links > _MOST_LINKS:
        raise Untrusted("too many links on the way to it")
    if status.st_uid not in (0, os.geteuid()):
        raise Untrusted(f"others can change it: {what} is user {status.st_uid}'s")
    if not link and status.st_mode & others and not status.st_mode & stat.S_ISVTX:
        raise Untrusted(f"others can change it: {what} is writable for {'group or ' if others & _GROUP else ''}other")
