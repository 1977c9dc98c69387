"""Names that users have made with mkdir, and that Xen knows nothing of yet: what they stand for is still to come."""

from __future__ import annotations

import errno
import threading

from xenfs.errors import XenfsError

_MOST_EACH = 16  # of one user


class Announced:
    """Names, and whose they are. Nothing of Xen's is held for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[bytes, int] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._owners

    def names(self) -> list[bytes]:
        """All of them, in the order of their coming."""
        return list(self._owners)

    def add(self, name: bytes, owner: int) -> None:
        """One more; EEXIST where it is there, ENOSPC where its owner has too many."""
        with self._lock:
            if name in self._owners:
                raise XenfsError("this name is there already", errno.EEXIST)
            if sum(uid == owner for uid in self._owners.values()) >= _MOST_EACH:
                raise XenfsError(f"user {owner} has {_MOST_EACH} names that nothing came for: rmdir some", errno.ENOSPC)
            self._owners[name] = owner

    def discard(self, name: bytes) -> None:
        """It has come, or is not wanted any more."""
        with self._lock:
            self._owners.pop(name, None)
