"""Where a pretended domain has memory, and what lies in it: nothing is kept of a page that nobody wrote."""

from __future__ import annotations

from collections.abc import Iterable

PAGE = 4096
HOLE, ABOVE = 0xC0000, 0x100000  # frames of x86: what would lie between these two lies above
ARM_RAM = 0x40000  # the first frame of an Arm guest
BANNER = b"Linux version 6.12.0-pretended (xenfs simulator) #1 SMP"
_FIRST = 0x1000  # the frame of the banner: 16 MiB, where kernels are put


class Physmap:
    """The frames of one domain. `built` are those that whoever built it gave it, from frame 0 on without saying so."""

    __slots__ = ("_changed", "_pages", "base", "built", "holed")

    def __init__(self, *, holed: bool, base: int = 0) -> None:
        self.built, self.holed, self.base = 0, holed, base
        self._changed: dict[int, bool] = {}  # since it was built, by frame: whether there is memory now
        self._pages: dict[int, bytearray] = {}

    def has(self, frame: int) -> bool:
        """Whether there is memory."""
        changed = self._changed.get(frame)
        return self._is_built(frame) if changed is None else changed

    def _is_built(self, frame: int) -> bool:
        at = frame - self.base
        if self.holed and at >= HOLE:
            at = at - ABOVE + HOLE if at >= ABOVE else -1
        return 0 <= at < self.built

    @property
    def top(self) -> int:
        """The highest frame with memory, as Xen remembers it: what was taken away counts."""
        above = ABOVE - HOLE if self.holed and self.built > HOLE else 0
        added = max((frame for frame, there in self._changed.items() if there), default=0)
        return max(self.base + self.built + above - 1 if self.built else 0, added)

    def add(self, frames: Iterable[int]) -> None:
        """Memory full of zeros."""
        for frame in frames:
            self._changed[frame] = True
            self._pages.pop(frame, None)

    def place(self, frame: int, page: bytearray) -> None:
        """A page that lies elsewhere too."""
        self._changed[frame] = True
        self._pages[frame] = page

    def drop(self, frame: int) -> bool:
        """Take a page away; whether there was one."""
        if not self.has(frame):
            return False
        self._changed[frame] = False
        self._pages.pop(frame, None)
        return True

    def page(self, frame: int) -> bytearray:
        """What is there, to be read or written."""
        if frame not in self._pages:
            self._pages[frame] = bytearray(PAGE)
            if frame in (self.base, self.base + _FIRST) and self._is_built(frame):
                self._pages[frame][: len(BANNER)] = BANNER
        return self._pages[frame]
