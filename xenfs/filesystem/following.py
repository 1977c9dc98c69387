"""An open file that grows: how far it has been followed."""

from __future__ import annotations

import threading
from typing import Any

from xenfs.filesystem.handles import Handle
from xenfs.filesystem.inodes import Inode
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables.base import Stream
from xenfs.nodes.tables.cost import NOTHING, Cost


class Follower(Handle):
    """A growing file: reading on from where the last read ended gives what is new, or end of file."""

    node: Stream
    shared = False

    def __init__(self, inode: Inode, node: Stream) -> None:
        super().__init__(inode, node)
        self._start: Any = None
        self._before: Any = None  # the position that content was followed from
        self._position: Any = None
        self._begin = 0  # the offset of the first byte of content
        self._taken = 0  # the offset behind the last byte that was read
        self._taking = False
        self._looking = threading.Lock()  # a process may ask how long a file is in one thread, and read it in another
        self.content = b""

    @property
    def topic(self) -> str:
        """Whose news it gives."""
        return self.node.topic

    @property
    def _end(self) -> int:
        return self._begin + len(self.content or b"")

    def cost(self, offset: int) -> Cost:
        """What looking for news grows with: nothing where what is there suffices."""
        return self.node.grows if offset == 0 or offset >= self._end else NOTHING

    def begin(self, xen: Hypervisor) -> None:
        """Opened: everything from here on is new to this open."""
        self._start = self._position = self.node.start(xen, *self.inode.ids)

    def read(self, xen: Hypervisor, offset: int, size: int) -> bytes:
        """Bytes at `offset`; those that have gone by are gone, and offset 0 begins anew."""
        if offset == 0 and (self._taken or not self.content):
            with self._looking:
                self._begin = 0
                self._follow(xen, self._start)
        elif offset >= self._end:
            self._go_on(xen, offset)
        at = offset - self._begin
        found = (self.content or b"")[at : at + size] if at >= 0 else b""
        self._taken = offset + len(found)
        return found

    def _follow(self, xen: Hypervisor, position: Any) -> None:
        self._before = position
        self.content, self._position = self.node.go_on(xen, self.inode.ids, position, taking=self._taking)

    def write(self, xen: Hypervisor, data: bytes, offset: int) -> None:
        """Where that is how to: from here on what is read is taken away. It is read on behind what was written."""
        super().write(xen, data, offset)
        self._taking = True
        self.content, self._begin = b"", offset + len(data)

    def grown(self, xen: Hypervisor) -> bool:
        """Look on, if all that is there was read; whether something is there that was not."""
        return self._go_on(xen, self._taken)

    def _go_on(self, xen: Hypervisor, offset: int) -> bool:
        """Follow on from what is there, if that ends here; whether there is more then. What another thread has found
        meanwhile is there, and not gone by."""
        with self._looking:
            if offset < self._end:
                return False
            self._begin = self._end
            self._follow(xen, self._position)
            return bool(self.content)

    @property
    def length(self) -> int:
        """Of a file that has just what was read, and what is there to be read."""
        return max(self._taken, self._end)

    def forget(self) -> None:
        """What was not read yet is looked for once more."""
        self.content, self._position = b"", self._before

    @property
    def unread(self) -> bool:
        """Whether something is there that a read would find without asking."""
        return self._taken < self._end

    @property
    def position(self) -> Any:
        """Up to where it was followed."""
        return self._position

    def ahead(self, xen: Hypervisor) -> bool:
        """Whether a read that goes on where the last one ended would find something."""
        return self.unread or self.node.ahead(xen, *self.inode.ids, self._position)
