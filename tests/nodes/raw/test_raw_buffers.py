"""raw/buffers: made, filled, named and given back by their owner, through Operations as the kernel calls them."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any

import pyfuse3
import pytest
import trio
from worlds import EVERYTHING, Between, Host

from xenfs.calls import sysctl
from xenfs.errors import PoolError
from xenfs.filesystem.operations import Operations
from xenfs.filesystem.rights import PolicyRights
from xenfs.nodes.policy import Policy, Rule
from xenfs.nodes.policy.globs import Glob
from xenfs.options import Options
from xenfs.simulator import Simulator

SIZE: Any = SimpleNamespace(update_mode=False, update_uid=False, update_gid=False, update_size=True)


def by(uid: int) -> Any:
    return SimpleNamespace(uid=uid, gid=uid, pid=1, umask=0)


class User:
    """One user's system calls."""

    def __init__(self, ops: Operations, uid: int) -> None:
        self.ops, self.ctx = ops, by(uid)

    async def find(self, path: str) -> pyfuse3.EntryAttributes:
        inode = pyfuse3.ROOT_INODE
        for name in path.split("/"):
            entry = await self.ops.lookup(inode, os.fsencode(name), self.ctx)
            inode = entry.st_ino
        return entry

    async def mkdir(self, name: str) -> pyfuse3.EntryAttributes:
        return await self.ops.mkdir((await self.find("raw/buffers")).st_ino, name.encode(), 0o755, self.ctx)

    async def rmdir(self, name: str) -> None:
        await self.ops.rmdir((await self.find("raw/buffers")).st_ino, name.encode(), self.ctx)

    async def write(self, path: str, data: bytes, offset: int = 0) -> int:
        fh = (await self.ops.open((await self.find(path)).st_ino, os.O_WRONLY, self.ctx)).fh
        try:
            return await self.ops.write(fh, offset, data)
        finally:
            await self.ops.release(fh)

    async def read(self, path: str, offset: int = 0, size: int = 1 << 20) -> bytes:
        fh = (await self.ops.open((await self.find(path)).st_ino, os.O_RDONLY, self.ctx)).fh
        try:
            return await self.ops.read(fh, offset, size)
        finally:
            await self.ops.release(fh)


async def refused(call: Awaitable[Any]) -> int:
    with pytest.raises(pyfuse3.FUSEError) as caught:
        await call
    return int(caught.value.errno)


def served(host: Host, *uids: int, policy: Policy | None = None) -> tuple[User, ...]:
    rights = PolicyRights(host.options, policy) if policy else None
    ops = Operations(host.xen, host.root, host.options, host.refusals, rights)
    return tuple(User(ops, uid) for uid in uids)


def test_a_buffer_from_mkdir_to_rmdir(host: Host) -> None:
    async def run() -> None:
        (root,) = served(host, 0)
        made = await root.mkdir("one")
        assert (made.st_mode, made.st_uid) == (0o40500, 0)
        assert await root.read("raw/buffers/one/size") == b"4096\n"
        assert await root.read("raw/buffers/one/state") == b"idle\n"
        assert await root.write("raw/buffers/one/size", b"10000\n") == 6
        data = await root.find("raw/buffers/one/data")
        assert (data.st_size, data.st_mode) == (10000, 0o100600)
        assert await root.write("raw/buffers/one/data", b"abc", 9997) == 3
        assert await root.read("raw/buffers/one/data", 9995) == b"\0\0abc"
        assert await refused(root.write("raw/buffers/one/data", b"abc", 9998)) == errno.ENOSPC
        await root.ops.setattr(data.st_ino, SimpleNamespace(st_size=0), SIZE, None, root.ctx)
        assert await root.read("raw/buffers/one/data") == bytes(10000)
        assert await refused(root.write("raw/buffers/one/size", b"0")) == errno.ERANGE
        assert await refused(root.write("raw/buffers/one/size", b"99999999999")) == errno.ENOMEM
        assert await refused(root.mkdir("one")) == errno.EEXIST
        assert await refused(root.mkdir("%x")) == errno.EINVAL
        await root.rmdir("one")
        assert await refused(root.find("raw/buffers/one")) == errno.ENOENT
        assert await refused(root.ops.getattr(data.st_ino, root.ctx)) == errno.ESTALE
        assert host.xen.pool.stat()["in_use"] == 0

    trio.run(run)


