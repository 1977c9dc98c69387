"""What a name in Xen's own small filesystem can be: a directory, a value, a parameter that Xen parses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from errno import EACCES, EBUSY, EDOM, EINVAL, ENOSPC

from xenfs.simulator.world.cpupools import Cpupool
from xenfs.simulator.world.refused import Refused

DIR, BLOB, STRING, UINT, INT, BOOL = range(6)
PLAIN, GZIP = 0, 1
LONGEST_PARAMETER = 1024
GRANULARITY_BYTES = 8

Check = Callable[[str], str]
"""What a text that is written becomes; Refused where it means nothing."""


class Entry:
    """A name in the tree. `content` is what a read gives, `room` how long a write may be (0: none)."""

    type, encoding, room = DIR, PLAIN, 0

    @property
    def content(self) -> bytes:
        """The bytes as Xen would copy them."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Change it, or raise Refused."""
        raise Refused(EACCES)


class Directory(Entry):
    """A directory, its names in order."""

    def __init__(self, names: Callable[[], dict[str, Entry]]) -> None:
        self._names = names

    @property
    def entries(self) -> dict[str, Entry]:
        """What is in it, sorted as Xen sorts: by bytes."""
        return dict(sorted(self._names().items()))


@dataclass
class Value(Entry):
    """A value that Xen keeps: a number of so many bytes, or a text with its end mark."""

    kept: bytes
    type: int = STRING
    encoding: int = PLAIN
    room: int = 0

    @property
    def content(self) -> bytes:
        return self.kept

    def write(self, data: bytes) -> None:
        """As Xen's generic writers: ENOSPC too long, EDOM another length, EINVAL a text without its end mark."""
        if not self.room:
            raise Refused(EACCES)
        if self.type == BOOL and len(data) != self.room:
            raise Refused(EDOM)
        if len(data) > self.room:
            raise Refused(ENOSPC)
        if self.type not in (STRING, BLOB) and len(data) != len(self.kept):
            raise Refused(EDOM)
        if self.type == STRING and data.find(0) != len(data) - 1:
            raise Refused(EINVAL)
        self.kept = bytes([data[0] != 0]) if self.type == BOOL else data


class Parameter(Value):
    """A text that Xen parses before it keeps what came of it."""

    def __init__(self, text: str, room: int, check: Check) -> None:
        super().__init__(text.encode() + b"\0", room=room)
        self.check = check

    def write(self, data: bytes) -> None:
        """ENOSPC far too long, EDOM without an end mark, and whatever the parser says."""
        if len(data) > LONGEST_PARAMETER:
            raise Refused(ENOSPC)
        if not data or data.find(0) != len(data) - 1:
            raise Refused(EDOM)
        self.kept = self.check(data[:-1].decode("latin-1")).encode() + b"\0"


class Granularity(Entry):
    """The scheduling granularity of a cpupool; only that of a pool without CPUs can be changed."""

    type, room = STRING, GRANULARITY_BYTES

    def __init__(self, pool: Cpupool) -> None:
        self.pool = pool

    @property
    def content(self) -> bytes:
        return self.pool.granularity.encode() + b"\0"

    def write(self, data: bytes) -> None:
        """ENOSPC too long, EINVAL no granularity, EBUSY a pool with CPUs."""
        if len(data) > GRANULARITY_BYTES:
            raise Refused(ENOSPC)
        name = data[:-1].decode("latin-1")
        if data[-1:] != b"\0" or name not in ("cpu", "core", "socket"):
            raise Refused(EINVAL)
        if self.pool.cpus:
            raise Refused(EBUSY)
        self.pool.granularity = name
