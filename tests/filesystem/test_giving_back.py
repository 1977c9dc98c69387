"""Free memory goes back to the kernel after a computation, and not during one."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable

import pytest
import trio
import trio.testing

from xenfs.filesystem.computing import LoopAtWork
from xenfs.filesystem.giving_back import give_back, trim


@pytest.fixture
def clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


def given_back(clock: trio.testing.MockClock, script: Callable[[LoopAtWork], object]) -> list[float]:
    """When something was given back, while this goes on."""
    times: list[float] = []

    async def trim() -> None:
        times.append(clock.current_time() - began)

    began = clock.current_time()

    async def main() -> None:
        at_work = LoopAtWork()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(give_back, at_work, trim, 30.0)
            await script(at_work)  # type: ignore[misc]
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)
    return [round(time) for time in times]


async def computed(at_work: LoopAtWork, for_s: float) -> None:
    with at_work:
        await trio.sleep(for_s)


def test_half_a_minute_after_something_was_computed_and_once(clock: trio.testing.MockClock) -> None:
    async def script(at_work: LoopAtWork) -> None:
        await trio.sleep(1000)
        await computed(at_work, 10)
        await trio.sleep(1000)

    assert given_back(clock, script) == [1040]


def test_after_a_crowd_and_never_while_somebody_computes(clock: trio.testing.MockClock) -> None:
    async def script(at_work: LoopAtWork) -> None:
        for _ in range(20):
            await computed(at_work, 7)  # the next one begins before the loop comes to who gives back
        await trio.sleep(1000)

    assert given_back(clock, script) == [140]


def test_between_scrapes_too(clock: trio.testing.MockClock) -> None:
    """Somebody asks every fifteen seconds for good: there is no half minute in which nobody does."""

    async def script(at_work: LoopAtWork) -> None:
        for _ in range(12):
            await computed(at_work, 0.3)
            await trio.sleep(14.7)

    assert given_back(clock, script) == [30, 75, 120, 165]


def test_the_c_library_gives_back_what_is_free() -> None:
    """In the middle of what is in use, where it would stay."""
    script = """
import mmap
import trio
from xenfs.filesystem.giving_back import trim
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * mmap.PAGESIZE >> 20
small = [bytes(100_000) for _ in range(640)]
del small[::2], small[1::2]
before = resident()
trio.run(trim)
print(before - resident())
"""
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("this C library has no malloc_trim, as musl has none: nothing is given back there")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) >= 20


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    trio.run(trim)
