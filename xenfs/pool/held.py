"""Buffers that users hold: by a name, from the moment they are made until they are given back.

Who must not bounce makes one, fills it in place and names it in hypercalls: on the way to Xen nothing is copied.
"""

from __future__ import annotations

import errno
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from xenfs.errors import PoolError
from xenfs.pool.buffer import Buffer
from xenfs.pool.pages import PAGE
from xenfs.pool.pool import Pool

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_MOST_EACH = 256  # buffers of one user


class Held:
    """One held buffer: its name, and the uid of who made it. A new one has a page."""

    __slots__ = ("_alone", "_buffer", "_holdings", "_used", "name", "owner")

    def __init__(self, holdings: Holdings, name: str, owner: int, buffer: Buffer) -> None:
        self._holdings, self.name, self.owner, self._buffer = holdings, name, owner, buffer
        self._used, self._alone = 0, False  # by how many questions just now

    @property
    def buffer(self) -> Buffer:
        """Its memory as it is now."""
        return self._buffer

    @property
    def nbytes(self) -> int:
        """How long it is."""
        return self._buffer.nbytes

    @property
    def live(self) -> bool:
        """False once it was given back."""
        return self._holdings.find(self.name) is self

    @contextmanager
    def used(self, *, alone: bool = False) -> Iterator[Buffer]:
        """Its memory, which stays until the end of the block: meanwhile nobody changes its size or gives it back.

        Who uses it `alone` may write to it; EBUSY where others use it.
        """
        with self._holdings.lock:
            if not self.live:
                raise PoolError(f"the held buffer {self.name} is gone", errno.ESTALE)
            if self._alone or (alone and self._used):
                raise PoolError(f"{self.name} is in use by another question", errno.EBUSY)
            self._used += 1
            self._alone = alone
        try:
            yield self._buffer
        finally:
            with self._holdings.lock:
                self._used -= 1
                self._alone = False

    def part(self, at: int, nbytes: int) -> bytes:
        """Its bytes from byte `at` on, as many as there are."""
        return b"" if at >= self.nbytes else self._buffer.part(at, min(nbytes, self.nbytes - at))

    def fill(self, at: int, data: bytes) -> None:
        """Write there; ENOSPC, and nothing is written, where it does not fit, EBUSY while it is in use."""
        with self._holdings.lock:
            self._free("written to")
            if at + len(data) > self.nbytes:
                raise PoolError(f"{self.name} has {self.nbytes} bytes", errno.ENOSPC)
            self._buffer.fill(data, at)

    def clear(self, at: int) -> None:
        """Zeros from byte `at` on; its length stays. EFBIG beyond its end, EBUSY while it is in use."""
        with self._holdings.lock:
            self._free("cleared")
            if at > self.nbytes:
                raise PoolError(f"{self.name} has {self.nbytes} bytes: write another number to its size", errno.EFBIG)
            self._buffer.fill(bytes(self.nbytes - at), at)

    def resize(self, nbytes: int) -> None:
        """Another length: what fits stays, the rest is zeros. ENOMEM beyond the bounds, EBUSY while it is in use."""
        with self._holdings.lock:
            self._free("changed")
            self._holdings.demand(self.owner, nbytes - self.nbytes)
            old, new = self._buffer, self._holdings.pool.take(nbytes)
            new.fill(old.part(0, min(nbytes, old.nbytes)))
            self._buffer = new
            old.release()

    def _free(self, doing: str) -> None:
        if self._used:
            raise PoolError(f"{self.name} cannot be {doing}: it is in use", errno.EBUSY)


class Holdings:
    """All held buffers of a pool. One user may have a quarter of its memory, all together half of it."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.lock = pool, threading.RLock()
        self._by_name: dict[str, Held] = {}
        self._listed: Sequence[tuple[str, Held]] = ()

    def __len__(self) -> int:
        return len(self._by_name)

    def listed(self) -> Sequence[tuple[str, Held]]:
        """(name, buffer), by name; the same object as long as none comes or goes."""
        return self._listed

    def find(self, name: str) -> Held | None:
        """The one of that name."""
        return self._by_name.get(name)

    def make(self, name: str, owner: int) -> Held:
        """A new one, all zeros; EEXIST where there is one of that name, ENOMEM beyond the bounds."""
        if not NAME.fullmatch(name):
            raise PoolError(
                "a buffer's name is up to 64 of A-Z a-z 0-9 _ . - and begins with none of the last two", errno.EINVAL
            )
        with self.lock:
            if name in self._by_name:
                raise PoolError(f"there is a buffer {name}", errno.EEXIST)
            if sum(held.owner == owner for held in self._by_name.values()) >= _MOST_EACH:
                raise PoolError(f"user {owner} holds {_MOST_EACH} buffers", errno.ENOMEM)
            self.demand(owner, PAGE)
            held = self._by_name[name] = Held(self, name, owner, self.pool.take(PAGE))
            self._list()
            return held

    def give_back(self, held: Held) -> None:
        """Give its memory back to the pool, zeroed; EBUSY while it is in use."""
        with self.lock:
            held._free("removed")
            held.buffer.release()
            self._by_name.pop(held.name, None)
            self._list()

    def demand(self, owner: int, more: int) -> None:
        """ENOMEM where so many bytes more are beyond what one user, or all, may hold."""
        total = sum(held.nbytes for held in self._by_name.values())
        theirs = sum(held.nbytes for held in self._by_name.values() if held.owner == owner)
        most = self.pool.max_bytes
        if theirs + more > most // 4:
            raise PoolError(f"user {owner} may hold {most // 4} bytes, and holds {theirs}", errno.ENOMEM)
        if total + more > most // 2:
            raise PoolError(f"all users may hold {most // 2} bytes, and hold {total}", errno.ENOMEM)

    def close(self) -> None:
        """Give all back."""
        for _, held in self._listed:
            self.give_back(held)

    def _list(self) -> None:
        self._listed = tuple(sorted(self._by_name.items()))
