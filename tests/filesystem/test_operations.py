"""FUSE requests without FUSE: each method of Operations, called as the kernel would call it."""

from __future__ import annotations

import errno
import inspect
import logging
import os
import stat
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pyfuse3
import pytest
import trio
import trio.testing
from patience import PATIENCE_S
from worlds import EVERYTHING, Host

from xenfs.errors import HypercallError, Stale, XenfsError
from xenfs.filesystem import lanes
from xenfs.filesystem.boundary import answer, answered
from xenfs.filesystem.operations import Operations
from xenfs.nodes.tables.base import PAGE, Dir, Exchange, File
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.refusals import Refusals
from xenfs.nodes.tables.region import Region
from xenfs.options import Options

ROOT = pyfuse3.ROOT_INODE
CTX: Any = SimpleNamespace(uid=0, gid=0, pid=1, umask=0)


class Kernel:
    """Calls Operations by path, and counts lookups as the kernel does."""

    def __init__(self, ops: Operations) -> None:
        self.ops = ops
        self.lookups: dict[int, int] = {}

    async def lookup(self, path: str) -> pyfuse3.EntryAttributes:
        inode = ROOT
        for name in path.split("/"):
            entry = await self.ops.lookup(inode, os.fsencode(name), CTX)
            inode = entry.st_ino
            self.lookups[inode] = self.lookups.get(inode, 0) + 1
        return entry

    async def forget_all(self) -> None:
        await self.ops.forget(list(self.lookups.items()))
        self.lookups.clear()

    async def open(self, path: str, flags: int = os.O_RDONLY) -> pyfuse3.FileInfo:
        return await self.ops.open((await self.lookup(path)).st_ino, flags, CTX)

    async def read(self, path: str) -> bytes:
        fh = (await self.open(path)).fh
        data = await self.ops.read(fh, 0, 1 << 20)
        await self.ops.release(fh)
        return data

    async def write(self, path: str, data: bytes) -> int:
        fh = (await self.open(path, os.O_WRONLY)).fh
        try:
            return await self.ops.write(fh, 0, data)
        finally:
            await self.ops.release(fh)

    async def opendir(self, path: str) -> int:
        return await self.ops.opendir((await self.lookup(path)).st_ino if path else ROOT, CTX)

    async def readdir(self, fh: int, start: int, take: int) -> list[tuple[str, int]]:
        """(name, where to go on) of what one request finds, the kernel's buffer holding so many entries."""
        token = Token(take)
        await self.ops.readdir(fh, start, token)
        for _, inode, _ in token.entries:
            self.lookups[inode] = self.lookups.get(inode, 0) + 1
        return [(name, next_id) for name, _, next_id in token.entries]

    async def list(self, path: str, take: int = 10**6) -> list[str]:
        """A directory, all of it."""
        fh, names, start = await self.opendir(path), list[str](), 0
        while found := await self.readdir(fh, start, take):
            names += [name for name, _ in found]
            start = found[-1][1]
        await self.ops.releasedir(fh)
        return names


