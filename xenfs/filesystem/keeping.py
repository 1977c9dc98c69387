"""What is remembered for users: bounded over all of them, and given back soon after they stop.

The kernel remembers each entry that anybody ever looked at until its memory is short, and xenfs with it. So it is told
to forget what was not used for a while, and the longest unused of all when there are too many.
"""

from __future__ import annotations

import trio

from xenfs.filesystem.departed import forget
from xenfs.filesystem.inodes import Inodes
from xenfs.filesystem.threads import in_a_thread
from xenfs.hypervisor.base import Hypervisor

_ROUND_S = 5.0
_UNUSED_ROUNDS = 6  # half a minute
MOST_ENTRIES = 24_000  # more than twice the domains that there can be
AT_REST = 1_000  # so few are left alone, and nobody wakes for them
_BATCH = 64


class Keeping:
    """Gives back entries, answers and listings that nobody uses any more."""

    def __init__(self, xen: Hypervisor, inodes: Inodes, most: int = MOST_ENTRIES, round_s: float = _ROUND_S) -> None:
        self._xen, self._inodes, self._most, self._round_s = xen, inodes, most, round_s
        self._limiter = trio.CapacityLimiter(1)
        self._woken = trio.Event()
        self._due = 0  # rounds, until what was listed last is given back

    def listed(self) -> None:
        """Something was listed: it is remembered for a while."""
        if not self._due:
            self._woken.set()
        self._due = _UNUSED_ROUNDS + 1

    async def run(self) -> None:
        """Until cancelled, while the mount is there."""
        while True:
            await self._sleep()
            self._inodes.round += 1
            self._due = max(0, self._due - 1)
            self._xen.recent.tidy()
            self._xen.listings.tidy()
            self._inodes.drop_listings(self._inodes.round - _UNUSED_ROUNDS)
            await self._forget()

    async def _sleep(self) -> None:
        """A round, or less where there are too many entries meanwhile; for good while there is little."""
        woken = self._woken = trio.Event()
        resting = len(self._inodes) <= AT_REST and not self._due
        self._inodes.call_beyond(AT_REST if resting else self._most, woken.set)
        with trio.move_on_after(float("inf") if resting else self._round_s):
            await woken.wait()

    async def _forget(self) -> None:
        """In a thread: the kernel may have to wait for an answer that is on its way to one of these directories."""
        for _ in range(len(self._inodes) // _BATCH + 1):
            before = self._inodes.round - _UNUSED_ROUNDS if len(self._inodes) > AT_REST else 0
            names = self._inodes.unused(before, self._most, _BATCH)
            if not names:
                return
            await in_a_thread(forget, names, limiter=self._limiter)
