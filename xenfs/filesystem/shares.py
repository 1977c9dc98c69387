"""How much each user may have open at once: so many files, and so many bytes that open files remember.

Each user has a share of his own, root too: a script that forgets to close files uses up nothing but its user's share,
and nobody can use up root's. What is read costs memory of the daemon until it is closed.
"""

from __future__ import annotations

import errno

from xenfs.errors import XenfsError

SMALL = 16384
"""What remembers no more than this is bounded by the number of files."""
_MOST_BYTES = 64 << 20
_MOST_OF_ALL = 256 << 20  # of all users but root


class Total:
    """What open files of all users but root remember."""

    bytes = 0


class Share:
    """What one user has open."""

    __slots__ = ("_total", "bytes", "files", "uid")

    def __init__(self, uid: int, total: Total) -> None:
        self.uid, self.files, self.bytes = uid, 0, 0
        self._total = total

    def weigh(self, before: int, now: int) -> None:
        """An open file remembers `now` bytes instead of `before`. One big answer is let through, whatever its size."""
        more = (now if now > SMALL else 0) - (before if before > SMALL else 0)
        if more > 0 and self.bytes and self.bytes + more > _MOST_BYTES:
            raise XenfsError(f"user {self.uid} has read too much from files that are still open", errno.ENOMEM)
        if self.uid != 0:
            if more > 0 and self._total.bytes + more > _MOST_OF_ALL:
                raise XenfsError("all users together have read too much from files that are still open", errno.ENOMEM)
            self._total.bytes += more
        self.bytes += more


class Shares:
    """The shares of all users who have something open."""

    def __init__(self, most_files: int) -> None:
        self._most = most_files
        self._of: dict[int, Share] = {}
        self.total = Total()

    def __len__(self) -> int:
        return len(self._of)

    def take(self, uid: int) -> Share:
        """One more file or directory is opened; EMFILE where that is one too many."""
        share = self._of.get(uid)
        if share is None:
            share = self._of[uid] = Share(uid, self.total)
        if share.files >= self._most:
            raise XenfsError(f"user {uid} has {share.files} files open here (open_max={self._most})", errno.EMFILE)
        share.files += 1
        return share

    def give_back(self, share: Share, remembered: int) -> None:
        """It is closed, and what it remembered is forgotten."""
        share.weigh(remembered, 0)
        share.files -= 1
        if not share.files:
            self._of.pop(share.uid, None)