class Token:
    """What readdir_reply puts entries into, until it is full."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.entries: list[tuple[str, int, int]] = []


def reply(token: Token, name: bytes, entry: pyfuse3.EntryAttributes, next_id: int) -> bool:
    if len(token.entries) >= token.room:
        return False
    token.entries.append((os.fsdecode(name), entry.st_ino, next_id))
    return True


@pytest.fixture(autouse=True)
def readdir_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyfuse3, "readdir_reply", reply)


def kernel(host: Host) -> Kernel:
    return Kernel(Operations(host.xen, host.root, host.options, host.refusals))


def over(host: Host, *entries: Any, options: Options = EVERYTHING) -> Kernel:
    """A kernel on a root directory with these entries instead of the whole tree."""
    return Kernel(Operations(host.xen, Dir("", "top", entries), options, Refusals()))


async def refused(call: Awaitable[Any]) -> int:
    with pytest.raises(pyfuse3.FUSEError) as caught:
        await call
    return int(caught.value.errno)


def test_thousands_are_forgotten_a_few_at_a_time(host: Host) -> None:
    """As where memory is short: whoever asks something meanwhile has his turns in between."""

    async def run() -> None:
        k, turns = kernel(host), 0

        async def another() -> None:
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(another)
            await k.ops.forget([(number, 1) for number in range(100_000, 108_000)])
            nursery.cancel_scope.cancel()
        assert turns >= 8000 // 64 - 2, "trio tosses a coin for who goes first in a round"

    trio.run(run)


def test_names_and_lookup_counts(host: Host) -> None:
    async def run() -> None:
        k = kernel(host)
        first = await k.lookup("host/cpus/3")
        again = await k.lookup("host/cpus/3")
        assert first.st_ino == again.st_ino
        assert stat.S_ISDIR(first.st_mode)
        known = len(k.ops.inodes)
        await k.ops.forget([(first.st_ino, 1)])
        assert len(k.ops.inodes) == known
        assert (await k.ops.getattr(first.st_ino, CTX)).st_ino == first.st_ino
        await k.ops.forget([(first.st_ino, 1)])
        assert len(k.ops.inodes) == known - 1
        assert await refused(k.ops.getattr(first.st_ino, CTX)) == errno.ESTALE
        del k.lookups[first.st_ino]
        await k.forget_all()
        assert len(k.ops.inodes) == 1
        await k.ops.forget([(ROOT, 10), (4711, 1)])
        assert stat.S_ISDIR((await k.ops.getattr(ROOT, CTX)).st_mode)

    trio.run(run)


def test_numbers_are_never_used_again(host: Host) -> None:
    async def run() -> None:
        k = kernel(host)
        first = (await k.lookup("version/major")).st_ino
        await k.forget_all()
        assert (await k.lookup("version/major")).st_ino != first

    trio.run(run)


def test_forgotten_before_its_parent_or_after(host: Host) -> None:
    async def run() -> None:
        k = kernel(host)
        file = (await k.lookup("host/cpus/3/online")).st_ino
        for inode in [i for i in k.lookups if i != file]:
            await k.ops.forget([(inode, k.lookups.pop(inode))])
        fh = (await k.ops.open(file, os.O_RDONLY, CTX)).fh
        assert await k.ops.read(fh, 0, 10) == b"1\n"
        await k.ops.forget([(file, 1)])
        assert await k.ops.read(fh, 0, 10) == b"1\n", "an open file outlives its name"

    trio.run(run)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("nothing", errno.ENOENT),
        ("domains/77", errno.ENOENT),
        ("domains/99999", errno.ENOENT),
        ("version/major/x", errno.ENOTDIR),
        ("domains/by-name/\udcff", errno.ENOENT),
        ("host/cpus/8", errno.ENOENT),
        ("hypfs/x", errno.ENOENT),
    ],
)
def test_lookups_that_fail(host: Host, path: str, code: int) -> None:
    async def run() -> None:
        k = kernel(host)
        assert await refused(k.lookup(path)) == code
        await k.forget_all()
        assert len(k.ops.inodes) == 1

    trio.run(run)


@pytest.mark.parametrize("room", [1, 2, 3, 10**6])
def test_listings_in_any_number_of_pieces(host: Host, room: int) -> None:
    async def run() -> None:
        k = kernel(host)
        for path in ("", "host", "domains", "host/cpus", "domains/by-name", "hypfs/params", "domains/1/vcpus/0"):
            assert await k.list(path, room) == host.names(path)
        await k.forget_all()
        assert len(k.ops.inodes) == 1, "what was listed is counted as looked up, and nothing else is kept"

    trio.run(run)


def test_listing_is_a_snapshot(host: Host) -> None:
    async def run() -> None:
        k = kernel(host)
        fh = await k.ops.opendir((await k.lookup("domains")).st_ino, CTX)
        token = Token(10)
        await k.ops.readdir(fh, 0, token)
        host.world.vanish(4)
        host.world.create(5, uuid=bytes(15) + b"\x05")
        rest = Token(100)
        await k.ops.readdir(fh, 10, rest)
        names = [name for name, _, _ in token.entries + rest.entries]
        assert len(names) == len(set(names))
        assert "5" not in names
        await k.ops.releasedir(fh)
        assert "5" in await k.list("domains")

    trio.run(run)


def test_what_programs_are_told_to_ask_for_is_no_page(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """C's stdio goes by it; a read of a page looks like sendfile(2), and costs two messages more."""

    async def run() -> None:
        k = kernel(host)
        shown: list[int] = []
        monkeypatch.setattr(k.ops.attributes, "shown", lambda inode, nbytes: shown.append(nbytes))
        for path in ("host/cpu_khz", "domains/1/memory/current_kb"):
            entry, fh = await k.lookup(path), (await k.open(path)).fh
            assert (entry.st_size, entry.st_blksize) == (4096, 8192)
            value = await k.ops.read(fh, 0, entry.st_blksize)
            assert not shown
            assert await k.ops.read(fh, 0, 4096) == value
            assert shown == [len(value)]
            shown.clear()
        for path in ("domains", "domains/stat", "metrics/xen.prom"):
            assert (await k.lookup(path)).st_blksize == 131072

    trio.run(run)