def test_a_name_that_is_used_again_is_another_buffer(host: Host) -> None:
    async def run() -> None:
        (root,) = served(host, 0)
        await root.mkdir("one")
        fh = (await root.ops.open((await root.find("raw/buffers/one/data")).st_ino, os.O_RDWR, root.ctx)).fh
        await root.rmdir("one")
        await root.mkdir("one")
        assert await refused(root.ops.write(fh, 0, b"x")) == errno.ESTALE
        assert await refused(root.ops.read(fh, 0, 1)) in (errno.ESTALE,)
        assert await root.read("raw/buffers/one/data") == bytes(4096)

    trio.run(run)


def test_they_are_their_makers_and_roots(host: Host) -> None:
    """With a policy that lets two users make buffers, neither sees into the other's, whatever else it grants."""
    rule = Rule(paths=(Glob("raw/**"),), users=frozenset({7, 8}), read=True, write=True, private=True)

    async def run() -> None:
        seven, eight, root = served(host, 7, 8, 0, policy=Policy([rule]))
        made = await seven.mkdir("mine")
        assert (made.st_uid, made.st_mode) == (7, 0o40500)
        await eight.mkdir("theirs")
        assert (await eight.find("raw/buffers/theirs/data")).st_uid == 8
        for work in (
            lambda: eight.read("raw/buffers/mine/data"), lambda: eight.write("raw/buffers/mine/data", b"x"),
            lambda: eight.write("raw/buffers/mine/size", b"1"), lambda: eight.read("raw/buffers/mine/state"),
            lambda: eight.rmdir("mine"),
        ):  # fmt: skip
            assert await refused(work()) == errno.EACCES
        where = (await eight.find("raw/buffers/mine")).st_ino
        assert await refused(eight.ops.opendir(where, eight.ctx)) == errno.EACCES
        data = (await eight.find("raw/buffers/mine/data")).st_ino
        assert await refused(eight.ops.setattr(data, SimpleNamespace(st_size=0), SIZE, None, eight.ctx)) == errno.EACCES
        await seven.write("raw/buffers/mine/data", b"x")
        assert await root.read("raw/buffers/mine/data", 0, 1) == b"x"
        await root.rmdir("mine")
        await eight.rmdir("theirs")

    trio.run(run)


def test_who_may_make_none(host: Host) -> None:
    rule = Rule(paths=(Glob("raw/buffers/**"),), users=frozenset({7}), read=True)

    async def run() -> None:
        (seven,) = served(host, 7, policy=Policy([rule]))
        assert await refused(seven.mkdir("mine")) == errno.EACCES

    trio.run(run)


def test_bounds_are_told(host: Host) -> None:
    async def run() -> None:
        (root,) = served(host, 0)
        await root.mkdir("one")
        assert (
            await refused(root.write("raw/buffers/one/size", str(host.xen.pool.max_bytes // 4 + 1).encode()))
            == errno.ENOMEM
        )
        assert "user 0 may hold 16777216 bytes, and holds 4096" in host.refusals.text()

    trio.run(run)


def test_in_flight_in_a_call() -> None:
    """While a hypercall uses it, its state names the call, and it is neither changed nor given back."""
    seen: list[Any] = []

    def within(number: int, args: tuple[int, ...]) -> int | None:
        if seen and seen[0] is None:
            seen[0] = host.value("raw/buffers/one/state"), host.value("xenfs/calls/in_flight").split()[0]
            for path, text in (("size", "1"), ("data", "x")):
                with pytest.raises(PoolError) as caught:
                    host.write(f"raw/buffers/one/{path}", text)
                seen.append(caught.value.errno)
        return None

    def wrap(sim: Simulator) -> Between:
        return Between(sim, within)

    with Host(wrap=wrap) as host:
        held = host.xen.held.make("one", 0)
        seen.append(None)
        with held.used() as buf:
            sysctl.sysctl(host.xen, sysctl.GETCPUINFO, "getcpuinfo", max_cpus=1, info=buf)
        assert seen == [(f"in flight in call {seen[0][1]}", seen[0][1]), errno.EBUSY, errno.EBUSY]
        assert host.value("raw/buffers/one/state") == "idle"


@pytest.mark.parametrize("options", [Options(), Options(lifecycle=True, debug=True)])
def test_not_without_the_option(options: Options) -> None:
    with Host(options=options) as host:
        assert not host.has("raw")


def test_those_of_a_user_are_gone_when_the_mount_ends() -> None:
    with Host(options=EVERYTHING) as host:
        host.xen.held.make("one", 5)
    assert host.xen.pool.stat()["in_use"] == 0
