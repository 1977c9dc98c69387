"""poll(2) as the kernel asks it of us: readiness at once, a bell that is kept until there is news, and none lost."""

from __future__ import annotations

import os
import select
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pyfuse3
import pytest
import trio
from patience import PATIENCE_S
from worlds import Host

from xenfs.connect import watcher
from xenfs.filesystem import waiting
from xenfs.filesystem.following import Follower
from xenfs.filesystem.operations import Operations
from xenfs.filesystem.waiting import ALWAYS, NEWS
from xenfs.options import Options

CTX: Any = SimpleNamespace(uid=0, gid=0, pid=1, umask=0)
EVENTS, CONSOLE, CALLS = "domains/events", "host/console/log", "xenfs/calls/log"


class Bell:
    def __init__(self, problem: OSError | None = None) -> None:
        self.rung, self.problem = 0, problem

    def notify(self) -> None:
        self.rung += 1
        if self.problem:
            raise self.problem


class Opened:
    """A file as a process has it open."""

    def __init__(self, ops: Operations, inode: int, fh: int) -> None:
        self.ops, self.inode, self.fh, self.offset = ops, inode, fh, 0

    async def read(self, size: int = 1 << 16) -> bytes:
        found: bytes = await self.ops.read(self.fh, self.offset, size)
        self.offset += len(found)
        return found

    async def poll(self, bell: Bell | None = None) -> int:
        mask: int = await self.ops.poll(self.inode, self.fh, bell, CTX)
        return mask

    async def close(self) -> None:
        await self.ops.release(self.fh)


@asynccontextmanager
async def serving(host: Host) -> AsyncIterator[Callable[[str], Awaitable[Opened]]]:
    """Operations with their watcher, as `serve` starts it."""
    ops = Operations(host.xen, host.root, host.options, host.refusals)

    async def opened(path: str) -> Opened:
        inode: int = pyfuse3.ROOT_INODE
        for name in path.split("/"):
            inode = (await ops.lookup(inode, name.encode(), CTX)).st_ino
        return Opened(ops, inode, (await ops.open(inode, os.O_RDONLY, CTX)).fh)

    async with trio.open_nursery() as nursery:
        await nursery.start(ops.waiting.run)
        yield opened
        nursery.cancel_scope.cancel()


async def until(holds: Callable[[], object]) -> None:
    with trio.fail_after(PATIENCE_S):
        while not holds():
            await trio.sleep(0.002)


def run(host: Host, test: Callable[[Callable[[str], Awaitable[Opened]]], Awaitable[None]]) -> None:
    async def main() -> None:
        async with serving(host) as opened:
            await test(opened)

    trio.run(main)


def test_events_are_those_since_the_open(host: Host) -> None:
    async def test(opened: Any) -> None:
        host.world.create(40)
        early = await opened(EVENTS)
        uuid = host.value("domains/40/uuid")
        assert await early.read() == b""
        host.world.shutdown(40, 0)
        await until(lambda: host.xen.happenings.last == 1)
        late = await opened(EVENTS)
        assert await early.read() == f"1 shutdown 40 {uuid} poweroff\n".encode()
        assert await early.read() == b""
        host.world.destroy(40)
        await until(lambda: host.xen.happenings.last == 2)
        assert await early.read() == await late.read() == f"2 dying 40 {uuid} poweroff\n".encode()
        early.offset = 0
        assert (await early.read()).count(b"\n") == 2, "from the open on, once more"

    run(host, test)


@pytest.mark.parametrize("settings", ["", "xenstore=off"])
def test_a_bell_rings_once_for_news(settings: str) -> None:
    with Host(settings) as host:

        async def test(opened: Any) -> None:
            file, bell = await opened(EVENTS), Bell()
            assert await file.poll(bell) == 0
            await trio.sleep(0.1)
            assert bell.rung == 0
            host.world.create(40)
            await until(lambda: bell.rung)
            assert await file.poll(Bell()) == NEWS
            host.world.create(41)
            await trio.sleep(0.05)
            assert bell.rung == 1
            assert b" created 40 " in await file.read()

        run(host, test)


