"""One thread at a time makes lines of all that a host has: two would take the interpreter from the event loop in turn.

The loop gets the interpreter back when the thread that has it is asked to give it up. Another thread that computes may
be quicker to take it than the loop is, and so each one more makes every request of everybody slower.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

Args = TypeVarTuple("Args")
Result = TypeVar("Result")

LEASE_S = 0.5  # who has waited so long for somebody that hangs computes beside him


class Computing(threading.local):
    """Which turn this thread has; each has one at the most."""

    def __init__(self) -> None:
        self._turn: Any = None

    def one_at_a_time(self, turn: Any, work: Callable[[*Args], Result], *args: *Args) -> Result:
        """Do it while no other thread has this turn, a lock; at the latest after LEASE_S."""
        if turn.acquire(timeout=LEASE_S):
            self._turn = turn
        try:
            return work(*args)
        finally:
            self.give_up()

    def give_up(self) -> None:
        """Let another thread have the turn, because this one is about to wait for something."""
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.release()
