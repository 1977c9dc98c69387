"""Open files: the snapshot that is being read, the question that was asked, how far a stream has been followed."""

from __future__ import annotations

import contextlib
import errno
from typing import Any, cast

from xenfs.connect.watcher import VALUES
from xenfs.errors import XenfsError
from xenfs.filesystem.callers import NOBODY, killed
from xenfs.filesystem.inodes import Inode
from xenfs.filesystem.shares import NOTHING_MUCH, Share, Weight
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables.base import Exchange, File, Stream
from xenfs.nodes.tables.cost import NOTHING, Cost
from xenfs.nodes.tables.payload import Payload
from xenfs.nodes.tables.pieces import Content
from xenfs.nodes.tables.region import Region
from xenfs.politely import politely

LARGE = 1 << 16
_PART = 256  # bytes that a part takes beside its own


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


class Gathering(Handle):
    """One open of a Payload. What has been gathered counts to its user's share, and goes when the file is closed.

    It is kept as it was written, and put together in a thread: to copy tens of megabytes takes as many milliseconds.
    """

    node: Payload
    shared = False

    def __init__(self, inode: Inode, node: Payload) -> None:
        super().__init__(inode, node)
        self._parts: list[tuple[int, bytearray]] = []  # the later lies upon the earlier
        self._length = self._held = 0
        self._new = False  # something came since it was handed over last
        self._done = False

    def cost(self, offset: int) -> Cost:
        """There is nothing to read."""
        return NOTHING

    @property
    def taking(self) -> Cost:
        """What handing it over grows with."""
        return Cost.LENGTH if self._length > LARGE else NOTHING

    def gather(self, data: bytes, offset: int) -> None:
        """Put these bytes there, as in any file; zeros where nothing was written. EFBIG, ENOMEM; EBUSY when over."""
        if self._done:
            raise XenfsError("what was written has been handed over: open the file anew", errno.EBUSY)
        end = offset + len(data)
        self.node.require_room(end)
        length, held = max(end, self._length), self._held + len(data)
        begin, last = self._parts[-1] if self._parts else (0, bytearray())
        goes_on = begin + len(last) == offset and 0 < len(last) <= LARGE - len(data)
        held += 0 if goes_on else _PART
        now = Weight(self._parts, max(length, held))
        self.share.weigh(self.weighed, now)
        self.weighed, self._length, self._held = now, length, held
        if goes_on:
            last += data
        else:
            self._parts.append((offset, bytearray(data)))
        self._new = self._new or bool(data)

    def taken(self) -> bytes:
        """All that has been gathered, to be handed over now; nothing where that was done, or nothing came since."""
        if not self._new:
            return b""
        self._new = False
        whole = bytearray(self._length)
        for offset, part in politely(list(self._parts), 1):
            written = bytes(part)  # it may go on meanwhile
            whole[offset : offset + len(written)] = written
        return cast(bytes, whole)  # nobody else has it: to make bytes of it is one more copy, in one step

    def drop(self) -> None:
        """It has been taken, or never will be: remember nothing."""
        self._done = True
        self._new = False
        self._parts.clear()
        self.share.weigh(self.weighed, NOTHING_MUCH)
        self.weighed = NOTHING_MUCH

    @property
    def torn(self) -> bool:
        """Whether there is something whose writer ends by a signal just now: the kernel closes his files for him."""
        return self._new and killed(self.caller.pid)


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
            self._begin = 0
            self._follow(xen, self._start)
        elif offset >= self._end:
            self._begin = self._end
            self._follow(xen, self._position)
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
        if self._taken >= self._end:
            self._begin = self._end
            self._follow(xen, self._position)
            return bool(self.content)
        return False

    @property
    def length(self) -> int:
        """Of a file that has just what was read, and what is there to be read."""
        return max(self._taken, self._end)

    def forget(self) -> None:
        """What was not read yet is looked for once more."""
        self.content, self._position = b"", self._before

    def ahead(self, xen: Hypervisor) -> bool:
        """Whether a read that goes on where the last one ended would find something."""
        return self._taken < self._end or self.node.ahead(xen, *self.inode.ids, self._position)


def open_file(inode: Inode, kept: bytes | None = None) -> Handle:
    """The handle for an open of this inode; `kept` is what is known of it to stay."""
    node = inode.node
    if type(node) is File:  # nearly all are
        if kept is not None:
            return Remembered(inode, node, kept)
        return Watched(inode, node) if node.wakes else Handle(inode, node)
    if isinstance(node, Stream):
        return Follower(inode, node)
    if isinstance(node, Exchange):
        return Transaction(inode, node)
    if isinstance(node, Region):
        return Place(inode, node)
    if isinstance(node, Payload):
        return Gathering(inode, node)
    if isinstance(node, File):
        return Handle(inode, node)
    raise XenfsError(f"{inode.path} is not a file", errno.EISDIR)
