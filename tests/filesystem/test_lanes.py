"""The slow lane: what hangs holds up its own kind alone, what is too much is turned away, nothing is left over."""

from __future__ import annotations

import errno
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from xenfs.errors import XenfsError
from xenfs.filesystem.lanes import Lanes


async def code_of(call: Awaitable[Any]) -> int:
    try:
        await call
    except XenfsError as problem:
        return problem.errno
    return 0


async def until(begun: int, hung: Hung) -> None:
    """A thread begins when it gets to it."""
    with trio.fail_after(30):
        while hung.begun < begun:
            await trio.sleep(0.005)
    assert hung.begun == begun


class Hung:
    """Work that ends when it is let go."""

    def __init__(self) -> None:
        self.go, self.begun = threading.Event(), 0

    def __call__(self) -> str:
        self.begun += 1
        assert self.go.wait(60)
        return "done"


def among_hanging(count: int, test: Callable[[Lanes, Hung, list[int]], Awaitable[None]], **more: float) -> list[int]:
    """Run a test beside so many calls of one kind that hang; then let go, and return how each of these ended."""
    codes: list[int] = []

    async def run() -> None:
        lanes, hung = Lanes(**more), Hung()

        async def one() -> None:
            codes.append(await code_of(lanes.run("hung", True, hung)))

        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(one)
            await trio.testing.wait_all_tasks_blocked()
            try:
                await test(lanes, hung, codes)
            finally:
                hung.go.set()
        assert lanes.waiting == 0
        assert lanes._kinds == {}

    trio.run(run)
    return codes


def test_another_kind_goes_on_while_one_hangs() -> None:
    async def test(lanes: Lanes, hung: Hung, codes: list[int]) -> None:
        with trio.fail_after(30):
            assert [await lanes.run("other", True, lambda: 7) for _ in range(20)] == [7] * 20
        await until(4, hung)
        assert lanes.waiting == 20

    assert among_hanging(20, test) == [0] * 20


def test_what_is_too_much_of_one_kind_is_turned_away() -> None:
    async def test(lanes: Lanes, hung: Hung, codes: list[int]) -> None:
        assert codes == [errno.EAGAIN] * 76
        assert await lanes.run("other", True, lambda: 7) == 7

    assert sorted(among_hanging(100, test)) == [0] * 24 + [errno.EAGAIN] * 76


def test_what_is_too_much_in_all_is_turned_away() -> None:
    async def test(lanes: Lanes, hung: Hung, codes: list[int]) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(24):
                nursery.start_soon(lanes.run, "hung too", True, hung)
            await trio.testing.wait_all_tasks_blocked()
            await until(8, hung)
            assert await code_of(lanes.run("other", True, lambda: 7)) == errno.EAGAIN
            assert await lanes.run("other", False, lambda: 7) == 7, "what is prompt needs no thread"
            hung.go.set()

    among_hanging(24, test)


def test_nobody_waits_for_long_and_what_has_begun_is_not_given_up() -> None:
    async def test(lanes: Lanes, hung: Hung, codes: list[int]) -> None:
        with trio.fail_after(30):
            while len(codes) < 2:
                await trio.sleep(0.01)
        assert codes == [errno.EAGAIN] * 2
        assert hung.begun == 4

    assert sorted(among_hanging(6, test, patience_s=0.2)) == [0] * 4 + [errno.EAGAIN] * 2


def test_an_error_is_the_callers_and_frees_the_thread() -> None:
    async def run() -> None:
        lanes = Lanes()
        for _ in range(20):
            with pytest.raises(ZeroDivisionError):
                await lanes.run("kind", True, lambda: 1 // 0)
        assert lanes.waiting == 0

    trio.run(run)
