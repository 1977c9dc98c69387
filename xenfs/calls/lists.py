"""Lists as Xen takes them: so many items a call, and numbers behind a guest handle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from xenfs.hypervisor.base import Hypervisor
from xenfs.pool import Buffer

Item = TypeVar("Item")


def batches(items: Sequence[Item], most: int) -> Iterator[Sequence[Item]]:
    """All of them, at most so many at a time."""
    for first in range(0, len(items), most):
        yield items[first : first + most]


def lent(xen: Hypervisor, numbers: Sequence[int], nbytes: int = 8) -> Buffer:
    """A buffer for a `with` that has these numbers one behind the other, each in so many bytes."""
    buf = xen.pool.take(nbytes * len(numbers))
    buf.fill(packed(numbers, nbytes))
    return buf


def packed(numbers: Iterable[int], nbytes: int = 8) -> bytes:
    """These numbers one behind the other, each in so many bytes."""
    return b"".join(number.to_bytes(nbytes, "little") for number in numbers)
