"""An ELF file that can be booted: what is to lie where in the machine's memory, and where to begin."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from xenfs.calls.kexec import Segment
from xenfs.errors import BadInput
from xenfs.hypervisor.foreign import PAGE

_EXECUTABLE, _LOAD = (2, 3), 1
_MACHINES = {1: 3, 2: 62}  # i386 and x86-64, by the file's class
_MOST = 15  # segments; Xen takes no more


class Image(NamedTuple):
    """ELF's number of the machine, the address to begin at, and what lies in memory, by address."""

    machine: int
    entry: int
    segments: list[Segment]


class _Piece(NamedTuple):
    start: int
    data: bytes
    size: int


def image(data: bytes) -> Image:
    """The image that a file is; EINVAL where it is none for x86."""
    try:
        if data[:4] != b"\x7fELF" or data[4] not in _MACHINES or data[5] != 1:
            raise BadInput("this is no ELF file for x86", at=0)
        wide = data[4] == 2
        kind, machine, _, entry, at = struct.unpack_from("<HHIQQ" if wide else "<HHIII", data, 16)
        size, count = struct.unpack_from("<HH", data, 54 if wide else 42)
        if kind not in _EXECUTABLE or machine != _MACHINES[data[4]]:
            raise BadInput("this ELF file is none that can be booted on x86", at=0)
        pieces = sorted(_pieces(data, [at + size * index for index in range(count)], wide=wide))
    except (struct.error, IndexError):
        raise BadInput("this ELF file is torn", at=0) from None
    segments = list(_joined(pieces))
    if not 0 < len(segments) <= _MOST:
        raise BadInput(f"an image has 1 to {_MOST} segments", at=0)
    return Image(machine, entry, segments)


def _pieces(data: bytes, headers: list[int], *, wide: bool) -> Iterator[_Piece]:
    for at in headers:
        if wide:
            kind, _, offset, _, start, nbytes, size = struct.unpack_from("<IIQQQQQ", data, at)
        else:
            kind, offset, _, start, nbytes, size = struct.unpack_from("<IIIIII", data, at)
        if kind != _LOAD or not size:
            continue
        if offset + nbytes > len(data) or nbytes > size:
            raise BadInput("this ELF file is torn", at=0)
        yield _Piece(start, data[offset : offset + nbytes], size)


def _joined(pieces: list[_Piece]) -> Iterator[Segment]:
    """Whole pages; pieces that share one become one segment."""
    start = end = 0
    filled = bytearray()
    for piece in pieces:
        first = piece.start // PAGE * PAGE
        if filled and first >= end:
            yield Segment(start, bytes(filled), end - start)
            filled = bytearray()
        if not filled:
            start = first
        at = piece.start - start
        if at < len(filled):
            raise BadInput("segments of this ELF file overlap", at=0)
        filled += bytes(at - len(filled)) + piece.data
        end = -(-(piece.start + piece.size) // PAGE) * PAGE
    if filled:
        yield Segment(start, bytes(filled), end - start)