def test_attributes(host: Host) -> None:
    async def run() -> None:
        options = Options(uid=7, gid=8, umask=0o044)
        k = Kernel(Operations(host.xen, host.root, options, host.refusals))
        entry = await k.lookup("domains/1/freeze")
        assert (entry.st_uid, entry.st_gid, stat.S_IMODE(entry.st_mode)) == (7, 8, 0o600)
        assert (entry.st_size, entry.st_nlink) == (4096, 1)
        assert (await k.lookup("domains/stat")).st_size == 0
        assert entry.attr_timeout <= 1
        assert entry.entry_timeout <= 1
        fixed = await k.lookup("version/major")
        assert fixed.entry_timeout > 60
        assert (await k.lookup("domains")).st_nlink == 2
        assert (await k.ops.statfs(CTX)).f_namemax == 255

    trio.run(run)


def changes(**given: bool) -> Any:
    names = ("update_atime", "update_mtime", "update_ctime", "update_mode", "update_uid", "update_gid", "update_size")
    return SimpleNamespace(**{name: given.get(name, False) for name in names})


def test_setattr_truncates_and_nothing_else(host: Host) -> None:
    async def run() -> None:
        k = kernel(host)
        freeze, major = (await k.lookup("domains/1/freeze")).st_ino, (await k.lookup("version/major")).st_ino
        attr = pyfuse3.EntryAttributes()
        before = host.counts.copy()
        entry = await k.ops.setattr(freeze, attr, changes(update_size=True), None, CTX)
        assert entry.st_ino == freeze
        assert not set(host.asked(before)) - {"domctl getdomaininfo"}, "truncating is nothing"
        await k.ops.setattr(freeze, attr, changes(update_mtime=True, update_atime=True), None, CTX)
        attr.st_mode, attr.st_uid, attr.st_gid = entry.st_mode, entry.st_uid, entry.st_gid
        everything = changes(update_mode=True, update_uid=True, update_gid=True)
        await k.ops.setattr(freeze, attr, everything, None, CTX)  # as cp -p does
        attr.st_mode, attr.st_uid, attr.st_gid = 0o600, entry.st_uid + 1, entry.st_gid + 1
        for field in ("update_mode", "update_uid", "update_gid"):
            assert await refused(k.ops.setattr(freeze, attr, changes(**{field: True}), None, CTX)) == errno.EPERM
        assert await refused(k.ops.setattr(major, attr, changes(update_size=True), None, CTX)) == errno.EACCES

    trio.run(run)


