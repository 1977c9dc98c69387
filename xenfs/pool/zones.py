"""Red zones: guard bytes around each buffer, which tell when somebody wrote beyond what a layout promised.

All of a block that is not on loan is painted with one byte, the free block as a whole: a write past either end
shows at release, a write through a view that outlived its buffer shows when the block is lent again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from xenfs.pool.blocks import STEP, Block

log = logging.getLogger("xenfs.pool")

PAINT = 0xDB
_CHUNK = 1 << 16
_PAINTED = bytes([PAINT]) * _CHUNK


@dataclass(frozen=True, slots=True)
class Violation:
    """Somebody wrote where no buffer was. `offset` counts bytes from the start of the buffer's own."""

    buffer: str
    nbytes: int
    operation: str
    kind: str
    offset: int
    found: bytes

    def __str__(self) -> str:
        blame = f", last used by {self.operation}" if self.operation else ""
        return f"{self.kind} {self.buffer}{blame}: byte {self.offset} and on is {self.found.hex(' ')}"


def widths(nbytes: int, align: int) -> tuple[int, int]:
    """How many guard bytes go before and after a buffer: one step at least, an eighth of a larger one behind it."""
    return max(STEP, align), max(STEP, nbytes // 8)


def paint(block: Block, begin: int, end: int) -> None:
    """Cover bytes begin to end of a block."""
    for at in range(begin, end, _CHUNK):
        block.raw[at : min(end, at + _CHUNK)] = _PAINTED[: min(end, at + _CHUNK) - at]


def spoilt(block: Block, begin: int, end: int) -> int | None:
    """Where between begin and end the first byte lies that is not painted any more; None when all are."""
    for at in range(begin, end, _CHUNK):
        seen = block.raw[at : min(end, at + _CHUNK)]
        if seen != _PAINTED[: len(seen)]:
            return at + next(index for index, byte in enumerate(seen) if byte != PAINT)
    return None


def inspect(block: Block, name: str, nbytes: int, operation: str) -> Violation | None:
    """What happened around a buffer that is being released, if anything did."""
    front = block.start - block.base
    for kind, begin, end in ("before", 0, front), ("past the end of", front + nbytes, block.size):
        at = spoilt(block, begin, end)
        if at is not None:
            return Violation(name, nbytes, operation, f"write {kind}", at - front, block.raw[at : min(end, at + 16)])
    return None


def inspect_free(block: Block) -> Violation | None:
    """What happened to a block while it was not lent to anybody."""
    at = spoilt(block, 0, block.size)
    if at is None:
        return None
    found = block.raw[at : min(block.size, at + 16)]
    offset = at - (block.start - block.base)
    return Violation(block.last, block.size, block.operation, "write after the release of", offset, found)
