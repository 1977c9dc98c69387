"""An open file whose bytes come in any number of writes, and are handed over as a whole."""

from __future__ import annotations

import errno
from typing import cast

from xenfs.errors import XenfsError
from xenfs.filesystem.callers import killed
from xenfs.filesystem.handles import Handle
from xenfs.filesystem.inodes import Inode
from xenfs.filesystem.shares import NOTHING_MUCH, Weight
from xenfs.nodes.tables.cost import NOTHING, Cost
from xenfs.nodes.tables.payload import Payload
from xenfs.politely import politely

LARGE = 1 << 16
_PART = 256  # bytes that a part takes beside its own


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