def test_news_between_question_and_bell_is_not_lost(host: Host) -> None:
    async def test(opened: Any) -> None:
        file, bell = await opened(EVENTS), Bell()
        host.world.create(40)
        await until(lambda: host.xen.happenings.last)
        assert await file.poll(bell) == NEWS
        assert await file.poll() == NEWS, "the kernel asks without a bell where nobody sleeps"
        assert bell.rung == 0
        host.world.create(41)
        await until(lambda: bell.rung)  # what an edge-triggered epoll waits for

    run(host, test)


def test_what_a_short_read_left_is_still_there(host: Host) -> None:
    async def test(opened: Any) -> None:
        file = await opened(EVENTS)
        host.world.create(40)
        await until(lambda: host.xen.happenings.last)
        whole = b""
        while await file.poll(Bell()):
            whole += await file.read(7)
        assert whole.startswith(b"1 created 40 ")
        assert whole.endswith(b"\n")

    run(host, test)


def test_the_console_and_the_log_of_calls(host: Host) -> None:
    async def test(opened: Any) -> None:
        console, calls = await opened(CONSOLE), await opened(CALLS)
        while await console.read():
            pass
        bell = Bell()
        assert await console.poll(bell) == 0
        host.world.console.print("hello")
        await until(lambda: bell.rung)
        assert await console.poll(Bell()) == NEWS
        assert await console.read() == b"(XEN) hello\n"
        await console.close()
        while await calls.read():
            pass
        bell = Bell()
        assert await calls.poll(bell) == 0
        await (await opened("host/memory/free_kb")).read()
        await until(lambda: bell.rung)
        assert (await calls.read()).endswith(b"\n")
        assert await calls.poll(Bell()) == 0, "to ask and to read makes no call"

    run(host, test)


def test_other_files_are_always_ready(host: Host) -> None:
    async def test(opened: Any) -> None:
        bell = Bell()
        assert await (await opened("host/memory/free_kb")).poll(bell) == ALWAYS
        assert ALWAYS & select.POLLIN
        assert bell.rung == 0

    run(host, test)


def test_hundreds_wait_and_each_is_told_once(host: Host) -> None:
    async def test(opened: Any) -> None:
        files = [await opened(EVENTS) for _ in range(500)]
        bells = [Bell() for _ in files]
        for file, bell in zip(files, bells, strict=True):
            assert await file.poll(bell) == 0
        await files[0].close()
        before, began = host.counts.copy(), trio.current_time()
        host.world.create(40)
        await until(lambda: sum(bell.rung for bell in bells) >= 499)
        texts = {await file.read() for file in files[1:]}
        assert len(texts) == 1
        assert [bell.rung for bell in bells] == [0, *[1] * 499]
        listings = host.asked(before)["sysctl getdomaininfolist"]
        assert listings <= 20 + (trio.current_time() - began) / 0.02, "a listing serves for so long"

    run(host, test)


def test_hundreds_are_told_a_few_at_a_time(host: Host) -> None:
    """Whoever asks for something else comes in between. What is new while they are told, they are told as well."""

    async def test(opened: Any) -> None:
        for path in (CALLS, "domains/1/state"):
            files = [await opened(path) for _ in range(500)]
            bells = [Bell() for _ in files]
            for file, bell in zip(files, bells, strict=True):
                await file.poll(bell)
            steps, told = [], 0
            await (await opened("host/memory/free_kb")).read()
            with trio.fail_after(PATIENCE_S):
                while told < 500:
                    await trio.lowlevel.checkpoint()
                    before, told = told, sum(bell.rung for bell in bells)
                    steps.append(told - before)
            assert max(steps) <= 2 * waiting._RUNG
            again = Bell()
            await files[0].poll(again)
            await (await opened("host/memory/free_kb")).read()
            await until(lambda again=again: again.rung)
            assert {bell.rung for bell in bells} == {1}
            for file in files:
                await file.close()

    run(host, test)


