"""A lock for pyfuse3's workers that they need not pass on at each request: a sixth less CPU time for a small one.

pyfuse3 has at least two workers, of which one waits for the next request and the others wait for a `trio.Lock`. Such a
lock goes to who waits for it as soon as it is released, so that the workers take turns: two rounds of trio's scheduler
a request where one would do. Here who has answered goes on to the next request. Another worker is let in only when this
one waits for something else, or ends. docs/pyfuse3-lock.md says it in the words of an issue.

pyfuse3 has no way to be told. It takes trio from a module attribute, which its own `pyfuse3.asyncio` replaces as well;
where it is a pyfuse3 that was not tried, nothing is replaced.
"""

from __future__ import annotations

import logging
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pyfuse3
import trio

log = logging.getLogger(__name__)

TRIED = ("3.4.", "3.5.")
"""Versions of pyfuse3 whose workers are known to take trio as it is taken here: tests/mounted/test_workers.py."""


class Turnstile:
    """In the place of trio.Lock: free is free for whoever comes first, and taking it then costs no round."""

    def __init__(self) -> None:
        self._taken = False
        self._lot = trio.lowlevel.ParkingLot()
        self.told = False  # whether somebody says when to let the next one in

    async def __aenter__(self) -> None:
        while self._taken:
            await self._lot.park()
        self._taken = True

    async def __aexit__(self, *_: object) -> None:
        self._taken = False
        if not self.told:
            self.let_in()

    def let_in(self) -> None:
        """Let one of those who wait try, unless somebody is in there."""
        if self._lot and not self._taken:
            self._lot.unpark()


class Workers:
    """A nursery that sees what the workers in it wait for."""

    def __init__(self, nursery: trio.Nursery, turnstiles: list[Turnstile]) -> None:
        self._nursery, self._turnstiles = nursery, turnstiles

    def start_soon(self, work: Callable[..., Coroutine[Any, Any, Any]], *args: Any, name: object = None) -> None:
        """As trio.Nursery has it."""
        self._nursery.start_soon(self._run, work, args, name=name)

    async def _run(self, work: Callable[..., Coroutine[Any, Any, Any]], args: tuple[Any, ...]) -> None:
        await _seen(work(*args), self._let_in)

    def _let_in(self) -> None:
        for turnstile in self._turnstiles:
            turnstile.told = True
            turnstile.let_in()


class Stand(types.ModuleType):
    """What pyfuse3 is to take for trio: all of it, but for the two above."""

    def __init__(self) -> None:
        super().__init__("trio")
        self.turnstiles: list[Turnstile] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(trio, name)

    def Lock(self) -> Turnstile:
        """The one that the workers share."""
        self.turnstiles.append(Turnstile())
        return self.turnstiles[-1]

    @asynccontextmanager
    async def open_nursery(self) -> Any:
        """The one that the workers are started in."""
        async with trio.open_nursery() as nursery:
            yield Workers(nursery, self.turnstiles)


@contextmanager
def turnstile() -> Iterator[Stand | None]:
    """While this lasts, pyfuse3's workers have one; None, and all is as it was, where it is not known to fit."""
    if not pyfuse3.__version__.startswith(TRIED) or getattr(pyfuse3, "trio", None) is not trio:
        log.info("pyfuse3 %s is not one that was tried: its workers keep their own lock", pyfuse3.__version__)
        yield None
        return
    stand, there = Stand(), vars(pyfuse3)
    there["trio"] = stand
    try:
        yield stand
    finally:
        there["trio"] = trio


@types.coroutine
def _seen(work: Coroutine[Any, Any, Any], yields: Callable[[], None]) -> Generator[Any, Any, None]:
    """Run it; whenever it waits for something, and at its end, call `yields` first."""
    step: Callable[[Any], Any] = work.send
    value: Any = None
    try:
        while True:
            try:
                trap = step(value)
            except StopIteration:
                return
            yields()
            try:
                step, value = work.send, (yield trap)
            except BaseException as problem:  # a cancellation: it is for the work
                step, value = work.throw, problem
    finally:
        yields()
