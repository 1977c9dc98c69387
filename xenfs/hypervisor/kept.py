"""Files of numbers that stay open. Of sysfs, opening one and closing it costs five times as much as reading it.

Linux makes the text anew at each pread from the beginning, and refuses with ENODEV once the device is gone. An open one
costs the kernel 4.5 kB, most of it a page for its text.
"""

from __future__ import annotations

import errno
import os
import resource
import threading
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

GONE = (errno.ENOENT, errno.ENODEV, errno.ENOTDIR, errno.EINVAL)
"""What Linux says of a device that is not there, or not any more."""

_MOST = 16384  # files: those of three thousand disks, and 75 MB of the kernel's memory
_OTHERS = 256  # descriptors for all else that a process needs
_LONGEST = 64  # bytes of a number


class KeptFiles:
    """The files `names` of directories `home`/directory/`below`. Thread-safe.

    No more than `most` stay open, nor more than a process may have; the others are opened each time.
    """

    def __init__(self, home: str, below: str, names: Sequence[str], most: int = _MOST) -> None:
        self._home, self._below, self._names, self._most = home, below, names, most
        self._lock = threading.Lock()
        self._kept: dict[str, dict[str, int]] = {}  # descriptors by directory and name

    def read(self, directories: Collection[str]) -> dict[str, dict[str, int]]:
        """The numbers of each of these directories, by name; those of others are closed. What is gone has none."""
        with self._lock:
            for gone in self._kept.keys() - set(directories):
                close_all(self._kept.pop(gone).values())
            found = ((directory, self._numbers(directory)) for directory in directories)
            return {directory: numbers for directory, numbers in found if numbers}

    def close(self) -> None:
        """Close them all; they are opened again when they are read."""
        self.read(())

    def _numbers(self, directory: str) -> dict[str, int]:
        kept = self._kept.get(directory)
        if kept:
            try:
                return read_all(kept)
            except OSError:  # another device may have its name by now
                close_all(self._kept.pop(directory).values())
        files: dict[str, int] = {}
        try:
            files = open_all(f"{self._home}/{directory}/{self._below}", self._names)
            found = read_all(files)
        except OSError as problem:
            close_all(files.values())
            if problem.errno in GONE:
                return {}
            raise
        if (len(self._kept) + 1) * len(self._names) <= self._room():
            self._kept[directory] = files
        else:
            close_all(files.values())
        return found

    def _room(self) -> int:
        """How many may be open, with the soft limit of this process as high as it may and need be."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self._most + _OTHERS
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                soft = wanted
        return self._most if soft == resource.RLIM_INFINITY else min(self._most, soft - _OTHERS)


def open_all(directory: str, names: Iterable[str]) -> dict[str, int]:
    """Descriptors of the files of a directory that are there, by name: not every kernel counts all."""
    found: dict[str, int] = {}
    at = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            with suppress(FileNotFoundError):
                found[name] = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=at)
    except OSError:
        close_all(found.values())
        raise
    finally:
        os.close(at)
    return found


def read_all(files: dict[str, int]) -> dict[str, int]:
    """The number in each file. Without Python's file objects: these are thousands."""
    return {name: int(os.pread(fd, _LONGEST, 0)) for name, fd in files.items()}


def close_all(descriptors: Iterable[int]) -> None:
    """Close each."""
    for fd in descriptors:
        os.close(fd)
