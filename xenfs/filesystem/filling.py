"""Directories that cp -r has made and fills: to it alone, what is in them by itself is not there until it makes that.

GNU cp takes a directory that it has made for empty: it makes each file in it (O_EXCL) and each directory, and stops
at what was there before. It says that it is about to: a directory without the right to write is given it by chmod.
"""

from __future__ import annotations

import stat
import time
from typing import Any

from xenfs.filesystem.inodes import Inode

_LASTS_S = 60.0  # after the last that was made: a program that was killed meanwhile leaves a number behind
_WRITE = stat.S_IWUSR


class _Filled:
    """By whom a directory was made, and what he has made in it and below."""

    def __init__(self, pid: int) -> None:
        self.pid, self.until = pid, 0.0  # not begun
        self.made: set[str] = set()


class Filling:
    """Directories that were made here, by their inodes' numbers, as long as their makers may fill them."""

    def __init__(self) -> None:
        self._by_number: dict[int, _Filled] = {}

    def made(self, inode: Inode, pid: int) -> None:
        """Somebody has made a directory."""
        now = time.monotonic()
        self._by_number = {n: each for n, each in self._by_number.items() if each.until == 0 or each.until > now}
        while len(self._by_number) >= 64:  # whoever made the first has had his time
            self._by_number.pop(next(iter(self._by_number)))
        self._by_number[inode.number] = _Filled(pid)

    def begins(self, inode: Inode, pid: int, mode: int, wanted: Any, fields: Any) -> bool:
        """Whether this chmod says that who has made a directory is about to fill it, or one in it."""
        found = self._of(inode)
        if found is None or found.pid != pid or not fields.update_mode or fields.update_uid or fields.update_gid:
            return False
        if mode & _WRITE or stat.S_IMODE(wanted.st_mode) != stat.S_IMODE(mode) | _WRITE:
            return False
        found.until = time.monotonic() + _LASTS_S
        return True

    def hides(self, parent: Inode, name: str, pid: int) -> bool:
        """Whether this is yet to be made, for who asks."""
        found = self._going_on(parent, pid)
        return found is not None and f"{parent.path}/{name}" not in found.made

    def takes(self, parent: Inode, name: str, pid: int) -> bool:
        """Whether who asks may make what is there by itself; it is made from now on."""
        found = self._going_on(parent, pid)
        if found is None or not self.hides(parent, name, pid):
            return False
        found.made.add(f"{parent.path}/{name}")
        found.until = time.monotonic() + _LASTS_S
        return True

    def drops(self, parent: Inode, name: str) -> None:
        """There is no such name: nothing is kept of as many as somebody can think of."""
        found = self._of(parent)
        if found is not None:
            found.made.discard(f"{parent.path}/{name}")

    def _going_on(self, inode: Inode, pid: int) -> _Filled | None:
        found = self._of(inode)
        return found if found is not None and found.pid == pid and found.until > time.monotonic() else None

    def _of(self, inode: Inode) -> _Filled | None:
        """The nearest above, or itself, that was made here."""
        at: Inode | None = inode if self._by_number else None
        while at is not None:
            if at.number in self._by_number:
                return self._by_number[at.number]
            at = at.parent
        return None
