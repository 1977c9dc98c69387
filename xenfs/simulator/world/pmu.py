"""To whom the pretended processors' performance counters are open."""

from __future__ import annotations


class Pmu:
    """The two settings, and whether a domain counts, which keeps them as they are."""

    def __init__(self) -> None:
        self.mode = 1  # to each domain its own
        self.features = 0
        self.in_use = False
