"""Timing two things in turn, so that whatever else the machine does falls on both; and the rows that come of it."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter

_ROUND_S = 0.04  # what a round of one side should last: short, so that a passing disturbance falls on few of them
Work = Callable[[], object]
Clock = Callable[[], float]


@dataclass
class Row:
    """One line of the table: a sample a round of xenfs, and of what stands beside it.

    `unit` is of the samples. `beside` is bare pyfuse3 unless the table says otherwise, `c` the same files in C.
    `at_most` is the goal: of the ratio, or of xenfs's own figure where `absolute`; one of 0 is for hypercalls too.
    """

    what: str
    unit: str
    xenfs: Sequence[float]
    beside: Sequence[float] = ()
    c: Sequence[float] = field(default=(), kw_only=True)
    hypercalls: float | None = None
    at_most: float | None = None
    absolute: bool = False
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """xenfs over what stands beside it, round by round."""
        return [a / b for a, b in zip(self.xenfs, self.beside, strict=False) if b]

    @property
    def ratios_to_c(self) -> list[float]:
        """The same over what stands there in C."""
        return [a / b for a, b in zip(self.xenfs, self.c, strict=False) if b]

    @property
    def met(self) -> bool | None:
        """Whether the goal is met, None without one."""
        if self.at_most is None:
            return None
        figures = self.xenfs if self.absolute else self.ratios
        if self.at_most == 0 and self.hypercalls:
            return False
        return bool(figures) and median(figures) <= self.at_most


@dataclass
class Effort:
    """How much to measure."""

    rounds: int
    idle_s: float
    mounts: int
    round_s: float = _ROUND_S
    sizes: list[int] = field(default_factory=list)


def in_turn(effort: Effort, *works: Work | None, scale: float = 1.0, clocks: Sequence[Clock] = ()) -> list[list[float]]:
    """Seconds (times `scale`) that one call takes, a sample a round of each: first, second, first, second. None has
    none. Each may have a clock of its own.
    """
    repeat = max(1, min(2000, int(effort.round_s / max(_once(work) for work in works if work))))
    sides: list[list[float]] = [[] for _ in works]
    gc.collect()
    gc.disable()
    try:
        for _ in range(effort.rounds):
            for work, samples, clock in zip(works, sides, clocks or [perf_counter] * len(works), strict=True):
                if work:
                    samples.append(_mean(work, repeat, clock) * scale)
    finally:
        gc.enable()
    return sides


def _once(work: Work) -> float:
    work()  # names are looked up, pages are touched
    return _mean(work, 1)


def _mean(work: Work, repeat: int, clock: Clock = perf_counter) -> float:
    started = clock()
    for _ in range(repeat):
        work()
    return (clock() - started) / repeat


def cost(count: Callable[[], int], work: Work, repeat: int = 8) -> float:
    """What one call adds to a counter, on average."""
    before = count()
    for _ in range(repeat):
        work()
    return (count() - before) / repeat


def open_read_close(path: str, nbytes: int = 1 << 17) -> Work:
    """What `cat` does for one value, with its buffer of 128 KiB.

    With one of a page xenfs cannot tell it from sendfile(2), and has the kernel ask for the size once more: see
    Attributes.shown. C's stdio has one of st_blksize bytes.
    """

    def work() -> None:
        fd = os.open(path, os.O_RDONLY)
        os.read(fd, nbytes)
        os.close(fd)

    return work


def whole(path: str) -> Callable[[], int]:
    """What `cat` does: read to the end, 128 KiB at a time."""

    def work() -> int:
        fd, total = os.open(path, os.O_RDONLY), 0
        while got := len(os.read(fd, 1 << 17)):
            total += got
        os.close(fd)
        return total

    return work