@pytest.mark.parametrize("name", ["state", "console"])
def test_a_value_is_asked_for_once_for_all_who_wait_for_it(name: str) -> None:
    """And a console for all who have read it to its end."""

    async def test(opened: Any) -> None:
        for path in (f"domains/1/{name}", f"domains/2/{name}"):
            for number in range(100):
                file = await opened(path)
                if number:
                    await file.read()
                await file.poll(Bell())
        before = host.counts.copy()
        await trio.to_thread.run_sync(file.ops.waiting._compare)
        asked = host.asked(before)
        await until(lambda: len(file.ops.waiting._armed[file.ops.handles[file.fh].topic]) <= 198)
        assert 2 <= sum(asked.values()) <= 12, "the watcher may look as well"

    with Host("", Options(debug=True)) as host:
        run(host, test)


def test_who_has_read_less_of_a_console_hears_of_what_others_have_read() -> None:
    """And who waits for the console of another guest hears nothing of it."""

    async def test(opened: Any) -> None:
        other, early, late = [await opened(f"domains/{domid}/console") for domid in (4, 2, 2)]
        await other.read()
        await early.read()
        host.world.console.put(b"(d2) more\n")
        await late.read()
        bells = [Bell() for _ in range(3)]
        for file, bell in zip((other, early, late), bells, strict=True):
            await file.poll(bell)
        await until(lambda: bells[1].rung)
        assert [bell.rung for bell in bells] == [0, 1, 0]
        assert b"more" in await early.read()

    with Host("", Options(debug=True)) as host:
        run(host, test)


def test_how_long_a_file_is_costs_no_more_for_who_has_it_open_often(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Follower] = []
    grown = Follower.grown
    monkeypatch.setattr(Follower, "grown", lambda self, xen: looked.append(self) or grown(self, xen))

    async def test(opened: Any) -> None:
        files = [await opened(CONSOLE) for _ in range(100)]
        host.world.console.print("something new")
        assert (await files[0].ops.getattr(files[0].inode, CTX)).st_size
        assert len(looked) == waiting._FOLLOWED
        assert files[-1].ops.handles[files[-1].fh] in looked
        for file in files:
            await file.close()
        assert not files[0].ops.waiting._open

    run(host, test)


