"""Nothing keeps itself, and little is looked at at a time."""

from __future__ import annotations

import errno
import gc
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
