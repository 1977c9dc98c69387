"""Content in pieces: what may be megabytes is never made, copied or freed in one step, as no other thread runs then.

28 MB at once kept the event loop waiting for 15 ms to be decoded, as long to be encoded, and for 7 ms to be freed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate


class Pieces:
    """Bytes, of which a slice is bytes. `pieces` is what they are made of, for whoever frees them one by one."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = list(pieces)
        self._ends = list(accumulate(map(len, self.pieces)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, part: slice) -> bytes:
        begin, end, _ = part.indices(len(self))
        first = bisect_right(self._ends, begin)
        found, at = list[memoryview](), self._ends[first - 1] if first else 0
        for piece in self.pieces[first:] if begin < end else ():
            if at >= end:
                break
            found.append(memoryview(piece)[max(0, begin - at) : end - at])
            at += len(piece)
        return b"".join(found)

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces)


Content = bytes | Pieces
"""What a file has."""
