"""How mappings are cut: pages into equal blocks, each of which serves one buffer at a time."""

from __future__ import annotations

import mmap
from bisect import bisect_left
from typing import Any

from xenfs.pool.libc import ffi, libc
from xenfs.pool.pages import PAGE

BYTES = ffi.typeof("char *")

STEP = 64
"""The smallest size class; every block's size and address is a multiple of it."""

SMALL = (64, 128, 192, 256, 320, 384, 448, 512, 576, 640, 768, 1024, 1344, 2048, PAGE)
MEDIUM = tuple(PAGE * pages for pages in (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16))
SHELVED = SMALL + MEDIUM
"""The size classes that share mappings. Larger buffers have a mapping each."""


def address_of(area: mmap.mmap) -> int:
    """Where a mapping begins; it may be one that can only be read."""
    with ffi.from_buffer(area) as held:
        return int(ffi.cast("uintptr_t", held))


def shelf_index(nbytes: int, align: int) -> int:
    """Which of SHELVED serves nbytes at that alignment; len(SHELVED) when none does."""
    if align > STEP and nbytes <= PAGE:  # within a page only powers of two lie at multiples of themselves
        nbytes = 1 << (max(nbytes, align) - 1).bit_length()
    return bisect_left(SHELVED, nbytes)


def large_size(nbytes: int) -> int:
    """Bytes of a mapping for one buffer: four sizes to each doubling, so that a fifth at most is wasted."""
    step = max(PAGE, 1 << (nbytes - 1).bit_length() - 3)
    return -(-nbytes // step) * step


class Block:
    """Memory for one buffer at a time. Only the one who has it on loan writes to its counters: they need no lock."""

    __slots__ = (
        "base", "buffer", "bytes_in", "bytes_out", "free", "last", "mapping", "number", "operation", "raw", "size",
        "start", "uses", "window", "zeros",
    )  # fmt: skip

    def __init__(self, mapping: Mapping, start: int, size: int, free: list[Block], zeros: memoryview | None) -> None:
        self.mapping, self.size = mapping, size
        self.base = self.start = start  # buffers begin at `start`: behind the guard bytes where there are any
        self.free = free  # where it goes on release
        self.zeros = zeros  # what clears it quickly on release; None: release takes more than that
        self.raw: Any = ffi.buffer(ffi.cast(BYTES, start), size)
        self.window: memoryview | None = None  # the same to cut from, for who looks at addresses
        self.buffer: Any = None  # the Buffer of the last use, over when it is not live; its file stands on this one
        self.number = self.uses = self.bytes_in = self.bytes_out = 0
        self.last = self.operation = ""

    @property
    def lent(self) -> Any:
        """The Buffer that the block serves now; None where it is free."""
        buf = self.buffer
        return buf if buf is not None and buf._live else None

    def clear(self, at: int = 0, nbytes: int | None = None) -> None:
        """Zero the block, or nbytes of it from byte `at` on."""
        if self.zeros is not None and nbytes is None:
            self.raw[:] = self.zeros
        else:
            libc.memset(ffi.cast(BYTES, self.base + at), 0, self.size if nbytes is None else nbytes)


class Mapping:
    """One mapping and the blocks that it was cut into."""

    def __init__(self, memory: mmap.mmap) -> None:
        self.memory = memory
        self._pin: Any = ffi.from_buffer(memory, require_writable=True)
        self.start = int(ffi.cast("uintptr_t", self._pin))
        self.nbytes = len(memory)
        self.blocks: list[Block] = []
        self._pages: list[list[Block]] = []  # for each page that was cut, the blocks in it

    @property
    def left(self) -> int:
        """Bytes that belong to no block yet."""
        return self.nbytes - PAGE * len(self._pages)

    def cut(self, size: int, count: int, free: list[Block], zeros: memoryview | None) -> list[Block]:
        """About `count` blocks of a size from the next whole pages, fewer where the mapping ends."""
        blocks: list[Block] = []
        while len(blocks) < count and self.left >= size:
            start = self.start + self.nbytes - self.left
            run = [Block(self, start + at, size, free, zeros) for at in range(0, max(1, PAGE // size) * size, size)]
            self._pages.extend([run] * max(1, size // PAGE))
            blocks += run
        self.blocks = self.blocks + blocks  # anew: others may be going through the old list
        return blocks

    def block_at(self, address: int) -> Block | None:
        """The block that holds the byte at that address, if one does."""
        page = (address - self.start) // PAGE
        if not 0 <= page < len(self._pages):
            return None
        run = self._pages[page]
        index = (address - run[0].base) // run[0].size
        return run[index] if index < len(run) else None

    def unpin(self) -> mmap.mmap:
        """The memory, ready to be given back: nothing of ours refers to it any more."""
        ffi.release(self._pin)
        return self.memory
