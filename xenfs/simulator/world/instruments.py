"""What the pretended Xen notes and counts of itself."""

from __future__ import annotations


class Tracing:
    """The trace buffers: which events of which CPUs go where. There are no buffers before somebody asks for them."""

    def __init__(self, cpus: int) -> None:
        self.mask = 0x0FFFF000
        self.cpus = cpus
        self.pages = self.mfn = self.info_bytes = 0
        self.enabled = False
        self.marks: list[tuple[int, bytes]] = []


class Measured:
    """Counters, watched locks and coverage: all grow with each look, so that two looks differ."""

    def __init__(self) -> None:
        self.counted = self.covered = self.watched_from = 0

    def counters(self, online: int) -> list[tuple[str, list[int]]]:
        """(name, values): of each CPU, or of each place of an array."""
        self.counted += 1
        return [
            ("irqs", [1000 + 10 * self.counted + cpu for cpu in range(online)]),
            ("ipis", [7 * self.counted] * online),
            ("hypercalls", [3 * self.counted, 0, 5 * self.counted, 2**32 - self.counted]),
        ]

    def coverage(self) -> bytes:
        """What xencov would write: a magic number, then what was run."""
        self.covered += 1
        return b"XCOV" + (1).to_bytes(4, "little") + self.covered.to_bytes(8, "little") + bytes(4080)
