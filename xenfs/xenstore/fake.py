"""A xenstore made of a mapping, for the simulator and for tests; its watches fire when they are told what changed."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from xenfs.errors import XenfsError
from xenfs.xenstore.base import Entry, Event, Path, Watches, Xenstore


@runtime_checkable
class Computed(Protocol):
    """Nodes that are made while they are asked for, and need not all be made for one directory."""

    def below(self, path: str) -> Iterable[str]:
        """Those at and below a path, and maybe others."""


@runtime_checkable
class Introducing(Protocol):
    """Nodes of a host whose domains can be introduced."""

    def introduce(self, domid: int, frame: int, port: int) -> None:
        """As xenstored does; XenfsError where that cannot be."""

    def resume(self, domid: int) -> None:
        """As xenstored does."""


class FakeXenstore(Xenstore):
    """Answers from `nodes`, absolute paths to values, which may change at any time while `lock` is held.

    The parents of a path exist, as in the real one, but only `directory` knows them: to read one gives None
    unless it is in the mapping itself, so that reading a missing name costs one look-up and not a search.
    """

    def __init__(self, nodes: Mapping[str, bytes], lock: AbstractContextManager[object] | None = None) -> None:
        self.nodes = nodes
        self._lock = lock or threading.Lock()
        self._watching: list[FakeWatches] = []
        self.rights: dict[str, tuple[str, ...]] = {}  # of nodes that were given some of their own

    def read(self, path: Path) -> bytes | None:
        """The value at `path`; None where there is no such node."""
        with self._lock:
            return self.nodes.get(_text(path))

    def directory(self, path: Path) -> list[bytes] | None:
        """The names below `path`, in the mapping's order; None where there is no such node."""
        at = _text(path)
        below = at.rstrip("/") + "/"
        with self._lock:
            nodes = self._below(below)
            names = {node[len(below) :].split("/", 1)[0]: None for node in nodes if node.startswith(below)}
            if not names and at not in self.nodes:
                return None
        return [name.encode() for name in names if name]

    def _below(self, below: str) -> list[str]:
        return list(self.nodes.below(below) if isinstance(self.nodes, Computed) else self.nodes)

    def write(self, path: Path, value: bytes) -> None:
        """Set the value at `path`, and let its watches fire."""
        if not isinstance(self.nodes, MutableMapping):
            raise XenfsError("this xenstore can only be read", errno.EROFS)
        at = _text(path)
        with self._lock:
            self.nodes[at] = value
        self.fire(at)

    def make(self, entries: Sequence[Entry]) -> None:
        """Write nodes, in this order."""
        for path, value, rights in entries:
            self.write(path, value)
            if rights:
                self.rights[path] = rights

    def remove(self, path: Path) -> None:
        """Take a node away with all below it, and let its watches fire."""
        at = _text(path)
        if not isinstance(self.nodes, MutableMapping):
            super().remove(path)
        else:
            with self._lock:
                gone = [node for node in self._below(at + "/") if node == at or node.startswith(at + "/")]
                for node in gone:
                    del self.nodes[node]
            self.rights = {node: rights for node, rights in self.rights.items() if not f"{node}/".startswith(at + "/")}
            for node in gone:
                self.fire(node)

    def introduce(self, domid: int, frame: int, port: int) -> None:
        """Have a domain of this host served."""
        if not isinstance(self.nodes, Introducing):
            raise XenfsError(f"xenstore: INTRODUCE {domid}: EINVAL", errno.EINVAL)
        with self._lock:
            self.nodes.introduce(domid, frame, port)

    def resume(self, domid: int) -> None:
        """Have the next end of a domain of this host told of."""
        if isinstance(self.nodes, Introducing):
            with self._lock:
                self.nodes.resume(domid)

    def watches(self) -> FakeWatches:
        """A connection for watches, which ends when it is closed or hung up on."""
        made = FakeWatches(self._watching, self.read)
        self._watching.append(made)
        return made

    def fire(self, path: str) -> None:
        """A node was written or removed, or one of xenstored's own events such as @releaseDomain has come."""
        for each in list(self._watching):
            each.fire(path.encode("utf-8", "surrogateescape"))

    def hang_up(self) -> None:
        """As a xenstored that ends: every connection for watches is gone."""
        for each in list(self._watching):
            each.hang_up()


class FakeWatches(Watches):
    """The watches of one connection: in the order in which they were set, each once, however often it is set."""

    def __init__(self, all_of_them: list[FakeWatches], read: Callable[[Path], bytes | None]) -> None:
        self._all, self._read = all_of_them, read
        self._set: dict[bytes, dict[bytes, None]] = {}  # by path, so that many cost no more than one when it fires
        self._fired: list[Event] = []
        self._gone = self._closed = False
        self._lock = threading.Lock()
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._fd

    def add(self, path: Path, token: bytes) -> None:
        """Set a watch, which fires once up front."""
        at = _bytes(path)
        with self._lock:
            tokens = self._set.setdefault(at, {})
            if token not in tokens:
                tokens[token] = None
                self._note(Event(at, token))

    def remove(self, path: Path, token: bytes) -> None:
        """Take a watch back."""
        with self._lock:
            tokens = self._set.get(_bytes(path), {})
            tokens.pop(token, None)
            if not tokens:
                self._set.pop(_bytes(path), None)

    def ask(self, path: Path, token: bytes) -> None:
        """Read a node now, and say so among the events."""
        value = self._read(path)
        with self._lock:
            self._note(Event(_bytes(path), token, True, value))

    def events(self) -> list[Event]:
        """What has fired since the last call."""
        with self._lock:
            if self._gone:
                raise XenfsError("xenstore: the connection is gone")
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._fd)
            fired, self._fired = self._fired, []
            return fired

    def fire(self, path: bytes) -> None:
        """Note the path for every watch that it is, or is below of."""
        with self._lock:
            for watched in _upwards(path):
                for token in self._set.get(watched, ()):
                    self._note(Event(path, token))

    def hang_up(self) -> None:
        """The other side is gone."""
        with self._lock:
            self._gone = True
            os.eventfd_write(self._fd, 1)

    def close(self) -> None:
        """Give the descriptor back."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._all.remove(self)
                os.close(self._fd)

    def _note(self, event: Event) -> None:
        if not (self._gone or self._closed):
            self._fired.append(event)
            os.eventfd_write(self._fd, 1)


def _upwards(path: bytes) -> Iterator[bytes]:
    """A path, and each that it is below of; those that begin with @ are below nothing."""
    yield path
    while path.startswith(b"/") and path != b"/":
        path = path.rpartition(b"/")[0] or b"/"
        yield path


def _text(path: Path) -> str:
    return path.decode("utf-8", "replace") if isinstance(path, bytes) else path


def _bytes(path: Path) -> bytes:
    return path if isinstance(path, bytes) else path.encode()
