"""A file that takes one big thing: its bytes are gathered over many writes and handed over together."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from xenfs.errors import BadInput, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables.base import Dir, Each, File, Ids, Node


@dataclass(frozen=True, eq=False, kw_only=True, repr=False, slots=True)
class Payload(File):
    """What is written to one open file, wherever in it, is handed over when it is closed, or by fsync(2).

    How that ended is what close(2) or fsync(2) says. Nothing is handed over of a writer that was killed. `most` bytes
    are taken: EFBIG for more.
    """

    most: int
    binary: bool = True

    @property
    def size(self) -> int:
        """0: it cannot be read."""
        return 0

    def require_room(self, end: int) -> None:
        """EFBIG where so many bytes are more than it takes."""
        if end > self.most:
            raise BadInput(f"no more than {self.most} bytes are taken", errno.EFBIG)

    def apply(self, xen: Hypervisor, ids: Ids, data: bytes) -> None:
        """Hand over the whole; nothing at all is not handed over."""
        if self.write is None:
            raise XenfsError(f"{self.name} cannot be written", errno.EBADF)
        if not data:
            raise BadInput("nothing was written", at=0)
        self.require_room(len(data))
        File.apply(self, xen, ids, data)


def gathers(node: Node | Each) -> bool:
    """Whether there can be such a file here or below. A shape that a function gives has none."""
    if isinstance(node, Each):
        return isinstance(node.node, Node) and gathers(node.node)
    return isinstance(node, Payload) or (isinstance(node, Dir) and any(gathers(entry) for entry in node.entries))
