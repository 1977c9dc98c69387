"""Files that truncate(2) changes: binary ones whose bytes lie where they lie, and those that it clears."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass

from xenfs.errors import XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables.base import File, Ids, Writer

_MOST_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False, kw_only=True, repr=False, slots=True)
class Region(File):
    """Bytes that are read and written where they lie, at any offset, as those of a block device: dd, xxd, pread.

    `read(xen, *ids, offset, size)` gives what is there, `write(xen, *ids, offset, data)` puts it there, whole or not at
    all. `length(xen, *ids)` is what stat shows, and `cut(xen, *ids, size)` is truncate, which a shell's ">" does first.
    """

    length: Callable[..., int]
    cut: Writer | None = None
    binary: bool = True
    format: str = "binary"

    @property
    def size(self) -> int:
        """0: each has a length of its own."""
        return 0

    def content(self, xen: Hypervisor, ids: Ids) -> bytes:
        """All of it, or its beginning where it is more than anybody wants at once."""
        return self.part(xen, ids, 0, min(self.nbytes(xen, ids), _MOST_AT_ONCE))

    def nbytes(self, xen: Hypervisor, ids: Ids) -> int:
        """How many bytes there are."""
        return int(self.guarded(self.length, xen, ids))

    def part(self, xen: Hypervisor, ids: Ids, offset: int, size: int) -> bytes:
        """What lies there."""
        if self.read is None:
            return b""
        found = bytes(self.guarded(self.read, xen, (*ids, offset, size)))
        self.require_alive(xen, ids)
        return found

    def put(self, xen: Hypervisor, ids: Ids, offset: int, data: bytes) -> None:
        """Write there."""
        if self.write is None:
            raise XenfsError(f"{self.name} cannot be written", errno.EBADF)
        self.require_alive(xen, ids)
        self.guarded(self.write, xen, (*ids, offset, data))
        self.require_same(xen, ids)

    def apply(self, xen: Hypervisor, ids: Ids, data: bytes) -> None:
        """A write at its beginning."""
        self.put(xen, ids, 0, data)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False, slots=True)
class Clearable(File):
    """Text that any write clears, and truncate(2) to nothing too: a shell's `: >` does that and writes nothing."""

    def clear(self, xen: Hypervisor, ids: Ids) -> None:
        """Clear it."""
        self.apply(xen, ids, b"")
