"""An open file whose bytes come in any number of writes, and are handed over as a whole."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

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
_MOST_PARTS = 1 << 12
_MOST_OVER = 16 << 20  # bytes that lie below others, beside as many as the whole has


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
        self.under_way = False
        """Whether it is being handed over."""

    def cost(self, offset: int) -> Cost:
        """There is nothing to read."""
        return NOTHING

    @property
    def taking(self) -> Cost:
        """What handing it over grows with."""
        return Cost.LENGTH if max(self._length, self._held) > LARGE else NOTHING

    def gather(self, data: bytes, offset: int) -> None:
        """Put these bytes there, as in any file; zeros where nothing was written. EFBIG, ENOMEM; EBUSY when over, or
        while that goes on."""
        if self._done or self.under_way:
            raise XenfsError("what was written has been handed over: open the file anew", errno.EBUSY)
        if not data:
            return
        end = offset + len(data)
        self.node.require_room(end)
        begin, last = self._parts[-1] if self._parts else (0, bytearray())
        goes_on = bool(last) and begin <= offset <= begin + len(last) and end - begin <= max(LARGE, len(last))
        more = max(0, end - begin - len(last)) if goes_on else len(data) + _PART
        length, held = max(end, self._length), self._held + more
        if held > 2 * length + _MOST_OVER or (len(self._parts) >= _MOST_PARTS and not goes_on):
            raise XenfsError("it was written in too many parts, or over too often", errno.ENOMEM)
        now = Weight(self._parts, max(length, held))
        self.share.weigh(self.weighed, now)
        self.weighed, self._length, self._held = now, length, held
        if goes_on:
            last[offset - begin : end - begin] = data
        else:
            self._parts.append((offset, bytearray(data)))
        self._new = True

    @contextmanager
    def handing_over(self) -> Iterator[None]:
        """Nothing is written meanwhile: it would be in what is handed over in part, or be lost. Where there was no
        room to begin, who asks again has it handed over again."""
        self.under_way = True
        try:
            yield
        except XenfsError as problem:
            self._new = self._new or problem.errno == errno.EAGAIN
            raise
        finally:
            self.under_way = False

    def taken(self) -> bytes:
        """All that has been gathered, to be handed over now; nothing where that was done, or nothing came since."""
        if not self._new:
            return b""
        self._new = False
        whole = bytearray(self._length)
        for offset, part in politely(list(self._parts), 1):
            whole[offset : offset + len(part)] = part
        return cast(bytes, whole)  # nobody else has it: to make bytes of it is one more copy, in one step

    def drop(self) -> list[Any]:
        """It has been taken, or never will be: remember nothing. What there was is given back, to be freed."""
        self._done = True
        self._new = False
        parts, self._parts = self._parts, []
        self.share.weigh(self.weighed, NOTHING_MUCH)
        self.weighed = NOTHING_MUCH
        return parts

    @property
    def torn(self) -> bool:
        """Whether there is something whose writer ends by a signal just now: the kernel closes his files for him."""
        return self._new and not self.under_way and killed(self.caller.pid)