def test_opens_are_direct_and_rights_are_checked(host: Host) -> None:
    async def run() -> None:
        k = kernel(host)
        info = await k.open("version/major")
        assert info.direct_io
        assert not info.keep_cache
        assert await refused(k.open("version/major", os.O_WRONLY)) == errno.EACCES
        assert await refused(k.open("version/major", os.O_RDWR)) == errno.EACCES
        assert await refused(k.open("version")) == errno.EISDIR
        for flags in (os.O_WRONLY, os.O_WRONLY | os.O_APPEND, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
            await k.open("domains/1/freeze", flags)

    trio.run(run)


def test_contents_are_fixed_by_the_read_at_offset_0(host: Host) -> None:
    async def run() -> None:
        k = kernel(host)
        fh = (await k.open("domains/1/cpu_time_ns")).fh
        whole = await k.ops.read(fh, 0, 100)
        host.advance(5)
        pieces = [await k.ops.read(fh, at, 3) for at in range(3, len(whole) + 3, 3)]
        assert whole[:3] + b"".join(pieces) == whole
        fresh = await k.ops.read(fh, 0, 100)
        assert int(fresh) > int(whole)
        other = (await k.open("domains/1/cpu_time_ns")).fh
        host.advance(5)
        assert int(await k.ops.read(other, 0, 100)) > int(fresh)
        assert await k.ops.read(fh, 1, 100) == fresh[1:]
        assert await k.ops.read(fh, 10**9, 100) == b""
        late = (await k.open("domains/1/cpu_time_ns")).fh
        assert len(await k.ops.read(late, 2, 100)) == len(fresh) - 2

    trio.run(run)


def test_one_write_is_one_operation_whatever_the_offset(host: Host) -> None:
    async def run() -> None:
        k = kernel(host)
        fh = (await k.open("domains/1/sched/weight", os.O_WRONLY)).fh
        for offset, text in ((0, b"300"), (3, b"301\n"), (10**6, b"302")):
            assert await k.ops.write(fh, offset, text) == len(text)
            assert host.world.domains[1].weight == int(text)
        assert await refused(k.ops.write(fh, 0, b"0")) == errno.ERANGE
        assert await refused(k.ops.write(fh, 0, b"x" * 5000)) == errno.E2BIG
        assert host.world.domains[1].weight == 302
        await k.ops.fsync(fh, False)

    trio.run(run)


def test_questions_and_answers(host: Host) -> None:
    async def run() -> None:
        k = kernel(host)
        one, two = [(await k.open("host/memory/availheap", os.O_RDWR)).fh for _ in range(2)]
        assert await k.ops.read(one, 0, 100) == b""
        assert await refused(k.ops.write(one, 0, b"nonsense")) == errno.EINVAL
        assert await k.ops.write(one, 0, b"-1 0 0") == 6
        assert await k.ops.write(two, 0, b"0 0 0") == 5
        everything, node = await k.ops.read(one, 0, 100), await k.ops.read(two, 0, 100)
        assert int(everything) > int(node) > 0
        assert await k.ops.read(one, 2, 3) == everything[2:5]
        assert await k.ops.read(one, 0, 100) == everything

    trio.run(run)


def test_the_next_question_waits_until_the_answer_was_read_to_its_end(host: Host) -> None:
    async def run() -> None:
        k = kernel(host)
        fh = (await k.open("host/memory/availheap", os.O_RDWR)).fh
        await k.ops.write(fh, 0, b"-1 0 0")
        assert await refused(k.ops.write(fh, 6, b"0 0 0")) == errno.EBUSY
        first = await k.ops.read(fh, 6, 3)
        assert await refused(k.ops.write(fh, 9, b"0 0 0")) == errno.EBUSY
        first += await k.ops.read(fh, 9, 100)
        at = 6 + len(first)
        assert await k.ops.write(fh, at, b"0 0 0") == 5
        assert await refused(k.ops.write(fh, at + 5, b"0 0 0")) == errno.EBUSY
        second = await k.ops.read(fh, at + 5, 100)
        assert int(first) > int(second) > 0
        assert await k.ops.read(fh, 0, 100) == second
        assert await refused(k.ops.write(fh, 0, b"no")) == errno.EINVAL
        assert await k.ops.read(fh, 0, 100) == b"", "what was refused has no answer, and the old one is none"
        assert await k.ops.write(fh, 0, b"-1 0 0") == 6
        assert await k.ops.read(fh, 0, 100) == first

    trio.run(run)


def test_a_read_before_any_question_finds_the_form(host: Host) -> None:
    asks = Exchange("asks", "x", write=lambda xen, text: text.upper(), form=lambda xen: "say a word")

    async def run() -> None:
        k = over(host, asks)
        fh = (await k.open("asks", os.O_RDWR)).fh
        assert await k.ops.read(fh, 0, 5) == b"say a"
        assert await k.ops.read(fh, 5, 100) == b" word\n"
        assert await k.ops.write(fh, 11, b"yes") == 3
        assert await k.ops.read(fh, 14, 100) == b"YES\n"
        assert await k.read("asks") == b"say a word\n"

    trio.run(run)


def test_bytes_in_their_place(host: Host) -> None:
    stored = bytearray(b"0123456789")

    def write(xen: Any, offset: int, data: bytes) -> None:
        if offset + len(data) > len(stored):
            raise XenfsError("no room", errno.ENOSPC)
        stored[offset : offset + len(data)] = data

    def cut(xen: Any, size: int) -> None:
        stored[size:] = bytes(len(stored) - size)

    def part(xen: Any, offset: int, size: int) -> bytes:
        return bytes(stored[offset : offset + size])

    region = Region("region", "x", read=part, write=write, length=lambda xen: len(stored), cut=cut)
    fixed = replace(region, name="fixed", cut=None)
    size: Any = SimpleNamespace(update_mode=False, update_uid=False, update_gid=False, update_size=True)

    async def run() -> None:
        k = over(host, region, fixed)
        entry = await k.lookup("region")
        assert (entry.st_size, entry.attr_timeout) == (10, 0)
        fh = (await k.open("region", os.O_RDWR)).fh
        assert await k.ops.read(fh, 4, 3) == b"456"
        assert await k.ops.write(fh, 4, b"abc") == 3
        assert await k.ops.read(fh, 0, 100) == b"0123abc789", "nothing is remembered"
        assert await refused(k.ops.write(fh, 9, b"xy")) == errno.ENOSPC
        assert bytes(stored) == b"0123abc789"
        await k.ops.setattr(entry.st_ino, SimpleNamespace(st_size=6), size, None, CTX)
        assert bytes(stored) == b"0123ab\0\0\0\0"
        inode = (await k.lookup("fixed")).st_ino
        assert await refused(k.ops.setattr(inode, SimpleNamespace(st_size=6), size, None, CTX)) == errno.EPERM
        await k.ops.setattr(inode, SimpleNamespace(st_size=10), size, None, CTX)
        await k.ops.release(fh)

    trio.run(run)


def test_an_answer_is_read_on_from_where_the_question_ended(host: Host) -> None:
    async def run() -> None:
        k = kernel(host)
        in_turn, sought = [(await k.open("host/memory/availheap", os.O_RDWR)).fh for _ in range(2)]
        for fh in (in_turn, sought):
            await k.ops.write(fh, 0, b"0 0 0\n")
        answer = await k.ops.read(sought, 0, 100)
        assert [await k.ops.read(sought, at, 2) for at in (0, 2, 4, 6)] == [answer[at : at + 2] for at in (0, 2, 4, 6)]
        assert await k.ops.read(in_turn, 6, 3) == answer[:3]
        assert await k.ops.read(in_turn, 9, 100) == answer[3:]
        assert await k.ops.read(in_turn, 6 + len(answer), 100) == b""
        assert await k.ops.read(in_turn, 0, 100) == answer

    trio.run(run)


def test_streams_follow(host: Host) -> None:
    async def run() -> None:
        k = kernel(host)
        fh = (await k.open("host/console/log")).fh
        seen = b""
        while chunk := await k.ops.read(fh, len(seen), 1000):
            seen += chunk
        assert seen
        host.world.console.print("one")
        chunk = await k.ops.read(fh, len(seen), 1000)
        assert chunk == b"(XEN) one\n"
        seen += chunk
        assert await k.ops.read(fh, len(seen), 1000) == b""
        host.world.console.print("two", "three")
        assert await k.ops.read(fh, len(seen), 7) == b"(XEN) t"
        assert await k.ops.read(fh, len(seen) + 7, 1000) == b"wo\n(XEN) three\n"
        assert await k.ops.read(fh, len(seen) + 22, 1000) == b""
        again = await k.ops.read(fh, 0, 10**6)
        assert again == host.read("host/console/log").encode()

    trio.run(run)


def test_links(host: Host) -> None:
    async def run() -> None:
        k = kernel(host)
        assert await k.ops.readlink((await k.lookup("domains/self")).st_ino, CTX) == b"0"
        assert await k.ops.readlink((await k.lookup("domains/by-name/web-1")).st_ino, CTX) == b"../1"
        assert await refused(k.ops.readlink((await k.lookup("version/major")).st_ino, CTX)) == errno.EINVAL

    trio.run(run)


def test_files_of_the_dead(host: Host) -> None:
    async def run() -> None:
        k = kernel(host)
        directory, file = await k.lookup("domains/3"), await k.lookup("domains/3/freeze")
        fh = (await k.ops.open(file.st_ino, os.O_RDWR, CTX)).fh
        host.world.vanish(3)
        for _ in range(2):
            assert await refused(k.ops.read(fh, 0, 10)) in (errno.ESTALE, errno.ENOENT)
            assert await refused(k.ops.write(fh, 0, b"1")) in (errno.ESTALE, errno.ENOENT)
            assert await refused(k.ops.getattr(file.st_ino, CTX)) == errno.ESTALE
            assert await refused(k.ops.getattr(directory.st_ino, CTX)) == errno.ESTALE
            assert await refused(k.ops.lookup(directory.st_ino, b"uuid", CTX)) == errno.ESTALE
            assert await refused(k.ops.opendir(directory.st_ino, CTX)) == errno.ESTALE
            if 3 not in host.world.domains:
                host.world.create(3, uuid=bytes(15) + b"\x09")
        assert host.world.domains[3].pause_count == 0
        assert (await k.lookup("domains/3")).st_ino != directory.st_ino

    trio.run(run)


def test_a_refusal_is_the_callers_however_long_it_takes(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused is refused before anything begins: a busy machine must not make an answer of success of it."""
    monkeypatch.setattr(lanes, "SOON_S", 0.0)

    async def run() -> None:
        k = kernel(host)
        domains = (await k.lookup("domains")).st_ino
        assert await refused(k.ops.rmdir(domains, b"4", CTX)) == errno.EBUSY
        pools = (await k.lookup("cpupools")).st_ino
        assert await refused(k.ops.rmdir(pools, b"0", CTX)) == errno.EBUSY

    trio.run(run)


def test_rmdir_clears_away_a_domain_that_is_over(host: Host) -> None:
    async def run() -> None:
        k = kernel(host)
        domains = (await k.lookup("domains")).st_ino
        before = (await k.lookup("domains/4")).st_ino
        assert await refused(k.ops.rmdir(domains, b"4", CTX)) == errno.EBUSY
        assert not host.world.domains[4].dying
        assert "only a write to kill" in (await k.read("xenfs/error_log")).decode()
        host.write("domains/4/shutdown", "poweroff")
        await k.ops.rmdir(domains, b"4", CTX)
        assert host.world.domains[4].dying
        assert (await k.lookup("domains/4")).st_ino != before, "the kernel shows nothing below an inode it removed"
        assert await refused(k.ops.rmdir(domains, b"0", CTX)) == errno.EBUSY
        assert await refused(k.ops.rmdir(domains, b"77", CTX)) == errno.ENOENT
        assert await refused(k.ops.rmdir(domains, b"by-name", CTX)) == errno.EPERM
        assert await refused(k.ops.rmdir(domains, b"stat", CTX)) in (errno.EPERM, errno.ENOTDIR)
        assert await refused(k.ops.mkdir(domains, b"new", 0o755, CTX)) == errno.EPERM

    trio.run(run)


def test_without_lifecycle_rmdir_is_refused() -> None:
    async def run() -> None:
        with Host(options=Options()) as host:
            k = kernel(host)
            domains = (await k.lookup("domains")).st_ino
            assert await refused(k.ops.rmdir(domains, b"4", CTX)) == errno.EPERM
            assert not host.world.domains[4].dying

    trio.run(run)


def test_what_this_tree_does_not_do(host: Host) -> None:
    async def run() -> None:
        k = kernel(host)
        domains, file = (await k.lookup("domains")).st_ino, (await k.lookup("version/major")).st_ino
        ops = k.ops
        codes = [
            await refused(ops.create(domains, b"x", 0o644, os.O_WRONLY, CTX)),
            await refused(ops.mknod(domains, b"x", 0o644, 0, CTX)),
            await refused(ops.unlink(domains, b"stat", CTX)),
            await refused(ops.symlink(domains, b"x", b"y", CTX)),
            await refused(ops.link(file, domains, b"x", CTX)),
            await refused(ops.rename(domains, b"1", domains, b"2", 0, CTX)),
        ]
        assert codes == [errno.EACCES, *[errno.EPERM] * 5]

    trio.run(run)


def raising(problem: Exception) -> Any:
    def work(*_: object) -> Any:
        raise problem

    return work


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (HypercallError("x", errno.ENOSYS), errno.EOPNOTSUPP),
        (HypercallError("x", errno.EBUSY), errno.EBUSY),
        (OSError(errno.ENOSYS, "x"), errno.EOPNOTSUPP),
        (OSError("no errno"), errno.EIO),
        (XenfsError("x"), errno.EIO),
        (Stale("x"), errno.ESTALE),
        (TimeoutError(), errno.EIO),
        (ConnectionResetError(errno.ECONNRESET, "x"), errno.ECONNRESET),
        (XenfsError("x", 0), errno.EIO),
    ],
)
def test_never_enosys(host: Host, problem: Exception, code: int) -> None:
    assert answer(problem) == code

    async def run() -> None:
        k = over(host, File("bad", "help", read=raising(problem), write=raising(problem)))
        assert await refused(k.read("bad")) == code
        assert await refused(k.write("bad", b"1")) == code

    trio.run(run)


def test_a_bug_in_one_node_costs_one_eio_and_one_record(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        k = over(
            host,
            File("bad", "help", read=lambda xen: 1 // 0, write=lambda xen, value: 1 // 0),
            File("good", "help", read=lambda xen: "well"),
        )
        assert await refused(k.read("bad")) == errno.EIO
        assert len(caplog.records) == 1
        assert caplog.records[0].levelno == logging.ERROR
        assert "ZeroDivisionError" in caplog.text
        assert await refused(k.write("bad", b"1")) == errno.EIO
        assert len(caplog.records) == 2
        assert await k.read("good") == b"well\n"

    trio.run(run)


def test_every_request_is_answered() -> None:
    """No handler that is there can let an exception through, nor the base class answer ENOSYS for one that is not."""
    left_out = {
        "access",
        "flush",
        "getxattr",
        "setxattr",
        "listxattr",
        "removexattr",
        "fsyncdir",
        "ioctl",
        "poll",
        "lseek",
        "copy_file_range",
        "fallocate",
        "syncfs",
        "init",
        "stacktrace",
        "forget",
        "supports_dot_lookup",
        "enable_writeback_cache",
        "enable_acl",
    }
    for name, base in inspect.getmembers(pyfuse3.Operations):
        if name.startswith("_") or name in left_out or not callable(base):
            continue
        own = getattr(Operations, name)
        assert own is not base, name
        assert hasattr(own, "__wrapped__"), f"{name} is not @answered"


def test_answered_leaves_fuse_errors_alone() -> None:
    @answered
    async def handler() -> None:
        raise pyfuse3.FUSEError(errno.EXDEV)

    assert trio.run(refused, handler()) == errno.EXDEV


def test_handles_that_are_not_there(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        k = kernel(host)
        fh = (await k.open("version/major")).fh
        await k.ops.release(fh)
        await k.ops.release(fh)
        assert await refused(k.ops.read(fh, 0, 10)) in (errno.EIO, errno.EBADF, errno.ESTALE)

    trio.run(run)


def slow_file(gate: threading.Event, entered: list[int], **more: Any) -> File:
    def work(*_: object) -> str:
        entered.append(threading.get_ident())
        assert gate.wait(PATIENCE_S)
        return "done"

    return File("slow", "help", read=work, write=work, grows=Cost.WAITS, write_grows=Cost.WAITS, **more)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENCE_S):
        while not condition():
            await trio.sleep(0.005)


def test_slow_work_leaves_the_loop_free(host: Host, gate: threading.Event) -> None:
    entered: list[int] = []

    async def run() -> None:
        k = over(host, slow_file(gate, entered), File("quick", "help", read=lambda xen: "now"))
        done: list[bytes] = []

        async def read() -> None:
            done.append(await k.read("slow"))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(read)
            await until(lambda: len(entered) == 1)
            assert await k.read("quick") == b"now\n"
            assert done == []
            assert k.ops.lanes.waiting == 3
            gate.set()
        assert done == [b"done\n"] * 3
        assert len(entered) <= 3
        assert k.ops.lanes.waiting == 0
        assert threading.get_ident() not in entered

    trio.run(run)


def test_a_full_slow_lane_turns_work_away(host: Host, gate: threading.Event) -> None:
    entered: list[int] = []

    async def run() -> None:
        k = over(host, slow_file(gate, entered), File("quick", "help", read=lambda xen: "now"))
        codes: list[int] = []
        wrote: list[int] = []

        async def write() -> None:
            try:
                wrote.append(await k.write("slow", b"1"))
            except pyfuse3.FUSEError as problem:
                codes.append(problem.errno)

        async with trio.open_nursery() as nursery:
            for _ in range(90):
                nursery.start_soon(write)
            await until(lambda: len(codes) + k.ops.lanes.waiting == 90)
            assert set(codes) == {errno.EAGAIN}
            assert 0 < k.ops.lanes.waiting < 60
            assert await k.read("quick") == b"now\n"
            gate.set()
        assert len(wrote) + len(codes) == 90
        assert len(entered) == len(wrote)
        assert await k.write("slow", b"1") == 1

    trio.run(run)


def test_a_cancelled_request_waits_for_its_thread(host: Host, gate: threading.Event) -> None:
    """The hypervisor would write into memory that by then is someone else's."""
    entered: list[int] = []
    left: list[float] = []

    async def run() -> None:
        k = over(host, slow_file(gate, entered))
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                try:
                    await k.read("slow")
                finally:
                    left.append(trio.current_time())

            nursery.start_soon(read)
            await until(lambda: bool(entered))
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.sleep(0.1)
                assert not left
                gate.set()

    trio.run(run)
    assert left


def test_later_offsets_of_a_slow_file_need_no_thread(host: Host, gate: threading.Event) -> None:
    entered: list[int] = []
    gate.set()

    async def run() -> None:
        k = over(host, slow_file(gate, entered))
        fh = (await k.open("slow")).fh
        assert await k.ops.read(fh, 0, 2) == b"do"
        assert await k.ops.read(fh, 2, 9) == b"ne\n"
        assert len(entered) == 1

    trio.run(run)


def test_refusals_name_the_path(host: Host) -> None:
    async def run() -> None:
        k = kernel(host)
        assert await refused(k.write("domains/1/vcpus/0/affinity_hard", b"0-3,99\n")) == errno.ERANGE
        lines = (await k.read("xenfs/error_log")).decode().splitlines()
        assert " domains/1/vcpus/0/affinity_hard: ERANGE: no CPU 99 here (0 to 7)" in lines[0]
        assert lines[1:] == ["  0-3,99", "      ^"]
        assert await k.write("xenfs/error_log", b"x") == 1
        assert await k.read("xenfs/error_log") == b""

    trio.run(run)


def test_the_whole_tree_through_the_operations(host: Host) -> None:
    """Every entry is listed, looked up, asked for its attributes and read; then all is forgotten."""

    async def run() -> None:
        k = kernel(host)
        entries = 0

        async def visit(path: str) -> None:
            nonlocal entries
            for name in await k.list(path):
                below = f"{path}/{name}" if path else name
                entry = await k.lookup(below)
                entries += 1
                if stat.S_ISDIR(entry.st_mode):
                    await visit(below)
                elif stat.S_ISREG(entry.st_mode):
                    assert isinstance(await k.read(below), bytes)
                else:
                    await k.ops.readlink(entry.st_ino, CTX)

        await visit("")
        assert entries > 700
        assert k.ops.handles == {}
        await k.forget_all()
        assert len(k.ops.inodes) == 1
        assert host.xen.pool.stat()["in_use"] == 0

    trio.run(run)


def test_what_stays_is_asked_for_anew_once_something_was_done(host: Host) -> None:
    """An open file that began with what was kept brings nothing old back, though it is read again."""
    told = iter(range(10))
    entries = File("stays", "A thing.", read=lambda xen: next(told), stays=True)

    async def run() -> None:
        k = over(host, entries)
        assert await k.read("stays") == b"0\n"
        await trio.testing.wait_all_tasks_blocked()
        assert await k.read("stays") == b"0\n"
        assert (await k.lookup("stays")).st_size == 2
        opened = await k.open("stays")
        assert (opened.direct_io, opened.keep_cache) == (False, True)
        k.ops.xen.recent.forget()  # something was done
        assert await k.ops.read(opened.fh, 0, PAGE) == b"0\n"
        await trio.testing.wait_all_tasks_blocked()
        anew = await k.open("stays")
        assert (anew.direct_io, anew.keep_cache) == (True, False)
        assert await k.ops.read(anew.fh, 0, PAGE) == b"1\n"

    trio.run(run)
