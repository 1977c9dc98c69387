"""The questions of one caller to xenstore, which the thread of xenstore answers while the caller waits."""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from time import monotonic

from xenfs.errors import XenfsError
from xenfs.xenstore.wire import ErrorReply, Op, require_room

Outcome = bytes | ErrorReply

_GRACE_S = 0.05  # for the thread, which sees that all is silent, to speak before one caller gives up


class Series:
    """Requests that are sent one after the other, and what came of each; `ended` when that is known, or known in vain.

    The caller waits until `deadline` at the latest, in monotonic seconds. What was not sent by then never is. What
    is meant `once` is not sent again where the connection was lost under it: nobody knows what came of it.
    """

    def __init__(self, asked: Sequence[tuple[Op, bytes]], deadline: float, once: bool = False) -> None:
        for _, payload in asked:
            require_room(payload)
        self.asked, self.deadline, self.once = asked, deadline, once
        self.begun_at = monotonic()
        self.again = False  # whether the connection was lost under it once
        self._ended = threading.Event()
        self._problem: XenfsError | None = None
        self.restart()
        if not asked:
            self._ended.set()

    def restart(self) -> None:
        """Ask all of it anew, on another connection."""
        self._outcomes: list[Outcome | None] = [None] * len(self.asked)
        self._left, self._next = len(self.asked), 0

    def lost(self, problem: XenfsError) -> None:
        """The connection is gone: reading twice is harmless, writing twice may ask a guest twice."""
        if self.once and self.under_way:
            self.fail(problem)
        else:
            self.restart()

    @property
    def under_way(self) -> bool:
        """Whether something was sent."""
        return self._next > 0

    @property
    def ended(self) -> bool:
        """Whether nobody waits for anything more of it."""
        return self._ended.is_set()

    def take(self) -> tuple[int, Op, bytes] | None:
        """The next request to send and its place; None where there is no more."""
        if self.ended or self._next == len(self.asked):
            return None
        self._next += 1
        return self._next - 1, *self.asked[self._next - 1]

    def answered(self, place: int, outcome: Outcome) -> None:
        """What came of one."""
        self._outcomes[place] = outcome
        self._left -= 1
        if not self._left:
            self._ended.set()

    def fail(self, problem: XenfsError) -> None:
        """It has come to nothing."""
        if not self.ended:
            self._problem = problem
            self._ended.set()

    def wait(self) -> list[Outcome]:
        """What came of each request; XenfsError where it failed, ETIMEDOUT where it was not answered in time."""
        if not self._ended.wait(max(0.0, self.deadline + _GRACE_S - monotonic())):
            self.fail(late(self.deadline - self.begun_at))
        if self._problem is not None:
            raise self._problem
        return [outcome for outcome in self._outcomes if outcome is not None]


def late(after_s: float) -> XenfsError:
    """What is said of a xenstored that lets its callers wait for too long."""
    return XenfsError(f"xenstore did not answer within {after_s:.3g} s", errno.ETIMEDOUT)
