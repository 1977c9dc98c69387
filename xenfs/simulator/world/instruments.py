"""What the pretended Xen notes and counts of itself."""

from __future__ import annotations

import struct

PAGE = 4096
INFO_HEAD_WORDS = 129  # of 32 bits: the size of a buffer and an offset for each of 256 CPUs
_HEAD = struct.Struct("<II")  # of a ring: read up to here, filled up to here


class Tracing:
    """The trace buffers: which events of which CPUs go where. There are no buffers before somebody asks for them."""

    def __init__(self, cpus: int) -> None:
        self.mask = 0x0FFFF000
        self.cpus = cpus
        self.pages = self.mfn = self.info_bytes = 0
        self.enabled = False
        self.memory: dict[int, bytearray] = {}  # pages that Xen shares, by frame
        self._rings: dict[int, int] = {}  # the first frame of each CPU's
        self.lost = 0

    def make(self, pages: int, cpus: list[int], nr_cpus: int, first_mfn: int) -> None:
        """A ring of so many pages for each of these CPUs, behind the pages that tell where they are."""
        words = INFO_HEAD_WORDS + pages * nr_cpus
        self.pages, self.mfn, self.info_bytes = pages, first_mfn, -(-4 * words // PAGE) * PAGE
        info, frame = bytearray(self.info_bytes), first_mfn + self.info_bytes // PAGE
        struct.pack_into("<H", info, 0, pages)
        for cpu in cpus:
            at = INFO_HEAD_WORDS + cpu * pages
            struct.pack_into("<H", info, 2 + 2 * cpu, at)
            struct.pack_into(f"<{pages}I", info, 4 * at, *range(frame, frame + pages))
            self._rings[cpu] = frame
            self.memory |= {frame + page: bytearray(PAGE) for page in range(pages)}
            frame += pages
        for page in range(self.info_bytes // PAGE):
            self.memory[first_mfn + page] = bytearray(info[page * PAGE : (page + 1) * PAGE])

    def note(self, cpu: int, event: int, cycles: int, extra: bytes) -> None:
        """Put a record into a CPU's ring, if this event is to be noted there; it is lost where there is no room."""
        if not (self.enabled and self.cpus >> cpu & 1 and cpu in self._rings and self._wanted(event)):
            return
        head = self.memory[self._rings[cpu]]
        span = self.pages * PAGE - _HEAD.size
        cons, prod = _HEAD.unpack_from(head)
        record = struct.pack("<IQ", event | len(extra) // 4 << 28 | 1 << 31, cycles) + extra
        if (prod - cons) % (2 * span) + len(record) > span:
            self.lost += 1
            return
        for offset, byte in enumerate(record):
            page, at = divmod(_HEAD.size + (prod + offset) % span, PAGE)
            self.memory[self._rings[cpu] + page][at] = byte
        _HEAD.pack_into(head, 0, cons, (prod + len(record)) % (2 * span))

    def _wanted(self, event: int) -> bool:
        """Its class and its subclass are in the mask."""
        return bool(self.mask >> 16 & event >> 16 & 0xFFF and self.mask >> 12 & event >> 12 & 0xF)


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
