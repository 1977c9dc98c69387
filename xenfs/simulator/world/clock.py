"""The simulated host's time, which can run faster than ours and can be held in a test's hand."""

from __future__ import annotations

import time
from collections.abc import Callable

UPTIME_NS = 3 * 3600 * 10**9
"""How long the host has been up when the simulation begins: long enough for every counter to have something to show."""


class Clock:
    """Nanoseconds since the simulated host booted; a tick is 1024 of them."""

    def __init__(self, source: Callable[[], int] | None = None, speed: float = 1.0) -> None:
        self._source = source or time.monotonic_ns
        self._speed = speed
        self._began = self._source()
        self._offset = UPTIME_NS - self._began

    def now(self) -> int:
        """Nanoseconds since boot."""
        if self._speed == 1:
            return self._source() + self._offset
        return UPTIME_NS + int((self._source() - self._began) * self._speed)

    def ticks(self) -> int:
        """The same in units of 1024 ns."""
        if self._speed == 1:
            return (self._source() + self._offset) >> 10  # as `now` is, which would be a third of it: each vCPU asks
        return self.now() >> 10
