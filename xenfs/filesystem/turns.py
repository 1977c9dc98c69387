"""The event loop's time, shared out by user: while several users ask, each gets his part of it and no more.

Requests are counted, not timed: what is done in the loop grows with nothing, so that one costs much as another does.
A user who asks for more than his part is answered later; who asks for less never is, and root never is.
"""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic

from xenfs.filesystem.lane import ROOT

REQUEST_S = 300e-6  # of the loop's time, generously: what is left over keeps it free for whoever comes next
BYTE_S = 1e-9
_PRESENT_S = 1.0  # who asked so recently is there
_AHEAD_S = 0.004  # a few dozen requests at once are nothing
_MOST_PARTS = 64  # a user may have thousands of ids (subuid), and nobody is to wait for a part of each
_FORGOTTEN_AT_ONCE = 256


class Turn:
    """How far a user is ahead of his part."""

    __slots__ = ("free_at", "seen_at")

    def __init__(self) -> None:
        self.free_at = self.seen_at = 0.0


class Turns:
    """The users who are there now."""

    def __init__(self) -> None:
        self._of: OrderedDict[int, Turn] = OrderedDict()  # who was there last comes last
        self._sweep_at = 0.0

    def __len__(self) -> int:
        return len(self._of)

    def due(self, uid: int, cost_s: float = REQUEST_S) -> float:
        """How many seconds this user's next request should wait; 0 for most."""
        now = monotonic()
        turn = self._of.get(uid)
        if turn is None:
            turn = self._of[uid] = Turn()
        else:
            self._of.move_to_end(uid)
        turn.seen_at = now
        if now >= self._sweep_at:
            self.sweep(now)
        users = len(self._of)
        if users == 1 or uid == ROOT:
            return 0.0
        begin = turn.free_at if turn.free_at > now - _AHEAD_S else now - _AHEAD_S
        turn.free_at = begin + cost_s * min(users, _MOST_PARTS)
        return begin - now if begin > now else 0.0

    def sweep(self, now: float) -> None:
        """Forget who is gone; of thousands some now, and some with the next request."""
        for _ in range(_FORGOTTEN_AT_ONCE):
            uid, turn = next(iter(self._of.items()))
            if turn.seen_at >= now - _PRESENT_S:
                self._sweep_at = now + _PRESENT_S / 2
                return
            del self._of[uid]
