"""What each user may have open: so many files, so many bytes; and that all of it is given back."""

from __future__ import annotations

import errno
import threading
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from test_operations import ROOT, Kernel, over, readdir_reply, refused
from worlds import Host

from xenfs.errors import XenfsError
from xenfs.filesystem import shares
from xenfs.filesystem.shares import NOTHING_MUCH, SMALL, Share, Shares, Weight
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables.base import Dir, Each, Exchange, File
from xenfs.nodes.tables.cost import Cost
from xenfs.options import Options

__all__ = ["readdir_reply"]

BIG = "x" * 60_000


def by(uid: int) -> Any:
    return SimpleNamespace(uid=uid, gid=uid, pid=1, umask=0)


def limited(host: Host) -> Kernel:
    slow = File("slow", "a value", read=lambda xen: BIG, grows=Cost.WAITS)
    asked = Exchange("asked", "an answer", write=lambda xen, question: question * 50_000)
    return over(
        host, File("big", "a value", read=lambda xen: BIG), File("small", "a value", read=lambda xen: "x"), slow, asked,
        options=Options(open_max=16, debug=True, allow_other=True),
    )  # fmt: skip


def test_one_file_too_many(host: Host) -> None:
    async def run() -> None:
        kernel = limited(host)
        inode = (await kernel.lookup("small")).st_ino
        files = [(await kernel.ops.open(inode, 0, by(0))).fh for _ in range(12)]
        folders = [await kernel.ops.opendir(ROOT, by(0)) for _ in range(4)]
        assert await refused(kernel.ops.open(inode, 0, by(0))) == errno.EMFILE
        assert await refused(kernel.ops.opendir(ROOT, by(0))) == errno.EMFILE
        other = (await kernel.ops.open(inode, 0, by(7))).fh
        await kernel.ops.release(files.pop())
        files.append((await kernel.ops.open(inode, 0, by(0))).fh)
        for fh in (*files, other):
            await kernel.ops.release(fh)
        for fh in folders:
            await kernel.ops.releasedir(fh)
        assert len(kernel.ops.shares) == 0

    trio.run(run)


def test_an_open_that_fails_takes_nothing(host: Host) -> None:
    async def run() -> None:
        kernel = limited(host)
        inode = (await kernel.lookup("small")).st_ino
        for _ in range(40):
            assert await refused(kernel.ops.open(inode, 1, by(3))) == errno.EACCES
            assert await refused(kernel.ops.opendir(inode, by(3))) == errno.ENOTDIR
        assert len(kernel.ops.shares) == 0

    trio.run(run)


