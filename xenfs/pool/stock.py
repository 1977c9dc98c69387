"""All memory of a pool: mappings, cut into blocks, shelved by size. It grows on demand, up to a bound."""

from __future__ import annotations

import errno
import itertools
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator

from xenfs.errors import PoolError
from xenfs.pool.blocks import SHELVED, STEP, Block, Mapping, large_size, shelf_index
from xenfs.pool.pages import PAGE, Pages
from xenfs.pool.zones import paint

_MAPPING = 256 << 10
_GROWTH_BLOCKS, _GROWTH_BYTES = 16, 64 << 10
_LOOK_AGAIN_S = 0.001
_ZEROS = bytes(SHELVED[-1])  # for all shelves: with some for each it was 0.25 MB more


class Shelf:
    """The blocks of one size class that nobody has. Taking and giving back are one list operation each: atomic."""

    def __init__(self, size: int, plain: bool) -> None:
        self.size = size
        self.free: list[Block] = []
        self.total = 0
        self.zeros = memoryview(_ZEROS)[:size] if plain else None

    @property
    def growth(self) -> int:
        """How many blocks to add: 16 at first where they are small, later as many as there are."""
        few = max(1, PAGE // self.size, min(_GROWTH_BLOCKS, _GROWTH_BYTES // self.size))
        return max(few, min(self.total, _MAPPING // self.size))


class Stock:
    """Finds and makes blocks. All of this but the shelves' lists is done under one lock, off the hot path."""

    def __init__(self, pages: Pages, max_bytes: int, wait_s: float, *, plain: bool) -> None:
        self.pages, self.max_bytes, self.wait_s, self.plain = pages, max_bytes, wait_s, plain
        self.keep_idle = min(4 << 20, max_bytes // 4)
        self.shelves = [Shelf(size, plain) for size in SHELVED]
        self.mappings: list[Mapping] = []  # by address; replaced, never changed, so that readers need no lock
        self._starts: tuple[list[int], list[Mapping]] = [], []  # the same to look an address up
        self.bytes_mapped = self.misses = self.too_big = 0
        self.gone_uses = self.gone_in = self.gone_out = 0  # of blocks that are no more
        self._idle: list[Block] = []  # the large ones, the longest idle first
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def quick(self) -> dict[int, list[Block]]:
        """For each number of steps that a buffer may need, the free blocks that serve it."""
        return {steps: self.shelves[shelf_index(steps * STEP, 8)].free for steps in range(1, SHELVED[-1] // STEP + 1)}

    def fetch(self, nbytes: int, align: int) -> Block:
        """A block of at least nbytes; ENOMEM when the bound has left no room for it during `wait_s` seconds."""
        index = shelf_index(nbytes, align)
        size = SHELVED[index] if index < len(SHELVED) else large_size(nbytes)
        if size > self.max_bytes:
            raise PoolError(
                f"a buffer of {nbytes} bytes is more than the pool may hold, {self.max_bytes}", errno.ENOMEM
            )
        until = time.monotonic() + self.wait_s
        while True:
            with self._lock:
                block = self._shelved(index, align) if index < len(SHELVED) else self._large(size)
            if block is not None:
                return block
            if time.monotonic() >= until:
                raise PoolError(self._exhausted(nbytes), errno.ENOMEM)
            time.sleep(_LOOK_AGAIN_S)  # whoever waits looks again: a notice would cost every release

    def put_away(self, block: Block) -> None:
        """Take a cleared block back; idle large mappings beyond `keep_idle` bytes go back to the system whole."""
        if block.free is not self._idle:
            block.free.append(block)
            return
        with self._lock:
            self._idle.append(block)
            self._trim(self.keep_idle)

    def trim(self, keep: int = 0) -> None:
        """Give idle large mappings back, until no more than `keep` bytes of them are left."""
        with self._lock:
            self._trim(keep)

    def block_at(self, address: int) -> Block | None:
        """The block that holds the byte at that address, if one does."""
        starts, mappings = self._starts
        at = bisect_right(starts, address) - 1
        return mappings[at].block_at(address) if at >= 0 else None

    def blocks(self) -> Iterator[Block]:
        """Every block there is."""
        return itertools.chain.from_iterable(mapping.blocks for mapping in self.mappings)

    def close(self) -> None:
        """Give everything back."""
        with self._lock:
            for mapping in self.mappings:
                self._unmap(mapping)
            self._idle.clear()

    # What follows runs under the lock

    def _shelved(self, index: int, align: int) -> Block | None:
        shelf = self.shelves[index]
        return self._from(shelf) or self._grown(shelf) or self._borrowed(index, align)

    def _from(self, shelf: Shelf) -> Block | None:
        try:  # with guard bytes the oldest first: what was released should stay painted for as long as possible
            return shelf.free.pop(-1 if self.plain else 0)
        except IndexError:
            return None

    def _grown(self, shelf: Shelf) -> Block | None:
        mapping = self._room_for(shelf.size, shelf.growth)
        if mapping is None:
            return None
        self.misses += 1
        first, *others = self._cut(mapping, shelf.size, shelf.growth, shelf)
        shelf.total += 1 + len(others)
        shelf.free.extend(others)
        return first

    def _borrowed(self, index: int, align: int) -> Block | None:
        """A block of a larger class, when there is no room for one of the right class."""
        fits = (s for s in self.shelves[index + 1 :] if s.size >= PAGE or s.size % max(align, STEP) == 0)
        return next((block for shelf in fits if (block := self._from(shelf))), None)

    def _large(self, size: int) -> Block | None:
        fits = [block for block in self._idle if size <= block.size <= 2 * size]
        if fits:
            block = min(fits, key=lambda block: block.size)
            self._idle.remove(block)
            return block
        self._make_room(size)
        if self.bytes_mapped + size > self.max_bytes:
            return None
        self.misses += 1
        self.too_big += 1
        return self._cut(self._map(size, size), size, 1, None)[0]

    def _room_for(self, size: int, count: int) -> Mapping | None:
        """A mapping with room for that many blocks, an old one or a new one; with less room if it must be."""
        wanted = -(-size * count // PAGE) * PAGE
        for mapping in self.mappings:
            if mapping.left >= wanted:
                return mapping
        usual = max(_MAPPING, wanted, self.bytes_mapped // 4 // PAGE * PAGE)
        self._make_room(usual)
        nbytes = min(usual, (self.max_bytes - self.bytes_mapped) // PAGE * PAGE)
        if nbytes >= size:
            return self._map(nbytes, -(-size // PAGE) * PAGE)
        return next((mapping for mapping in self.mappings if mapping.left >= size), None)

    def _make_room(self, nbytes: int) -> None:
        while self._idle and self.bytes_mapped + nbytes > self.max_bytes:
            self._unmap(self._idle.pop(0).mapping)

    def _trim(self, keep: int) -> None:
        while self._idle and sum(block.size for block in self._idle) > keep:
            self._unmap(self._idle.pop(0).mapping)

    def _map(self, nbytes: int, least: int) -> Mapping:
        try:
            mapping = Mapping(self.pages.map(nbytes))
        except PoolError:  # a small RLIMIT_MEMLOCK may still allow what is needed now
            if nbytes == least:
                raise
            mapping = Mapping(self.pages.map(least))
        self.bytes_mapped += mapping.nbytes
        self._know(sorted([*self.mappings, mapping], key=lambda each: each.start))
        return mapping

    def _know(self, mappings: list[Mapping]) -> None:
        self.mappings = mappings
        self._starts = [each.start for each in mappings], mappings

    def _cut(self, mapping: Mapping, size: int, count: int, shelf: Shelf | None) -> list[Block]:
        zeros, free = (None, self._idle) if shelf is None else (shelf.zeros, shelf.free)
        blocks = mapping.cut(size, count, free, zeros)
        for block in blocks:
            block.number = next(self._numbers)
            if not self.plain:
                paint(block, 0, block.size)
        return blocks

    def _unmap(self, mapping: Mapping) -> None:
        self._know([each for each in self.mappings if each is not mapping])
        self.bytes_mapped -= mapping.nbytes
        self.gone_uses += sum(block.uses for block in mapping.blocks)
        self.gone_in += sum(block.bytes_in for block in mapping.blocks)
        self.gone_out += sum(block.bytes_out for block in mapping.blocks)
        self.pages.unmap(mapping.unpin())

    def _exhausted(self, nbytes: int) -> str:
        waited = f" in {self.wait_s} s" if self.wait_s else ""
        return (
            f"no room for a buffer of {nbytes} bytes{waited}: the pool holds {self.bytes_mapped} bytes "
            f"and may hold {self.max_bytes}"
        )
