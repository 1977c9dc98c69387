"""What is remembered is bounded over all users, and given back when they stop."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from pyfuse3 import InodeT
from test_operations import Kernel, kernel, readdir_reply, refused
from worlds import Host

from xenfs.errors import Stale
from xenfs.filesystem import keeping
from xenfs.filesystem.inodes import ROOT, Inode, Inodes
from xenfs.filesystem.keeping import AT_REST, Keeping
from xenfs.filesystem.listings import Listing

__all__ = ["readdir_reply"]


@pytest.fixture
def crowded() -> Iterator[Host]:
    with Host("domains=400") as host:
        yield host


def obeying(k: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel forgets what it is told to, and all that is below."""
    inodes = k.ops.inodes

    def below(number: int) -> Iterator[int]:
        for inode in list((inodes[number].children or {}).values()):
            yield from below(inode.number)
        yield number

    def forget(names: list[tuple[int, bytes]]) -> None:
        for directory, name in names:
            try:
                found = (inodes[directory].children or {}).get(name.decode())
            except Stale:
                continue
            if found is not None:
                for number in list(below(found.number)):
                    inodes.forget(number, inodes[number].lookups)

    monkeypatch.setattr(keeping, "forget", forget)


async def find(k: Kernel, domids: range) -> None:
    for domid in domids:
        await k.list(f"domains/{domid}")


def test_a_walk_over_everything_stays_within_the_bound(crowded: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        k = kernel(crowded)
        obeying(k, monkeypatch)
        most = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Keeping(crowded.xen, k.ops.inodes, most=3000).run)
            for first in range(20, 400, 20):
                await find(k, range(first, first + 20))
                with trio.fail_after(60):
                    while len(k.ops.inodes) > 3000:
                        await trio.sleep(0.01)
                most = max(most, len(k.ops.inodes))
            nursery.cancel_scope.cancel()
        assert most > 2000

    trio.run(run)


def test_it_is_given_back_when_all_have_stopped(crowded: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        k = kernel(crowded)
        obeying(k, monkeypatch)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Keeping(crowded.xen, k.ops.inodes, round_s=0.05).run)
            await find(k, range(20, 120))
            assert len(k.ops.inodes) > AT_REST
            with trio.fail_after(60):
                while len(k.ops.inodes) > AT_REST:
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        assert k.ops.inodes[ROOT].children, "fixed names stay"

    trio.run(run)


def test_what_cannot_be_forgotten_is_not_asked_for_again_and_again(crowded: Host) -> None:
    async def run() -> None:
        k = kernel(crowded)
        await find(k, range(20, 60))
        inodes = k.ops.inodes
        inodes.round += 10
        asked: list[tuple[int, bytes]] = []
        while names := inodes.unused(5, 10**6, 64):
            asked += names
        assert len(asked) == len(set(asked)) > 1000

    trio.run(run)


def test_what_a_few_listings_cost_is_given_back_too(crowded: Host) -> None:
    """Where there are few entries nobody wakes, but for as long as something is remembered."""

    async def run() -> None:
        k = kernel(crowded)
        k.ops.keeping = Keeping(crowded.xen, k.ops.inodes, round_s=0.06)
        await k.list("domains/by-uuid", take=20)
        assert await refused(k.lookup("domains/by-uuid/nobody")) == errno.ENOENT
        where = k.ops.inodes[(await k.lookup("domains/by-uuid")).st_ino]
        assert where.listing is not None
        assert crowded.xen.listings._kept
        await k.forget_all()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(k.ops.keeping.run)
            await given_back(k, where)
            await trio.sleep(0.2)
            rounds = k.ops.inodes.round
            await trio.sleep(0.2)
            assert k.ops.inodes.round == rounds, "it rests"
            await k.list("domains/by-uuid", take=20)
            await k.forget_all()
            await given_back(k, where)
            assert k.ops.inodes.round > rounds, "it was woken"
            nursery.cancel_scope.cancel()

    async def given_back(k: Kernel, where: Inode) -> None:
        with trio.fail_after(60):
            while where.listing is not None or crowded.xen.listings._kept:
                await trio.sleep(0.01)
            while k.ops.inodes._listings or k.ops.keeping._due:
                await trio.sleep(0.01)

    trio.run(run)


def test_who_lists_while_listings_are_given_back_ends_nothing(host: Host) -> None:
    """Lists are made in threads, and given back in the loop: what came out of there would end the mount."""
    inodes = Inodes(host.root)
    lists = [Inode(InodeT(number), host.root, (), "", None) for number in (2, 3)]

    def keep(inode: Inode) -> None:
        inodes.keep_listing(inode, Listing([], []))

    class Kept(dict[Inode, int]):
        """Somebody keeps a listing just as this is gone through."""

        def items(self) -> Any:
            found = iter(super().items())
            other.start()
            other.join(0.2)
            return found

    keep(lists[0])
    inodes._listings = Kept(inodes._listings)
    other = threading.Thread(target=keep, args=[lists[1]])
    inodes.drop_listings(inodes.round + 1)
    other.join()
    assert list(inodes._listings.keys()) == lists[1:]


def test_a_listing_that_is_dropped_while_the_next_one_is_made_is_looked_at_to_its_end(host: Host) -> None:
    class Dropped(Inode):
        """As the loop leaves it right after a thread has looked."""

        looks: list[Listing | None]

        @property
        def listing(self) -> Listing | None:  # type: ignore[override]
            return self.looks.pop(0)

        @listing.setter
        def listing(self, listing: Listing | None) -> None:
            pass

    inodes = Inodes(host.root)
    where = Dropped(InodeT(2), host.root, (), "", None)
    entry = (b"a", Inode(InodeT(3), host.root, (), "a", where))
    where.looks = [Listing([], [entry]), None]
    assert inodes.listed(where, [("a", host.root, ())]) == [entry]
