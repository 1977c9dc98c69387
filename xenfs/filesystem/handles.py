"""Open files: the snapshot that is being read, the question that was asked."""

from __future__ import annotations

import contextlib
import errno

from xenfs.connect.watcher import VALUES
from xenfs.errors import XenfsError
from xenfs.filesystem.callers import NOBODY
from xenfs.filesystem.inodes import Inode
from xenfs.filesystem.shares import NOTHING_MUCH, Share, Weight
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables.base import Exchange, File
from xenfs.nodes.tables.cost import NOTHING, Cost
from xenfs.nodes.tables.pieces import Content
from xenfs.nodes.tables.region import Region


class Handle:
    """A plain file. The read at offset 0 takes a snapshot, and later offsets are cut from it."""

    share: Share  # of the user who opened it
    shared = True  # a snapshot is as good for every open of the file

    def __init__(self, inode: Inode, node: File) -> None:
        self.inode, self.node = inode, node
        self.content: Content | None = None
        self.weighed = NOTHING_MUCH  # what of it counts against its user's share
        self.caller = NOBODY  # who opened it: a read or a write does not say whose it is

    def cost(self, offset: int) -> Cost:
        """What a read from there grows with: nothing where the snapshot has it."""
        return self.node.grows if offset == 0 or self.content is None else NOTHING

    def read(self, xen: Hypervisor, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` of the snapshot."""
        if offset == 0 or self.content is None:
            self.content = self.node.content(xen, self.inode.ids)
        return self.content[offset : offset + size]

    def weigh(self) -> None:
        """Count what is remembered against the user's share; where that is too much, ENOMEM, and it is forgotten."""
        now = Weight(self.content, len(self.content or b""))
        try:
            self.share.weigh(self.weighed, now)
        except XenfsError:
            self.forget()
            raise
        self.weighed = now

    def forget(self) -> None:
        """Remember nothing: the next read takes a snapshot again."""
        self.content = None

    def keep(self) -> None:
        """The same after a write, which has been carried out and must not be answered with an error of ours."""
        with contextlib.suppress(XenfsError):
            self.weigh()

    def write(self, xen: Hypervisor, data: bytes, offset: int) -> None:
        """One write, one operation; the offset says nothing, so that > and >> are alike."""
        self.node.apply(xen, self.inode.ids, data)


class Remembered(Handle):
    """What stays, once it is known: read by the kernel into its own memory, from where it answers from then on."""

    def __init__(self, inode: Inode, node: File, content: bytes) -> None:
        super().__init__(inode, node)
        self.content = content

    def cost(self, offset: int) -> Cost:
        """Nothing: nobody is asked."""
        return NOTHING

    def read(self, xen: Hypervisor, offset: int, size: int) -> bytes:
        """A part of it."""
        assert self.content is not None
        return self.content[offset : offset + size]


class Watched(Handle):
    """A value that can be waited for, as cgroup.events: what this open has read last is what it knows."""

    topic = VALUES

    def ahead(self, xen: Hypervisor) -> bool:
        """Whether a read from the beginning would find something else."""
        return self.content is None or self.node.produce(xen, self.inode.ids) != self.content


class Transaction(Handle):
    """Asked by a write and answered by reads; the next question is EBUSY until the answer has been read to its end.

    Before any question, a read finds the form.
    """

    node: Exchange
    shared = False
    _lost = False  # there was an answer, and no room to remember it
    _due = False  # an answer is there, and its end has not been read
    _asked = 0  # where the question left the position of the open file
    _begin: int | None = None  # the offset of the answer's first byte, known from the first read

    def cost(self, offset: int) -> Cost:
        """Nothing: the answer is there since the question was written, or the form is fixed."""
        return NOTHING

    def read(self, xen: Hypervisor, offset: int, size: int) -> bytes:
        """The answer, from offset 0 or from where the question ended (a shell cannot seek)."""
        if self._lost:
            raise XenfsError("the answer was too much to remember beside what else is open", errno.ENOMEM)
        if self.content is None:
            return self.node.produce(xen, self.inode.ids)[offset : offset + size]
        if self._begin is None or offset < self._begin:
            self._begin = self._asked if offset == self._asked else 0
        at = offset - self._begin
        self._due = self._due and at + size < len(self.content)
        return self.content[at : at + size]

    def keep(self) -> None:
        """Where there is no room for the answer, its reader is told."""
        try:
            self.weigh()
        except XenfsError:
            self._lost = True

    def forget(self) -> None:
        """There is no answer, and the form is none."""
        self.content, self._begin, self._due = b"", None, False

    def write(self, xen: Hypervisor, data: bytes, offset: int) -> None:
        """Ask; the answer, or why there is none, is known when this returns."""
        if self._due:
            raise XenfsError("the answer to the last question has not been read to its end", errno.EBUSY)
        self.forget()
        self._lost = False
        self.content, self._asked = self.node.ask(xen, self.inode.ids, data), offset + len(data)
        self._due = bool(self.content)


class Place(Handle):
    """Bytes that are read and written where they lie: nothing is remembered."""

    node: Region
    shared = False

    def read(self, xen: Hypervisor, offset: int, size: int) -> bytes:
        """What lies there now."""
        return self.node.part(xen, self.inode.ids, offset, size)

    def cost(self, offset: int) -> Cost:
        """Each read asks."""
        return self.node.grows

    def write(self, xen: Hypervisor, data: bytes, offset: int) -> None:
        """Write there."""
        self.node.put(xen, self.inode.ids, offset, data)
