"""The console ring: what Xen and the domains printed, overwritten from the front when it is full."""

from __future__ import annotations

RING_BYTES = 1 << 14
_MASK = 0xFFFFFFFF


class Console:
    """A ring of RING_BYTES with two 32-bit positions that only grow, and wrap: where it begins and where it ends."""

    def __init__(self, start: int = 0) -> None:
        self._ring = bytearray(RING_BYTES)
        self.begins = self.ends = start & _MASK

    def put(self, data: bytes) -> None:
        """Append bytes as they are."""
        kept = data[-RING_BYTES:]
        at = (self.ends + len(data) - len(kept)) % RING_BYTES
        first = min(len(kept), RING_BYTES - at)
        self._ring[at : at + first] = kept[:first]
        self._ring[: len(kept) - first] = kept[first:]
        self.ends = self.ends + len(data) & _MASK
        self._forget(len(data))

    def _forget(self, added: int) -> None:
        if added > RING_BYTES or self.ends - self.begins & _MASK > RING_BYTES:
            self.begins = self.ends - RING_BYTES & _MASK

    def print(self, *lines: str) -> None:
        """Append lines, each with the mark that Xen puts in front of its own."""
        for line in lines:
            self.put(b"(XEN) " + line.encode() + b"\n")

    def read(self, count: int, index: int, incremental: bool) -> tuple[bytes, int]:
        """At most `count` bytes, and the index to ask for next time; an incremental reader goes on at its index."""
        at, end = self.begins, self.ends
        if incremental and (at < index <= end if at <= end else at < index or index <= end):
            at = index
        taken = min(count, end - at & _MASK)
        first = at % RING_BYTES
        data = bytes((self._ring[first:] + self._ring[:first])[:taken])
        return data, at + taken & _MASK

    def clear(self, index: int) -> None:
        """Forget what lies before an index that `read` returned."""
        self.begins = index
