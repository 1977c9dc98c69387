"""What each user may have open: so many files, so many bytes; and that all of it is given back."""

from __future__ import annotations

import errno
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
from xenfs.filesystem.shares import SMALL, Shares
from xenfs.nodes.tables.base import Exchange, File
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


def test_a_single_big_answer_is_let_through(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "_MOST_BYTES", 20_000)

    async def run() -> None:
        kernel = limited(host)
        assert len(await kernel.read("big")) == len(BIG) + 1

    trio.run(run)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3 * SMALL)), max_size=60))
def test_nothing_is_counted_twice_or_left(steps: list[tuple[int, int]]) -> None:
    """Files that remember now this and now that; in the end all of it is given back."""
    all_shares = Shares(3)
    share = all_shares.take(5)
    files, weights = [share, all_shares.take(5), all_shares.take(5)], [0, 0, 0]
    for which, now in steps:
        files[which].weigh(weights[which], now)
        weights[which] = now
        assert share.bytes == sum(weight for weight in weights if weight > SMALL)
    with pytest.raises(XenfsError) as caught:
        all_shares.take(5)
    assert caught.value.errno == errno.EMFILE
    for one, weight in zip(files, weights, strict=True):
        all_shares.give_back(one, weight)
    assert (len(all_shares), share.bytes, share.files) == (0, 0, 0)
