"""How much each user may have open at once: so many files, and so many bytes that open files remember.

Each user has a share of his own, root too: a script that forgets to close files uses up nothing but its user's share,
and nobody can use up root's. What is read costs memory of the daemon until it is closed.
"""

from __future__ import annotations

import errno
from collections import Counter
from typing import NamedTuple

from xenfs.errors import XenfsError

SMALL = 16384
"""What remembers no more than this is bounded by the number of files."""
_MOST_BYTES = 96 << 20  # two pages of metrics of 10,000 domains
_MOST_OF_ALL = 256 << 20  # of all users but root
_USERS = 4  # so many may have all the files open that one may: a user may have thousands of ids (subuid)
_IDLE = 16  # users of whom a share is kept with nothing open: to make one for each file takes a tenth of opening it


class Weight(NamedTuple):
    """Something that an open file remembers. As long as it is counted it lives, so that no other has its id."""

    what: object
    bytes: int


NOTHING_MUCH = Weight(None, 0)


class Sum:
    """The bytes of what is remembered. What many open files have in common is there once, and is counted once."""

    def __init__(self) -> None:
        self.bytes = 0
        self._times: Counter[int] = Counter()

    def more(self, weight: Weight) -> int:
        """How much larger it would be with this."""
        return weight.bytes if weight.bytes > SMALL and id(weight.what) not in self._times else 0

    def add(self, weight: Weight) -> None:
        """One more remembers it."""
        if weight.bytes > SMALL:
            self.bytes += self.more(weight)
            self._times[id(weight.what)] += 1

    def take(self, weight: Weight) -> None:
        """One less."""
        if weight.bytes > SMALL:
            self._times[id(weight.what)] -= 1
            if not self._times[id(weight.what)]:
                del self._times[id(weight.what)]
                self.bytes -= weight.bytes


class Share:
    """What one user has open."""

    __slots__ = ("_sums", "_total", "files", "remembered", "uid")

    def __init__(self, uid: int, total: Sum) -> None:
        self.uid, self.files = uid, 0
        self.remembered, self._total = Sum(), total
        self._sums = [self.remembered, total] if uid else [self.remembered]

    def weigh(self, before: Weight, now: Weight) -> None:
        """An open file remembers this instead of that; ENOMEM where it is too much. One big answer is let through,
        whatever its size."""
        if now.what is before.what and now.bytes == before.bytes:
            return
        for each in self._sums:
            each.take(before)
        problem = self._too_much(now)
        for each in self._sums:
            each.add(before if problem else now)
        if problem:
            raise XenfsError(problem, errno.ENOMEM)

    def _too_much(self, now: Weight) -> str:
        mine = self.remembered.more(now)
        if mine and self.remembered.bytes and self.remembered.bytes + mine > _MOST_BYTES:
            return f"user {self.uid} has read too much from files that are still open"
        others = self._total.more(now) if self.uid else 0
        if others and self._total.bytes + others > _MOST_OF_ALL:
            return "all users together have read too much from files that are still open"
        return ""


class Shares:
    """The shares of all users who have something open."""

    def __init__(self, most_files: int) -> None:
        self._most = most_files
        self._of: dict[int, Share] = {}
        self._files = 0  # of all users but root
        self.total = Sum()

    def __len__(self) -> int:
        return sum(1 for share in self._of.values() if share.files)

    def take(self, uid: int) -> Share:
        """One more file or directory is opened; EMFILE where this user has too many, ENFILE where all but root have."""
        share = self._of.get(uid)
        if share is None:
            share = self._of[uid] = Share(uid, self.total)
        if share.files >= self._most:
            raise XenfsError(f"user {uid} has {share.files} files open here (open_max={self._most})", errno.EMFILE)
        if uid:
            if self._files >= _USERS * self._most:
                raise XenfsError(f"all users together have {self._files} files open here", errno.ENFILE)
            self._files += 1
        share.files += 1
        return share

    def give_back(self, share: Share, remembered: Weight) -> None:
        """It is closed, and what it remembered is forgotten."""
        share.weigh(remembered, NOTHING_MUCH)
        share.files -= 1
        self._files -= bool(share.uid)
        if not share.files and len(self._of) > _IDLE:
            self._of.pop(share.uid, None)
