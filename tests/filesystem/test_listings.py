"""Look-ups that are counted together come out as those that are counted one by one."""

from __future__ import annotations

from collections.abc import Callable
from sys import getrefcount
from typing import Any

import pyfuse3
import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_operations import Kernel, kernel, reply
from worlds import Host

from xenfs.filesystem.inodes import Inode

ROOMS = st.sampled_from([20, 33, 1000])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("list"), ROOMS),
        st.tuples(st.sampled_from(["begin", "go on"]), ROOMS),
        st.tuples(st.sampled_from(["look up", "forget", "forget many", "vanish", "create"]), st.integers(0, 10**6)),
        st.tuples(st.sampled_from(["a round", "give back"]), st.just(0)),
    ),
    max_size=25,
)


@pytest.fixture(autouse=True, scope="module")
def readdir_reply() -> Any:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pyfuse3, "readdir_reply", reply)
        yield


def agree(k: Kernel) -> None:
    inodes = k.ops.inodes
    assert {number: inodes[number].lookups for number in k.lookups} == k.lookups
    assert len(inodes) == 1 + len(k.lookups)


@settings(max_examples=60, deadline=None)
@given(STEPS)
@example([("list", 33), ("list", 20), ("list", 33)])
@example([("list", 33), ("begin", 33), ("go on", 20), ("list", 33)])
@example([("list", 33), ("begin", 33), ("give back", 0), ("go on", 33), ("list", 33)])
@example([("list", 33), ("forget many", 0), ("list", 33), ("list", 33)])
@example([("list", 33), ("vanish", 50), ("list", 33), ("a round", 0), ("list", 33)])
def test_counts_are_those_of_the_kernel(steps: list[tuple[str, int]]) -> None:
    with Host("domains=90") as host:
        trio.run(walk, host, steps)


async def walk(host: Host, steps: list[tuple[str, int]]) -> None:
    k = kernel(host)
    begun: tuple[int, int] | None = None
    for what, dice in steps:
        if what == "list":
            assert await k.list("domains", dice) == host.names("domains")
        elif what in ("begin", "go on"):
            fh, at = begun if begun and what == "go on" else (await k.opendir("domains"), 0)
            begun = fh, ([(".", at), *await k.readdir(fh, at, dice)])[-1][1]
        elif what == "look up":
            names = [name for name in host.names("domains") if name.isdecimal()]
            await k.lookup(f"domains/{names[dice % len(names)]}")
        elif what.startswith("forget") and k.lookups:
            known = sorted(k.lookups.keys() - {(await k.lookup("domains")).st_ino})
            for number in known if what == "forget many" else known[dice % (len(known) + 1) :][:1]:
                count = 1 + dice % k.lookups[number]
                k.lookups[number] -= count
                if not k.lookups[number]:
                    del k.lookups[number]
                await k.ops.forget([(number, count)])
        elif what == "vanish" and len(host.world.order) > 2:
            host.world.vanish(host.world.order[1 + dice % (len(host.world.order) - 1)])
        elif what == "create":
            host.world.create()
        elif what == "a round":
            k.ops.inodes.round += 1
        elif what == "give back":
            k.ops.inodes.drop_listings(k.ops.inodes.round + 1)
        agree(k)
    await k.forget_all()
    agree(k)


def test_who_lists_again_as_before_has_nobody_counted_by_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(host: Host) -> None:
        k = kernel(host)
        names = await k.list("domains", 200)
        one_by_one: list[Inode] = []
        hold = k.ops.inodes.hold
        monkeypatch.setattr(k.ops.inodes, "hold", lambda inode: (one_by_one.append(inode), hold(inode)))
        assert await k.list("domains", 200) == names
        agree(k)
        assert len(one_by_one) < 210, "those of the first request, of which some are files"

    with Host("domains=900") as host:
        trio.run(run, host)


@pytest.mark.parametrize(("domains", "threads"), [(900, 0), (1100, 1)])
def test_a_long_listing_that_is_given_back_is_freed_by_a_thread(
    domains: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop, which forgets it, frees none of it; a short one is not worth a thread."""
    handed: list[Callable[[], object]] = []

    async def run(host: Host) -> None:
        k = kernel(host)
        fh = await k.opendir("domains")
        where, listing, _ = k.ops._listings[fh]
        parts = listing.parts
        while getrefcount(listing) > 4:  # the thread that made it is about to let go of it
            await trio.sleep(0.001)
        del listing
        monkeypatch.setattr(trio.lowlevel, "start_thread_soon", lambda work, over, name: handed.append(work))
        k.ops.inodes.drop_listings(k.ops.inodes.round + 1)
        assert where.listing is None
        assert not handed, "somebody has it open"
        await k.ops.releasedir(fh)
        assert len(handed) == threads
        assert len(parts[-1]) >= domains
        for work in handed:
            work()
            assert not parts
            k.ops.lanes.at_work.__exit__()

    with Host(f"domains={domains}") as host:
        trio.run(run, host)