@pytest.mark.parametrize("name", ["big", "slow", "asked"])
def test_who_reads_much_and_closes_nothing(host: Host, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The third of two that fit is refused; what is closed makes room; another user is not concerned."""
    monkeypatch.setattr(shares, "_MOST_BYTES", 130_000)

    async def run() -> None:
        kernel = limited(host)
        inode = (await kernel.lookup(name)).st_ino

        async def remember(fh: Any) -> int:
            if name == "asked":
                await kernel.ops.write(fh, 0, b"x")
            return len(await kernel.ops.read(fh, 0, 1000))

        fhs = [(await kernel.ops.open(inode, 0, by(0))).fh for _ in range(3)]
        assert await remember(fhs[0])
        assert await remember(fhs[1])
        assert await refused(remember(fhs[2])) == errno.ENOMEM
        other = (await kernel.ops.open(inode, 0, by(9))).fh
        assert await remember(other)
        await kernel.ops.release(fhs[0])
        assert await remember(fhs[2])
        for fh in (*fhs[1:], other):
            await kernel.ops.release(fh)
        assert len(kernel.ops.shares) == 0

    trio.run(run)


def test_who_lists_much_and_closes_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """An open directory remembers what it had: where names come and go, each that is opened has a listing of its own.
    The same listing counts once."""
    monkeypatch.setattr(shares, "_MOST_BYTES", 130_000)
    names = [[(str(number), number) for number in range(1000)]]
    entry = Dir("<n>", "help", (File("value", "help", read=lambda xen, number: "x"),))
    each = Each(label="n", list=lambda xen: names[-1], find=lambda xen, name: int(name), node=entry)

    async def run() -> None:
        kernel = over(host, Dir("many", "help", (each,)))
        ops, inode = kernel.ops, (await kernel.lookup("many")).st_ino
        fhs = [await ops.opendir(inode, by(0)) for _ in range(3)]
        names.append(list(names[0]))
        fhs.append(await ops.opendir(inode, by(0)))
        names.append(list(names[0]))
        assert await refused(ops.opendir(inode, by(0))) == errno.ENOMEM
        await ops.releasedir(fhs.pop())
        fhs.append(await ops.opendir(inode, by(0)))
        for fh in fhs:
            await ops.releasedir(fh)
        assert len(ops.shares) == 0

    trio.run(run)


def test_a_single_big_answer_is_let_through(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "_MOST_BYTES", 20_000)

    async def run() -> None:
        kernel = limited(host)
        assert len(await kernel.read("big")) == len(BIG) + 1

    trio.run(run)


def test_what_many_have_in_common_counts_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first has one of his own, all who come while it is made have one more: for two users and six files."""
    monkeypatch.setattr(shares, "_MOST_BYTES", 130_000)
    monkeypatch.setattr(shares, "_MOST_OF_ALL", 130_000)
    go = threading.Event()

    def slowly(xen: Hypervisor) -> str:
        go.wait(20)
        return BIG

    async def run() -> None:
        kernel = over(host, File("slow", "a value", read=slowly, grows=Cost.WAITS), options=Options(allow_other=True))
        ops, inode = kernel.ops, (await kernel.lookup("slow")).st_ino
        fhs = [(await ops.open(inode, 0, by(uid))).fh for uid in (7, 8) for _ in range(3)]
        await trio.sleep(0.05)  # so that nobody has to wait for his turn because of what he has opened
        answers: list[bytes] = []

        async def read(fh: Any) -> None:
            answers.append(await ops.read(fh, 0, 1000))

        async with trio.open_nursery() as nursery:
            for fh in fhs:
                nursery.start_soon(read, fh)
            while ops.lanes.waiting < len(fhs):
                await trio.sleep(0.001)
            go.set()
        assert len(answers) == len(fhs)
        assert ops.shares.total.bytes == 2 * (len(BIG) + 1)
        for fh in fhs:
            await ops.release(fh)
        assert (len(ops.shares), ops.shares.total.bytes) == (0, 0)

    trio.run(run)


_THINGS = [object() for _ in range(3)]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 3)), max_size=60))
def test_nothing_is_counted_twice_or_left(steps: list[tuple[int, int, int]]) -> None:
    """Files of two users that remember now this and now that, or the same; in the end all of it is given back."""
    all_shares = Shares(2)
    files = [all_shares.take(uid) for uid in (5, 5, 6, 6)]
    weights = [NOTHING_MUCH] * 4
    for which, what, size in steps:
        now = Weight(_THINGS[what], (what + 1) * SMALL) if size else NOTHING_MUCH
        files[which].weigh(weights[which], now)
        weights[which] = now
        for mine, share in ((weights[:2], files[0]), (weights[2:], files[2])):
            assert share.remembered.bytes == sum(weight.bytes for weight in set(mine) if weight.bytes > SMALL)
        assert all_shares.total.bytes == sum(weight.bytes for weight in set(weights) if weight.bytes > SMALL)
    with pytest.raises(XenfsError) as caught:
        all_shares.take(5)
    assert caught.value.errno == errno.EMFILE
    for one, weight in zip(files, weights, strict=True):
        all_shares.give_back(one, weight)
    assert (len(all_shares), all_shares.total.bytes, files[0].remembered.bytes, files[0].files) == (0, 0, 0, 0)


def taken(share: Share, size: int) -> list[Weight]:
    """As many answers of this size as somebody can remember until he is told that it is too much."""
    kept = list[Weight]()

    def remember_all() -> None:
        for _ in range(1000):
            now = Weight(object(), size)
            share.weigh(NOTHING_MUCH, now)
            kept.append(now)

    with pytest.raises(XenfsError) as told:
        remember_all()
    assert told.value.errno == errno.ENOMEM
    return kept


def test_who_has_many_ids_can_take_all_memory_but_roots() -> None:
    """Each of his ids is a user: docs/permissions.md says so, and how many it takes. A user who comes then has none."""
    everybody, megabyte = Shares(4096), 1 << 20
    kept = [taken(everybody.take(uid), megabyte) for uid in (100_001, 100_002, 100_003, 100_004, 7, 0)]
    assert [len(each) for each in kept] == [96, 96, 64, 0, 0, 96]
    assert everybody.total.bytes == 256 << 20


def test_who_has_many_ids_can_open_as_many_files_as_four_and_none_of_roots() -> None:
    """What a file remembers that is not counted is 16 KiB: so it is bounded by the number of files of all."""
    everybody = Shares(100)
    opened = [everybody.take(100_000 + number // 100) for number in range(400)]
    for uid in (100_000, 7):
        with pytest.raises(XenfsError) as told:
            everybody.take(uid)
    assert told.value.errno == errno.ENFILE
    assert [everybody.take(0).files for _ in range(100)][-1] == 100
    everybody.give_back(opened.pop(), NOTHING_MUCH)
    assert everybody.take(7).files == 1
    with pytest.raises(XenfsError):
        everybody.take(7)
    everybody.give_back(opened.pop(), NOTHING_MUCH)
    assert everybody.take(7).files == 2
