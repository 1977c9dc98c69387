"""Housekeeping goes on where the kernel gives no thread for a while: it must not end the mount."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import trio
import trio.testing
from test_keeping import find
from test_operations import kernel, readdir_reply
from trio._core._thread_cache import THREAD_CACHE
from worlds import Host

from xenfs.calls.domains import life_now
from xenfs.filesystem import departed, keeping
from xenfs.filesystem.computing import LoopAtWork
from xenfs.filesystem.departed import Departed
from xenfs.filesystem.giving_back import give_back
from xenfs.filesystem.keeping import Keeping
from xenfs.filesystem.threads import in_a_thread

__all__ = ["readdir_reply"]


class Bomb:
    """Somebody's fork bomb: while it is on, no thread begins. `tries` counts those that wanted to."""

    def __init__(self) -> None:
        self.on, self.tries = True, 0

    def begin(self) -> None:
        """From now on, also for who has a thread that waits for work."""
        self.on = True
        THREAD_CACHE._idle_workers.clear()


@pytest.fixture
def bomb(monkeypatch: pytest.MonkeyPatch) -> Bomb:
    found, start = Bomb(), threading.Thread.start

    def begin(thread: threading.Thread) -> None:
        found.tries += 1
        if found.on:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(THREAD_CACHE, "_idle_workers", {})
    monkeypatch.setattr(threading.Thread, "start", begin)
    monkeypatch.setattr("xenfs.filesystem.threads._AGAIN_S", 0.01)
    return found


async def until(holds: Callable[[], object]) -> None:
    """It does within a minute."""
    with trio.fail_after(60):
        while not holds():
            await trio.sleep(0.01)


async def until_tried(bomb: Bomb, more: int = 3) -> None:
    """It wanted a thread several times, and got none; from now on there are some."""
    before = bomb.tries
    await until(lambda: bomb.tries >= before + more)
    bomb.on = False


def test_it_is_tried_again_until_there_is_one(bomb: Bomb) -> None:
    done: list[int] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_a_thread, done.append, 1)
            await until_tried(bomb)

    trio.run(main)
    assert done == [1]


def test_a_mistake_in_the_work_is_no_lack_of_threads(bomb: Bomb) -> None:
    bomb.on = False
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        raise RuntimeError("of its own")

    with pytest.raises(RuntimeError, match="of its own"):
        trio.run(in_a_thread, work)
    assert tries == [1]


def test_what_is_gone_is_told_to_the_kernel_later(bomb: Bomb, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bytes] = []
    monkeypatch.setattr(departed, "forget", lambda names: told.extend(name for _, name in names))

    async def main() -> None:
        with Host("domains=400") as host:
            bomb.on = False
            k = kernel(host)
            await find(k, range(100, 102))
            gone = Departed(k.ops.inodes, host.xen.lives)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(gone.run)
                await trio.testing.wait_all_tasks_blocked()
                domain = life_now(host.xen, 100)
                assert domain is not None
                bomb.begin()
                gone.gone(domain)
                await until_tried(bomb)
                await until(lambda: told)
                nursery.cancel_scope.cancel()

    trio.run(main)
    assert told == [b"100"]


def test_what_nobody_uses_is_given_back_later(bomb: Bomb, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bytes] = []
    monkeypatch.setattr(keeping, "forget", lambda names: told.extend(name for _, name in names))

    async def main() -> None:
        with Host("domains=400") as host:
            bomb.on = False
            k = kernel(host)
            await find(k, range(100, 160))
            bomb.begin()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Keeping(host.xen, k.ops.inodes, most=1500, round_s=0.01).run)
                await until_tried(bomb)
                await until(lambda: told)
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_free_memory_is_given_back_later(bomb: Bomb) -> None:
    async def main() -> None:
        at_work = LoopAtWork()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: give_back(at_work, after_s=0))
            with at_work:
                pass
            await until_tried(bomb)
            await trio.testing.wait_all_tasks_blocked(0.05)
            nursery.cancel_scope.cancel()

    trio.run(main)
