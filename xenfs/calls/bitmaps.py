"""CPU and node sets as Xen's bitmaps: bytes, bit 0 of byte 0 first."""

from __future__ import annotations

from collections.abc import Iterable


def members(data: bytes | memoryview, nr_bits: int | None = None) -> list[int]:
    """The numbers of the bits that are set, in order, those from `nr_bits` on left out."""
    mask = int.from_bytes(data, "little")
    if nr_bits is not None:
        mask &= (1 << nr_bits) - 1
    return [number for number, bit in enumerate(reversed(bin(mask))) if bit == "1"]


def nbytes(nr_bits: int) -> int:
    """Bytes that a bitmap takes, in whole 64-bit words as some of Xen's copies want it."""
    return max(1, (nr_bits + 63) // 64) * 8


def bitmap(numbers: Iterable[int], nr_bits: int) -> bytes:
    """The bitmap with these bits set."""
    mask = 0
    for number in numbers:
        mask |= 1 << number
    return mask.to_bytes(nbytes(nr_bits), "little")
