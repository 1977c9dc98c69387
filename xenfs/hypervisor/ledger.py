"""The record of hypercalls: totals per operation, the calls running now, and a ring of the last ones."""

from __future__ import annotations

import errno
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from time import perf_counter_ns, time_ns

from xenfs.abi.operations import Operation
from xenfs.errors import errno_name
from xenfs.pool import Buffer

_NOT_THERE = frozenset({errno.ENOSYS, errno.EOPNOTSUPP})
_LOG_LENGTH = 1024

_MOST_WATCHED = 16


class Watch:
    """The calls of one context, in the order they ended: how many, and the first of them as (operation's name, domid or
    None, Xen's result)."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[tuple[str, int | None, int]] = []

    def add(self, name: str, domid: int | None, result: int) -> None:
        """One call has ended."""
        self.count += 1
        if len(self.first) < _MOST_WATCHED:
            self.first.append((name, domid, result))


watch: ContextVar[Watch | None] = ContextVar("watch", default=None)
"""Set where somebody wants to know which calls a piece of work makes, in whatever thread it is done."""


@dataclass(slots=True)
class Tally:
    """Totals of one operation since start; times in nanoseconds, as seen by the caller."""

    count: int = 0
    errors: int = 0
    total_ns: int = 0
    max_ns: int = 0


class Ledger:
    """Counts calls as they begin and end; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._tallies: dict[str, Tally] = {}
        self._running: dict[int, tuple[Operation, int | None, int, tuple[int | Buffer, ...]]] = {}
        self._log: deque[tuple[int, int, Operation, int | None, int, int, int]] = deque(maxlen=_LOG_LENGTH)
        self._missing: dict[str, int] = {}
        self._epoch_ns = time_ns() - perf_counter_ns()
        self.last = 0  # how many calls have ended
        self.ended: Callable[[], object] | None = None  # called after each call, while somebody waits for that

    def begin(self, op: Operation, domid: int | None, now: int, args: tuple[int | Buffer, ...] = ()) -> int:
        """Note that a call is on its way; the number returned is what `end` wants."""
        number = next(self._numbers)
        self._running[number] = (op, domid, now, args)
        return number

    def end(self, number: int, op: Operation, domid: int | None, result: int, started: int) -> None:
        """Note how a call ended: `result` is Xen's, negative for an errno."""
        took = perf_counter_ns() - started
        with self._lock:
            del self._running[number]
            tally = self._tallies.get(op.name)
            if tally is None:
                tally = self._tallies[op.name] = Tally()
            tally.count += 1
            tally.total_ns += took
            if took > tally.max_ns:
                tally.max_ns = took
            if result < 0:
                tally.errors += 1
                if -result in _NOT_THERE:
                    self._missing[op.name] = -result
            self.last += 1
            self._log.append((self.last, number, op, domid, result, started, took))
        watching = watch.get()
        if watching is not None:
            watching.add(op.name, domid, result)
        ended = self.ended
        if ended is not None:  # the loop takes it away when nobody waits any more
            ended()

    def lacks(self, name: str, code: int) -> None:
        """Note an operation that this Xen does not have, where only who asked can tell: ENODEV, a refused register."""
        with self._lock:
            self._missing[name] = code

    @property
    def total(self) -> int:
        """How many hypercalls have ended."""
        return sum(tally.count for tally in list(self._tallies.values()))

    def tallies(self) -> list[tuple[str, Tally]]:
        """(operation's name, totals), sorted by name."""
        with self._lock:
            return sorted(self._tallies.items(), key=lambda pair: pair[0])

    def running(self) -> list[tuple[int, str, int | None, int]]:
        """(number, operation's name, domid or None, age in ns) of each call that has not ended."""
        now = perf_counter_ns()
        return [(n, op.name, dom, now - since) for n, (op, dom, since, _) in list(self._running.items())]

    def using(self, buf: Buffer) -> int | None:
        """The number of the call that uses a buffer now, directly or by way of another."""
        for number, (_, _, _, args) in list(self._running.items()):
            if any(isinstance(arg, Buffer) and arg.carries(buf) for arg in args):
                return number
        return None

    def missing(self) -> list[tuple[str, str]]:
        """(operation's name, errno's name) of what this Xen answered that it does not have."""
        return sorted((name, errno_name(code)) for name, code in list(self._missing.items()))

    def log_since(self, place: int) -> Iterator[tuple[int, str]]:
        """(place, line) of the calls after this place that the ring still holds, in the order they ended.

        A line begins with the number that its call began with: one that took long comes after younger ones.
        """
        for at, n, op, dom, result, started, took in list(self._log):
            if at > place:
                when = (self._epoch_ns + started) / 1e9
                outcome = errno_name(-result) if result < 0 else str(result)
                domain = "-" if dom is None else str(dom)
                yield at, f"{n} {when:.6f} {op.name.replace(' ', ':')} domain={domain} result={outcome} ns={took}"
