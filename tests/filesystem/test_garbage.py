"""How memory is given back: nothing keeps itself, little is looked at, and what is large goes as it is freed."""

from __future__ import annotations

import errno
import gc
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator

import pytest
import trio
from test_costs import SMALL, Loop, places, requests

from xenfs.errors import HypercallError, XenfsError
from xenfs.filesystem import garbage
from xenfs.filesystem.lanes import Lanes
from xenfs.nodes.tables.cost import Cost

ANN = 1000


class Node:
    """Something that can be in a cycle."""

    def __init__(self) -> None:
        self.itself: Node | None = self


@pytest.fixture
def unlooked() -> Iterator[None]:
    """Python looks for no cycles by itself, and finds none that were there before."""
    gc.collect()
    gc.disable()
    yield
    gc.unfreeze()
    gc.enable()


def refused() -> None:
    try:
        raise OSError(errno.ENOENT, "no such thing")
    except OSError as problem:
        raise HypercallError("op", errno.EPERM) from problem


def missing() -> None:
    raise XenfsError("nothing of that name", errno.ENOENT)


@pytest.mark.parametrize("work", [refused, missing, lambda: b"fine"])
@pytest.mark.parametrize("together", [1, 5])
def test_a_job_leaves_no_cycle_behind(unlooked: None, work: Callable[[], object], together: int) -> None:
    """An error keeps the frames that it passed through: none of them may have the error, or what has it."""
    lanes, told = Lanes(), list[str]()

    async def ask(uid: int) -> None:
        try:
            await lanes.run(uid, "file", Cost.DOMAINS, work, key="the same")
        except XenfsError as problem:
            told.append(str(problem))

    async def main() -> None:
        gc.collect()
        for _ in range(20):
            async with trio.open_nursery() as nursery:
                for number in range(together):
                    nursery.start_soon(ask, ANN + number)
        await lanes.drained()
        told.clear()
        found.append(gc.collect())

    found: list[int] = []
    trio.run(main)
    assert found == [0]


def test_a_mistake_of_xenfs_keeps_its_way_for_the_log() -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError) as caught:
            await Lanes().run(ANN, "file", Cost.DOMAINS, lambda: 1 // 0)
        assert "<lambda>" in {entry.name for entry in caught.traceback}

    trio.run(main)


def test_no_request_leaves_a_cycle_behind(unlooked: None) -> None:
    """Of any sort, of any entry, well-formed or not. What is in a cycle is freed when Python looks for it, if ever."""
    loop = Loop(f"xen=4.17,{SMALL}", 3)
    with loop.host:
        found = list(places(loop))
        for _, inode, node, name in found[::7]:
            list(requests(loop, inode, name, node))
        left = dict[str, int]()
        for path, inode, node, name in found:
            gc.freeze()  # what is remembered is no garbage, and to look at all of it each time takes a minute
            list(requests(loop, inode, name, node))
            if many := gc.collect():
                left[path] = many
    assert not left


def test_what_was_looked_at_twice_is_put_aside_until_many_cycles_were_found() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(garbage.tend, 10)
            await trio.testing.wait_all_tasks_blocked()
            kept = Node()
            there = weakref.ref(kept)
            gc.collect(1)
            assert gc.get_freeze_count() > 0
            assert not any(one is kept for one in gc.get_objects()), "nobody looks at it any more"
            del kept
            gc.collect()
            await trio.testing.wait_all_tasks_blocked()
            assert there() is not None, "so that it stays where it was in a cycle"
            for _ in range(20):
                Node()
            gc.collect()
            await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(0.01)
            assert there() is None
            nursery.cancel_scope.cancel()

    gc.collect()
    try:
        trio.run(main)
    finally:
        gc.unfreeze()
    assert not any(getattr(call, "__module__", "") == garbage.__name__ for call in gc.callbacks)


_GIVEN_BACK = """
import sys, threading
from xenfs.filesystem import garbage
if sys.argv[1] == "settled":
    garbage.settle()
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
def work():
    pieces = [b"x" * 40_000 for _ in range(500)]
    before = resident()
    del pieces[:400]
    print(before - resident())
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.parametrize(("how", "given_back"), [("settled", True), ("as it is", False)])
def test_a_piece_is_given_back_as_it_is_freed_and_not_all_at_the_end(how: str, given_back: bool) -> None:
    """By itself the C library keeps 16 MB, until what lies behind them is free as well, and then gives back all."""
    done = subprocess.run([sys.executable, "-c", _GIVEN_BACK, how], capture_output=True, text=True, check=True)
    assert (int(done.stdout) > 12_000_000) is given_back
