"""Payloads: gathered over many writes, handed over at close(2) or fsync(2), forgotten where that never comes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from types import SimpleNamespace
from typing import Any

import patch_file
import pyfuse3
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from worlds import Host

from xenfs.calls import version
from xenfs.errors import XenfsError
from xenfs.filesystem import shares
from xenfs.filesystem.callers import killed
from xenfs.filesystem.gathering import Gathering
from xenfs.filesystem.inodes import Inode
from xenfs.filesystem.operations import Operations
from xenfs.filesystem.shares import Shares
from xenfs.options import Options

CTX: Any = SimpleNamespace(uid=0, gid=0, pid=1, umask=0)
PATH = "host/livepatch/fix"


@pytest.fixture
def host() -> Iterator[Host]:
    with Host("xen=4.20,livepatches=0") as made:
        made.xen.announced.add(b"fix", 0)
        yield made


def operations(host: Host) -> Operations:
    return Operations(host.xen, host.root, host.options, host.refusals)


async def opened(ops: Operations, path: str = f"{PATH}/payload") -> int:
    inode = pyfuse3.ROOT_INODE
    for name in path.split("/"):
        inode = (await ops.lookup(inode, name.encode(), CTX)).st_ino
    return (await ops.open(inode, os.O_WRONLY, CTX)).fh


def built(host: Host) -> bytes:
    return patch_file.payload(version.build_id(host.xen), b"\x11" * 20, b"x=" + b"y" * 5000)


async def fails(awaitable: Any) -> int:
    with pytest.raises(pyfuse3.FUSEError) as caught:
        await awaitable
    return int(caught.value.errno)


async def written(ops: Operations, fh: int, data: bytes, step: int = 1000) -> None:
    for at in range(0, len(data), step):
        await ops.write(fh, at, data[at : at + step])


@pytest.mark.parametrize("end", ["flush", "fsync"])
def test_many_writes_are_one_payload(host: Host, end: str) -> None:
    async def run() -> None:
        ops = operations(host)
        fh = await opened(ops)
        await ops.flush(fh)  # a shell dups the descriptor, and closes the first
        await written(ops, fh, built(host))
        assert host.value(f"{PATH}/state") == "empty"
        await (ops.flush(fh) if end == "flush" else ops.fsync(fh, False))
        assert host.value(f"{PATH}/state") == "checked"
        assert await fails(ops.write(fh, 0, b"more")) == errno.EBUSY
        await ops.flush(fh)
        await ops.release(fh)
        assert not len(ops.shares)

    trio.run(run)
    assert host.counts["sysctl livepatch_op UPLOAD"] == 1


WRITE = st.tuples(
    st.integers(0, 300_000) | st.integers(0, 20),
    st.integers(0, 70_000) | st.integers(0, 20),
    st.binary(min_size=1, max_size=1),
)


@given(writes=st.lists(WRITE, max_size=12), sequential=st.booleans())
def test_what_is_gathered_is_what_a_file_would_have(writes: list[tuple[int, int, bytes]], sequential: bool) -> None:
    """Written in any order, one upon another, with holes."""
    handle, all_shares = gathering(), Shares(16)
    handle.share = all_shares.take(1000)
    with TemporaryFile() as file:
        for at, length, fill in writes:
            begin = os.fstat(file.fileno()).st_size if sequential else at
            handle.gather(fill * length, begin)
            os.pwrite(file.fileno(), fill * length, begin)
            assert handle.weighed.bytes >= os.fstat(file.fileno()).st_size
        if any(length for _, length, _ in writes):
            assert handle.taken() == file.read()
    assert handle.taken() == b""
    all_shares.give_back(handle.share, handle.weighed)
    assert not all_shares.total.bytes


def gathering() -> Gathering:
    node: Any = SimpleNamespace(require_room=lambda end: None)
    handle = Gathering(Inode(pyfuse3.InodeT(2), node, (), "x", None), node)
    handle.share = Shares(16).take(1000)
    return handle


def test_small_parts_count_for_what_they_take() -> None:
    handle = gathering()
    for at in range(4000):
        handle.gather(b"x", 1000 - at % 2 * 500)
    assert handle.weighed.bytes > 4000 * 200


def test_what_is_written_over_and_over_takes_no_memory_without_end() -> None:
    """Nor do parts without end; what goes on, or lies where the last one was, is none."""
    big, small = gathering(), gathering()

    def over_and_over(times: int) -> None:
        for number in range(times):
            big.gather(b"x" * 100_000, 1000 * (number % 2))

    over_and_over(160)
    with pytest.raises(XenfsError, match="over too often") as problem:
        over_and_over(40)
    assert problem.value.errno == errno.ENOMEM
    assert big.weighed.bytes < 20 << 20
    for at in range(1 << 12):
        small.gather(b"x", 2 * at)
    with pytest.raises(XenfsError, match="too many parts"):
        small.gather(b"x", 0)
    assert len(small._parts) == 1 << 12
    for _ in range(1000):
        small.gather(b"yy", (2 << 12) - 2)
    assert len(small.taken()) == 2 << 12


def test_nothing_is_lost_or_torn_while_it_is_handed_over(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """By somebody who has the same open file: his write is refused, and his close hands nothing over again."""

    async def run() -> None:
        ops = operations(host)
        fh = await opened(ops)
        await written(ops, fh, built(host))
        going_on, seen = ops.lanes.run, []

        async def meanwhile(*args: Any, **more: Any) -> Any:
            assert await fails(ops.write(fh, 1 << 20, b"other")) == errno.EBUSY
            await ops.flush(fh)
            seen.append(args)
            return await going_on(*args, **more)

        monkeypatch.setattr(ops.lanes, "run", meanwhile)
        await ops.fsync(fh, False)
        assert len(seen) == 2
        assert host.value(f"{PATH}/state") == "checked"

    trio.run(run)
    assert host.counts["sysctl livepatch_op UPLOAD"] == 1


@pytest.mark.parametrize("turned_away", [0, 1])
def test_what_was_turned_away_can_be_handed_over_again(
    host: Host, monkeypatch: pytest.MonkeyPatch, turned_away: int
) -> None:
    """Too much is waiting, for it to be put together or to be carried out: nothing has been done."""

    async def run() -> None:
        ops = operations(host)
        fh = await opened(ops)
        await written(ops, fh, built(host))
        going_on, seen = ops.lanes.run, []

        async def full(*args: Any, **more: Any) -> Any:
            seen.append(args)
            if len(seen) == turned_away + 1:
                raise XenfsError("full", errno.EAGAIN)
            return await going_on(*args, **more)

        monkeypatch.setattr(ops.lanes, "run", full)
        assert await fails(ops.fsync(fh, False)) == errno.EAGAIN
        assert host.value(f"{PATH}/state") == "empty"
        await ops.fsync(fh, False)
        assert host.value(f"{PATH}/state") == "checked"

    trio.run(run)
    assert host.counts["sysctl livepatch_op UPLOAD"] == 1


def test_close_says_what_xen_says(host: Host) -> None:
    async def run() -> None:
        ops = operations(host)
        fh = await opened(ops)
        data = built(host)
        await written(ops, fh, data[:3000])
        assert await fails(ops.flush(fh)) == errno.EINVAL
        assert "no live patch" in host.value("xenfs/error_log")
        assert "ELF\\x02" not in host.value("xenfs/error_log")
        await ops.flush(fh)  # nothing new: nothing is handed over again
        await ops.write(fh, 3000, data[3000:])  # another program goes on where the first one ended
        await ops.flush(fh)
        assert host.value(f"{PATH}/state") == "checked"
        await ops.release(fh)

    trio.run(run)
    assert host.counts["sysctl livepatch_op UPLOAD"] == 2


def test_a_payload_is_bounded(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        ops = operations(host)
        first, second = await opened(ops), await opened(ops)
        assert await fails(ops.write(first, (2 << 20) - 1, b"12")) == errno.EFBIG
        await ops.write(first, (2 << 20) - 1, b"1")  # zeros before it
        assert await fails(ops.write(second, 100_000, b"1")) == errno.ENOMEM
        await ops.release(first)
        await ops.write(second, 100_000, b"1")
        await ops.release(second)
        assert not len(ops.shares)

    monkeypatch.setattr(shares, "_MOST_BYTES", 2 << 20)
    trio.run(run)
    assert "EFBIG" in host.value("xenfs/error_log")
    assert not host.counts["sysctl livepatch_op UPLOAD"], "never closed by who wrote it"


def test_nothing_is_handed_over_of_a_writer_that_was_killed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        ops = operations(host)
        fh = await opened(ops)
        await written(ops, fh, built(host))
        monkeypatch.setattr("xenfs.filesystem.gathering.killed", lambda pid: pid == 1)
        await ops.flush(fh)
        await ops.release(fh)

    trio.run(run)
    assert not host.counts["sysctl livepatch_op UPLOAD"]
    assert host.value(f"{PATH}/state") == "empty"
    assert "EINTR" in host.value("xenfs/error_log")


def test_who_is_killed_and_who_is_not(tmp_path: Path) -> None:
    for flags, expected in ((0x400140, False), (0x40 | 0x404, True), (0x4, False)):
        (tmp_path / "7").mkdir(exist_ok=True)
        (tmp_path / "7" / "stat").write_text(f"7 (a ) b) R 1 7 7 0 -1 {flags} 0 0\n")
        assert killed(7, tmp_path) is expected
    assert not killed(8, tmp_path)
    assert not killed(os.getpid())


def test_a_mount_without_payloads_is_told_of_no_close() -> None:
    """The kernel hears ENOSYS once and saves a request with each close from then on."""

    async def run() -> None:
        with Host("", Options()) as host:
            ops = operations(host)
            fh = await opened(ops, "domains/1/freeze")
            assert await fails(ops.flush(fh)) == errno.ENOSYS
        with Host("") as host:
            ops = operations(host)
            await ops.flush(await opened(ops, "domains/1/freeze"))

    trio.run(run)
