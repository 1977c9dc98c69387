"""Rows by the thousand, gone through so that whoever has something short to do goes first.

The interpreter runs one thread at a time, and makes another wait for a tenth of a millisecond whenever both want it.
So a thread that computes for long had better not want it while the event loop is at work. When that is, only the
filesystem knows: it says so for the threads that compute (`polite`). Everybody else goes through rows as they are.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain, islice
from typing import TypeVar

Row = TypeVar("Row")

_AT_ONCE = 32  # rows: some 50 us, while a question costs a tenth of a microsecond
_LOOKS = 256
"""So often, in rows, Python is had look for cycles among what is new. By itself it counts what was freed meanwhile
against that, and then looks at twenty thousand rows in one step of 3 ms."""
_pause: ContextVar[Callable[[], object] | None] = ContextVar("pause", default=None)


@contextmanager
def polite(pause: Callable[[], object]) -> Iterator[None]:
    """In here `politely` calls `pause` every few rows: it returns when nobody else has to go first."""
    token = _pause.set(pause)
    try:
        yield
    finally:
        _pause.reset(token)


def politely(rows: Iterable[Row], at_once: int = _AT_ONCE) -> Iterator[Row]:
    """Each row, in order. Not while a lock is held that the event loop takes."""
    pause = _pause.get()
    if pause is None:
        return iter(rows)
    return chain.from_iterable(_with_pauses(iter(rows), at_once, pause))  # a generator for each row would cost a tenth


def _with_pauses(rows: Iterator[Row], at_once: int, pause: Callable[[], object]) -> Iterator[list[Row]]:
    seen = 0
    while some := list(islice(rows, at_once)):
        seen += len(some)
        if seen >= _LOOKS:
            seen = 0
            gc.collect(1)
        pause()
        yield some
