"""What the pretended Xen notes and counts of itself."""

from __future__ import annotations

import struct

from xenfs.simulator.world.physmap import PAGE

INFO_HEAD_WORDS = 129  # of 32 bits: the size of a buffer and an offset for each of 256 CPUs
_HEAD = struct.Struct("<II")  # of a ring: read up to here, filled up to here
_LOST, _WRAP = 0x1F001, 0x1F002  # events of the buffers' own: records are missing; nothing more before the ring's end
_LOST_DATA = struct.Struct("<IHHQ")  # how many, who runs now as domain and vCPU, cycles at the first
_MOST_WORDS = 7


class Tracing:
    """The trace buffers: which events of which CPUs go where. There are no buffers before somebody asks for them."""

    def __init__(self, cpus: int) -> None:
        self.mask = 0x0FFFF000
        self.cpus = cpus
        self.pages = self.mfn = self.info_bytes = 0
        self.enabled = False
        self.memory: dict[int, bytearray] = {}  # pages that Xen shares, by frame
        self._rings: dict[int, int] = {}  # the first frame of each CPU's
        self.lost = self._first_lost = 0

    def make(self, pages: int, cpus: list[int], nr_cpus: int, first_mfn: int) -> None:
        """A ring of so many pages for each of these CPUs, behind the pages that tell where they are.

        From then on events are noted."""
        self.enabled = True
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
        """Put a record into a CPU's ring, if this event is to be noted there; it is lost where there is no room.

        No record lies across the ring's end: one without meaning fills what is left before it. After a loss the
        number of the lost goes first."""
        if not (self.enabled and self.cpus >> cpu & 1 and cpu in self._rings and self._wanted(event)):
            return
        cons, prod = _HEAD.unpack_from(self.memory[self._rings[cpu]])
        span = self.pages * PAGE - _HEAD.size
        records, at = b"", prod % span
        if self.lost:
            missing = _record(_LOST, _LOST_DATA.pack(self.lost, 0, 0, self._first_lost), cycles)
            records += _filling(span - at, len(missing)) + missing
        record = _record(event, extra)
        records += _filling(span - (at + len(records)) % span, len(record)) + record
        if (prod - cons) % (2 * span) + len(records) > span:
            self._first_lost = self._first_lost if self.lost else cycles
            self.lost += 1
            return
        self.lost = 0
        for offset, byte in enumerate(records):
            page, place = divmod(_HEAD.size + (at + offset) % span, PAGE)
            self.memory[self._rings[cpu] + page][place] = byte
        _HEAD.pack_into(self.memory[self._rings[cpu]], 0, cons, (prod + len(records)) % (2 * span))

    def _wanted(self, event: int) -> bool:
        """Its class and its subclass are in the mask."""
        return bool(self.mask >> 16 & event >> 16 & 0xFFF and self.mask >> 12 & event >> 12 & 0xF)


def _record(event: int, extra: bytes, cycles: int | None = None) -> bytes:
    """With cycles or, such as one of a guest's own, without."""
    timed = b"" if cycles is None else struct.pack("<Q", cycles)
    return struct.pack("<I", event | len(extra) // 4 << 28 | bool(timed) << 31) + timed + extra


def _filling(left: int, wanted: int) -> bytes:
    """What fills so many bytes before the ring's end, where they are too few for a record of `wanted` bytes."""
    if wanted <= left:
        return b""
    words = left // 4 - 1
    timed = words > _MOST_WORDS
    return struct.pack("<I", _WRAP | (words - 2 * timed) << 28 | timed << 31) + bytes(4 * words)


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