@pytest.mark.parametrize("settings", ["domains=10", "xenstore=off"])
def test_what_one_reader_finds_everybody_hears_of(settings: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for period in ("_PERIOD_S", "_WATCHED_S"):
        monkeypatch.setattr(watcher, period, 60.0)  # so that nobody but the reader can have found it
    with Host(settings) as host:

        async def test(opened: Any) -> None:
            reader, waiter, bell = await opened(EVENTS), await opened(EVENTS), Bell()
            assert await waiter.poll(bell) == 0
            await trio.sleep(0.1)
            host.world.build(40, bytes(15) + b"x", "pv")  # xenstore is not told
            assert b" created 40 " in await reader.read()
            await until(lambda: bell.rung)

        run(host, test)


def test_a_waiter_that_is_gone_does_no_harm(host: Host) -> None:
    async def test(opened: Any) -> None:
        first, second = await opened(EVENTS), await opened(EVENTS)
        dead, alive = Bell(OSError(2, "no such handle")), Bell()
        await first.poll(dead)
        await second.poll(alive)
        host.world.create(40)
        await until(lambda: alive.rung)
        assert dead.rung == 1

    run(host, test)


def test_after_the_last_one_has_closed_nothing_is_asked(host: Host) -> None:
    async def test(opened: Any) -> None:
        files = [await opened(path) for path in (EVENTS, CONSOLE, CALLS)]
        for file in files:
            while await file.read():
                pass
            await file.poll(Bell())
        await trio.sleep(0.3)
        for file in files:
            await file.close()
        await trio.sleep(0.05)
        before = host.counts.copy()
        host.world.create(40)
        await trio.sleep(0.3)
        assert not host.asked(before)
        assert host.xen.calls.ended is None

    run(host, test)


def test_a_state_that_somebody_waits_for(host: Host) -> None:
    """Always ready; PRI and ERR when it is not what was read last; the bell rings once, and only for that."""

    async def test(opened: Any) -> None:
        host.world.create(40)
        host.write("domains/1/freeze", "1")  # else it runs and waits by turns
        state, other = await opened("domains/40/state"), await opened("domains/1/state")
        assert await state.poll() == waiting.OTHER, "nothing was read yet"
        for each in (state, other):
            await each.read()
            assert await each.poll() == ALWAYS
        bells = [Bell(), Bell(), Bell()]
        await state.poll(bells[0])
        await other.poll(bells[1])
        host.write("domains/40/freeze", "1")
        await until(lambda: bells[0].rung)
        assert (bells[0].rung, bells[1].rung) == (1, 0)
        assert await state.poll(bells[2]) == waiting.OTHER
        state.offset = 0
        assert await state.read() == b"paused\n"
        assert await state.poll() == ALWAYS
        host.world.destroy(40)
        await until(lambda: bells[2].rung)
        await state.close()
        await other.close()

    run(host, test)


def test_who_waits_for_a_value_no_more_costs_nothing_in_the_end(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel does not tell: after a while they are to say so again."""
    monkeypatch.setattr(waiting, "_ASK_AGAIN_S", 0.0)

    async def test(opened: Any) -> None:
        host.write("domains/1/freeze", "1")
        state = await opened("domains/1/state")
        await state.read()
        bell = Bell()
        assert await state.poll(bell) == ALWAYS
        await until(lambda: bell.rung)
        assert not state.ops.waiting._armed["values"]
        await trio.sleep(0.3)
        calls = host.xen.calls.last
        await trio.sleep(0.5)
        assert host.xen.calls.last == calls

    run(host, test)


def test_who_has_a_growing_file_open_sees_it_grow(host: Host) -> None:
    """As tail -f needs it: the size is what was read and can be read, for the process that has it open."""

    async def test(opened: Any) -> None:
        log = await opened(CONSOLE)
        length = (await log.ops.getattr(log.inode, CTX)).st_size
        assert length == len(await log.read())
        seen = await log.ops.getattr(log.inode, CTX)
        assert seen.st_size == length
        host.world.console.print("something new")
        grown = await log.ops.getattr(log.inode, CTX)
        assert grown.st_size > length
        assert grown.st_mtime_ns > seen.st_mtime_ns
        assert await log.read(5) == b"(XEN)"
        assert (await log.ops.getattr(log.inode, CTX)).st_size == grown.st_size
        await log.read()
        assert log.offset == (await log.ops.getattr(log.inode, CTX)).st_size == grown.st_size
        stranger = SimpleNamespace(**{**vars(CTX), "pid": 2})
        assert (await log.ops.getattr(log.inode, stranger)).st_size == 0
        await log.close()
        assert (await log.ops.getattr(log.inode, CTX)).st_size == 0
        assert not log.ops.waiting._open

    run(host, test)


def test_what_found_no_room_is_followed_again(host: Host) -> None:
    """ENOMEM for a read loses no line."""

    async def test(opened: Any) -> None:
        log = await opened(CONSOLE)
        await log.read()
        host.world.console.print("something new")
        follower = log.ops.handles[log.fh]
        assert await log.ops.read(log.fh, log.offset, 1000)
        follower.forget()
        assert b"something new" in await log.ops.read(log.fh, log.offset, 1000)

    run(host, test)
