"""A reader of what xentrace writes, by the format in Xen's public trace.h: windows of one CPU each, full of records."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

CPU_CHANGE = 0x0001F003
LOST, WRAP = 0x0001F001, 0x0001F002  # records are missing here; the ring begins anew
GUEST, SCHED = 0x0800F000, 0x0002F000


class Noted(NamedTuple):
    """A record: the CPU, the event, the cycles where there are some, and its words."""

    cpu: int
    event: int
    cycles: int | None
    words: tuple[int, ...]


def records(data: bytes) -> Iterator[Noted]:
    """All of them; an AssertionError where it is no such stream: what is behind a window must be another."""
    at = 0
    while at < len(data):
        event, count, cycles, size = _head(data, at)
        assert (event, count, cycles) == (CPU_CHANGE, 2, False), f"no window at {at}"
        cpu, nbytes = struct.unpack_from("<iI", data, at + 4)
        at += size
        end = at + nbytes
        assert end <= len(data), "a window is cut"
        while at < end:
            event, count, timed, size = _head(data, at)
            tsc = struct.unpack_from("<Q", data, at + 4)[0] if timed else None
            words = struct.unpack_from(f"<{count}I", data, at + (12 if timed else 4))
            yield Noted(cpu, event, tsc, words)
            at += size
        assert at == end, "a record goes beyond its window"


def _head(data: bytes, at: int) -> tuple[int, int, bool, int]:
    """(event, words, whether there are cycles, bytes)."""
    (word,) = struct.unpack_from("<I", data, at)
    count, timed = word >> 28 & 7, bool(word >> 31)
    return word & 0x0FFFFFFF, count, timed, 4 + 8 * timed + 4 * count
