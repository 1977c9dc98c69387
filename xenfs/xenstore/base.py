"""What the rest of xenfs asks of xenstore, whoever answers."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from xenfs.errors import XenfsError

Path = str | bytes


class Entry(NamedTuple):
    """A node that is to be, and who may do what with it and all below it that is made later.

    `rights` are xenstored's words: first the owner's, such as n0, then r and the id of each who may read. Without any
    it has its parent's.
    """

    path: str
    value: bytes = b""
    rights: tuple[str, ...] = ()


class Event(NamedTuple):
    """A watch that fired: the path that changed, and the token that the watch was set with.

    Or, where `answered`, the answer to `ask`: `value` is None where there is no such node.
    """

    path: bytes
    token: bytes
    answered: bool = False
    value: bytes | None = None


class Watches(ABC):
    """Watches that are set and heard together. For one thread; nothing here waits."""

    @abstractmethod
    def fileno(self) -> int:
        """The descriptor to poll: readable when `events` has something to do."""

    @abstractmethod
    def add(self, path: Path, token: bytes) -> None:
        """Set a watch. It fires once as soon as it is there, and then whenever the path, or one below it, changes."""

    @abstractmethod
    def remove(self, path: Path, token: bytes) -> None:
        """Take a watch back; an event may still be under way."""

    @abstractmethod
    def ask(self, path: Path, token: bytes) -> None:
        """Read a node; what it has comes among the events, with this token."""

    @abstractmethod
    def events(self) -> list[Event]:
        """What has fired, or was answered, since the last call.

        XenfsError or OSError: the connection and its watches are gone.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the connection back."""


class Xenstore(ABC):
    """Reading xenstore, and writing where that can be. Values are bytes: what guests write is not always text."""

    @abstractmethod
    def read(self, path: Path) -> bytes | None:
        """The value at `path`; None where there is no such node."""

    @abstractmethod
    def directory(self, path: Path) -> list[bytes] | None:
        """The names below `path`; None where there is no such node."""

    def read_many(self, paths: Sequence[Path]) -> list[bytes | None]:
        """The value at each of `paths`; None where there is none, or none that may be read: it hides no other."""

        def readable(path: Path) -> bytes | None:
            try:
                return self.read(path)
            except XenfsError as problem:
                if problem.errno != errno.EACCES:
                    raise
                return None

        return [readable(path) for path in paths]

    def write(self, path: Path, value: bytes) -> None:
        """Set the value at `path`. EROFS where this xenstore cannot be written, EACCES where xenstored forbids it."""
        raise XenfsError("this xenstore can only be read", errno.EROFS)

    def make(self, entries: Sequence[Entry]) -> None:
        """Write nodes, in this order. After an error some of them may be there: `remove` takes them away."""
        raise XenfsError("this xenstore can only be read", errno.EROFS)

    def remove(self, path: Path) -> None:
        """Take a node away with all below it; nothing happens where there is none."""
        raise XenfsError("this xenstore can only be read", errno.EROFS)

    def introduce(self, domid: int, frame: int, port: int) -> None:
        """Have a domain served over its ring, a page of its own, and its event channel. EINVAL where that cannot be."""
        raise XenfsError("this xenstore can only be read", errno.EROFS)

    def resume(self, domid: int) -> None:
        """A domain that had shut down goes on: its next end is told of again. Nothing where xenstored serves it not."""
        raise XenfsError("this xenstore can only be read", errno.EROFS)

    def watches(self) -> Watches | None:
        """New watches, in the place of those before; None where this xenstore cannot be watched. Waits for nothing."""
        return None

    def settle(self) -> None:  # noqa: B027  (nothing to end by default)
        """End what works for it beside the caller, until it is asked the next time."""

    def close(self) -> None:  # noqa: B027  (nothing to give back by default)
        """Give back what the connection holds."""
