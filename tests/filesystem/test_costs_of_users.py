"""What one user has many of makes no request dearer, and no turn of the event loop longer: each thing that he can have,
beside every sort of request.

Measured as in test_costs.py, but in a loop of trio's with its threads. Of each request counts what the loop did for it
in all; and of everything, what is done meanwhile for others included, the longest turn of the loop.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import thread_time_ns
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

import pyfuse3
import pytest
import trio
import trio.testing
from test_costs import CTX, SMALL, Asked, Loop, Work, places, written
from test_operations import Token, readdir_reply

from xenfs.connect import watcher as topics
from xenfs.errors import Stale, XenfsError
from xenfs.filesystem import callers, departed, directories, inodes, keeping, rights, waiting
from xenfs.filesystem.callers import Caller
from xenfs.filesystem.keeping import Keeping
from xenfs.filesystem.operations import Operations
from xenfs.filesystem.record import Act, Record
from xenfs.filesystem.rights import PolicyRights
from xenfs.filesystem.sinks import Sink
from xenfs.nodes.policy import Policy, Rule
from xenfs.nodes.policy.globs import Glob
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.cost import Cost
from xenfs.options import Options

__all__ = ["readdir_reply"]

FEW, MANY = 20, 2000
ANN, BEN = 1000, 1001
CONTEXT = SimpleNamespace(uid=ANN, gid=ANN, pid=os.getpid(), umask=0)
GROWING, VALUE, CONSOLE = "xenfs/calls/log", "domains/1/state", "host/console/log"
OTHERS = ("host/memory/free_kb", "xenfs/error_log", "xenfs/calls/in_flight", "domains/1/console")
FILES = (GROWING, VALUE, CONSOLE, *OTHERS)
DIRECTORIES = ("domains/1/vcpus", "templates", "host")
FAIL = {f"lookup of nothing in {path}" for path in DIRECTORIES}
_TRIES = 4
_LEEWAY_NS = 150_000


class Turns(trio.abc.Instrument):
    """The longest turn of the loop, and what one task did in all, since `begin`."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.begin(None)

    def begin(self, task: trio.lowlevel.Task | None) -> None:
        """Look at this task from now on."""
        self._task, self.own, self.longest = task, Work(0, 0), Work(0, 0)
        self._since = self._now()

    def _now(self) -> Work:
        return Work(self._asked.calls, thread_time_ns() - self._asked.apart_ns)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._since = self._now()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        now = self._now()
        took = Work(now.calls - self._since.calls, now.ns - self._since.ns)
        self.longest = Work(max(self.longest.calls, took.calls), max(self.longest.ns, took.ns))
        if task is self._task:
            self.own = Work(self.own.calls + took.calls, self.own.ns + took.ns)


class Full(Sink):
    """A place that takes no record."""

    name = "full"

    def send(self, message: str, priority: int, fields: object) -> None:
        raise OSError("full")


class Bell:
    def notify(self) -> None:
        """Nobody hears it."""


class User:
    """Somebody who asks as the kernel would for him."""

    def __init__(self, asked: Asked, proc: Path) -> None:
        self.host, self.xen, self.proc = asked.host, asked.host.xen, proc
        options = Options(lifecycle=True, debug=True, raw=True, allow_other=True, open_max=1 << 16)
        policy = Policy([Rule((Glob("**"),), groups=frozenset({ANN}), read=True, write=True, private=True)])
        self.record = Record([Full()])
        self.ops = Operations(
            self.xen, asked.host.root, options, asked.host.refusals, PolicyRights(options, policy), self.record
        )
        self.turns = Turns(asked)
        self.found: dict[str, Work] = {}
        self.failed: dict[str, int] = {}  # errno values
        self.answer: Any = None
        self.leave = threading.Event()  # who waits in threads may go
        self.nursery: trio.Nursery
        self.gathers: int | None = None  # an open file

    def belongs_to(self, groups: int) -> None:
        """As the kernel tells it."""
        own, more = f"{ANN}\t" * 4, " ".join(map(str, range(5000, 5000 + groups)))
        (self.proc / str(CONTEXT.pid)).mkdir(exist_ok=True)
        (self.proc / str(CONTEXT.pid) / "status").write_text(f"Uid:\t{own}\nGid:\t{own}\nGroups:\t{more}\n")

    async def inode(self, path: str) -> int:
        number: int = pyfuse3.ROOT_INODE
        for name in path.split("/") if path else ():
            number = (await self.ops.lookup(number, os.fsencode(name), CONTEXT)).st_ino
        return number

    async def open(self, path: str, flags: int = os.O_RDONLY) -> int:
        return int((await self.ops.open(await self.inode(path), flags, CONTEXT)).fh)

    async def wait(self, path: str) -> int:
        """Open it, read something, and wait for more."""
        fh = await self.open(path)
        await self.ops.read(fh, 0, 1)
        await self.ops.poll(await self.inode(path), fh, Bell(), CONTEXT)
        return fh

    def forget(self, names: list[tuple[int, bytes]]) -> None:
        """In a thread: the kernel forgets what it is told to."""
        for directory, name in names:
            with suppress(Stale):
                found = (self.ops.inodes[directory].children or {}).get(os.fsdecode(name))
                if found is not None:
                    self.ops.inodes.forget(found.number, found.lookups)

    async def note(self, what: str, work: Callable[[], Awaitable[Any]], *, many: bool = False) -> None:
        """Do it, and keep what it cost; of what is `many` things by itself, the longest turn alone."""
        self.turns.begin(None if many else trio.lowlevel.current_task())
        await trio.lowlevel.checkpoint()
        self.answer = None
        try:
            self.answer = await work()
        except pyfuse3.FUSEError as problem:
            self.failed[what] = problem.errno
        await trio.lowlevel.checkpoint()
        self.found |= {f"{what}, in all": self.turns.own, f"{what}, a turn": self.turns.longest}
        old, new = self.found.get("any turn", Work(0, 0)), self.turns.longest  # news come when they come
        self.found["any turn"] = Work(max(old.calls, new.calls), max(old.ns, new.ns))


Thing = Callable[[User, int], Awaitable[object]]
"""Makes so many of something."""


async def _opens(path: str, user: User, many: int) -> None:
    for _ in range(many):
        await user.open(path)


async def _waiters(path: str, user: User, many: int) -> None:
    for _ in range(many):
        await user.wait(path)


async def _calls(user: User, many: int) -> None:
    fh = await user.open("host/memory/free_kb")
    for _ in range(many):
        await user.ops.read(fh, 0, 4096)


async def _directories(user: User, many: int) -> None:
    inode = await user.inode("host")
    for _ in range(many):
        await user.ops.opendir(inode, CONTEXT)


async def _known(user: User, many: int, *, listed: bool = False) -> None:
    """Go through the tree, of which the kernel then knows so much."""
    left, going = many, [pyfuse3.ROOT_INODE]
    while going and left > 0:
        fh = await user.ops.opendir(going.pop(), CONTEXT)
        token, start = Token(1 << 16), 0
        await user.ops.readdir(fh, start, token)
        await user.ops.releasedir(fh)
        below = [n for _, n, _ in token.entries if n in user.ops.inodes._by_number and _is_directory(user, n)]
        going += below
        left -= 1 if listed else len(token.entries)


def _is_directory(user: User, number: int) -> bool:
    node = user.ops.inodes[number].node
    return bool(node.mode & 0o040000) and not getattr(node, "private", False)


async def _processes(user: User, many: int) -> None:
    inode = await user.inode(GROWING)
    for pid in range(10_000, 10_000 + many):
        await user.ops.open(inode, os.O_RDONLY, SimpleNamespace(**{**vars(CONTEXT), "pid": pid}))


async def _groups(user: User, many: int) -> None:
    user.belongs_to(many)


async def _lines(user: User, many: int) -> None:
    user.host.world.console.print(*["a line"] * many)


async def _refusals(user: User, many: int) -> None:
    fh = await user.open("host/console/log_clear", os.O_WRONLY)
    for _ in range(many):
        with suppress(pyfuse3.FUSEError):
            await user.ops.write(fh, 0, b"\x01 nonsense" * 10)


async def _others(user: User, many: int) -> None:
    """A user may have tens of thousands of ids (subuid), and ask as each of them."""
    for uid in range(2000, 2000 + many):
        await user.ops.statfs(SimpleNamespace(uid=uid, gid=uid, pid=1, umask=0))


async def _left_out(user: User, many: int) -> None:
    for uid in range(2000, 2000 + many):
        user.record.add(Act("write", Caller(uid, uid, 1), "host/console/log_clear", b"1", code=1))


async def _answers(user: User, many: int) -> None:
    for number in range(many):
        user.xen.recent.keeping()(("question", number), ("answer", number))


async def _pending(user: User, many: int) -> None:
    """Of somebody else's, as many as he gets: Ann has a thread beside them."""
    began = trio.Event()

    def work() -> None:
        user.leave.wait()

    async def one(number: int) -> None:
        began.set()
        with suppress(XenfsError):
            await user.ops.lanes.run(BEN, f"kind {number}", Cost.WAITS, work)

    for number in range(many):
        user.nursery.start_soon(one, number)
    await began.wait()
    await trio.lowlevel.checkpoint()


async def _made(user: User, many: int) -> None:
    """Begin to fill a directory as `cp -r` does, and make names in it without end."""
    ops, above = user.ops, await user.inode("templates")
    entry = await ops.mkdir(above, b"filled", 0o755, CONTEXT)
    mode = SimpleNamespace(st_mode=entry.st_mode | 0o200)
    fields = SimpleNamespace(update_mode=True, update_uid=False, update_gid=False, update_size=False)
    with suppress(pyfuse3.FUSEError):
        await ops.setattr(entry.st_ino, mode, fields, None, CONTEXT)
    for number in range(many):
        with suppress(pyfuse3.FUSEError):
            await ops.mkdir(entry.st_ino, b"%d" % number, 0o755, CONTEXT)


async def _removed(user: User, many: int) -> None:
    """Names that were removed, and looked up anew while the old one is somebody's working directory."""
    domains = await user.inode("domains")
    for _ in range(many):
        await user.ops.lookup(domains, b"1", CONTEXT)
        user.ops.inodes.part(user.ops.inodes[domains], "1")


async def _closed(user: User, many: int) -> None:
    """Files of a domain that is gone, which were closed after it."""
    await user.nursery.start(_departed, user)
    opened = [await user.open("domains/7/state") for _ in range(many)]
    user.host.world.destroy(7)
    with suppress(pyfuse3.FUSEError):
        await user.ops.read(opened[0], 0, 10)
    for fh in opened:
        await user.ops.release(fh)


async def _departed(user: User, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    task_status.started()
    await user.ops.departed.run()


class Many(NamedTuple):
    """A thing; so few of it that nobody would notice, or as many as are dealt with at once, and many more."""

    make: Thing
    few: int = FEW
    many: int = MANY


async def _gathered(user: User, many: int) -> None:
    """So many times 8 kB; and the next write, and its end, are asked for among the others."""
    user.gathers = await user.open("host/microcode/payload", os.O_WRONLY)
    for number in range(many):
        await user.ops.write(user.gathers, number * 8000, b"x" * 8000)


async def _scattered(user: User, many: int) -> None:
    """A byte here, a byte there."""
    user.gathers = await user.open("host/microcode/payload", os.O_WRONLY)
    for number in range(many):
        await user.ops.write(user.gathers, number * 2, b"x")


THINGS: dict[str, Many] = {
    "opens of a growing file": Many(partial(_opens, GROWING)),
    "opens of a value that can be waited for": Many(partial(_opens, VALUE)),
    "opens of a file that stays": Many(partial(_opens, "host/cpu_khz")),
    "processes that have a file open": Many(_processes),
    "waits for a growing file": Many(partial(_waiters, GROWING)),
    "waits for a value": Many(partial(_waiters, VALUE)),
    "waits for the console": Many(partial(_waiters, CONSOLE)),
    "open directories": Many(_directories),
    "calls that were made": Many(_calls),
    "lines of the console": Many(_lines),
    "names that the kernel knows": Many(_known, few=2000, many=8000),
    "directories that were listed": Many(partial(_known, listed=True), few=100),
    "names that were removed and are in use": Many(_removed),
    "files of a domain that is gone": Many(_closed),
    "groups": Many(_groups, many=4096),
    "writes that were refused": Many(_refusals),
    "ids": Many(_others),
    "records that were left out": Many(_left_out),
    "answers that are remembered": Many(_answers),
    "requests that wait for a thread": Many(_pending, many=90),
    "bytes that are gathered": Many(_gathered),
    "parts that are gathered": Many(_scattered, many=4000),
    "names made in a directory that is filled": Many(_made),
}
"""A new kind of thing is a line here."""


async def requests(user: User) -> None:
    """Every sort of request."""
    ops = user.ops
    for path in FILES:
        await _of_file(user, path)
    for path in DIRECTORIES:
        await _of_directory(user, path)
    templates = await user.inode("templates")
    await user.note("mkdir", lambda: ops.mkdir(templates, b"made", 0o755, CONTEXT))
    await user.note("rmdir", lambda: ops.rmdir(templates, b"made", CONTEXT))
    gathers = user.gathers
    if gathers is not None:
        await user.note("write of more", lambda: ops.write(gathers, 0, b"y"))
        await user.note("fsync of it", lambda: ops.fsync(gathers, False))
        user.failed.pop("fsync of it", None)
        await user.note("release of it", lambda: ops.release(gathers))
    await user.note("statfs", lambda: ops.statfs(CONTEXT))
    fh = await user.open("xenfs/error_log", os.O_WRONLY)
    await user.note("write", lambda: ops.write(fh, 0, b"1\n"))
    await ops.release(fh)


async def _of_file(user: User, path: str) -> None:
    ops = user.ops
    above, _, name = path.rpartition("/")
    parent = await user.inode(above)
    await user.note(f"lookup of {path}", lambda: ops.lookup(parent, os.fsencode(name), CONTEXT))
    number = user.answer.st_ino
    await user.note(f"getattr of {path}", lambda: ops.getattr(number, CONTEXT))
    await user.note(f"open of {path}", lambda: ops.open(number, os.O_RDONLY, CONTEXT))
    fh = user.answer.fh
    await user.note(f"read of {path}", lambda: ops.read(fh, 0, 8192))
    await user.note(f"poll of {path}", lambda: ops.poll(number, fh, Bell(), CONTEXT))
    await user.note(f"fsync of {path}", lambda: ops.fsync(fh, False))
    await user.note(f"release of {path}", lambda: ops.release(fh))
    await user.note(f"forget of {path}", lambda: ops.forget([(number, 1)]))


async def _of_directory(user: User, path: str) -> None:
    ops, number = user.ops, await user.inode(path)
    await user.note(f"lookup of nothing in {path}", lambda: ops.lookup(number, b"nothing", CONTEXT))
    await user.note(f"opendir of {path}", lambda: ops.opendir(number, CONTEXT))
    fh = user.answer
    await user.note(f"readdir of {path}", lambda: ops.readdir(fh, 0, Token(64)))
    await user.note(f"releasedir of {path}", lambda: ops.releasedir(fh))


async def events(user: User) -> None:
    """What the loop does of its own accord, a few at a time."""
    ops = user.ops

    async def news(topic: str = topics.CALLS) -> None:
        ops.waiting.news(topic)
        await trio.testing.wait_all_tasks_blocked()

    async def values() -> None:
        await trio.to_thread.run_sync(ops.waiting._compare)
        await trio.testing.wait_all_tasks_blocked()

    async def rounds() -> None:
        ops.keeping = Keeping(user.xen, ops.inodes, round_s=0.005)
        began = ops.inodes.round
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ops.keeping.run)
            while ops.inodes.round < began + 9:
                ops.keeping.listed()
                await trio.sleep(0.002)
            nursery.cancel_scope.cancel()

    async def summary() -> None:
        user.record.flush()

    names = [(number, 1) for number in ops.inodes._by_number][::2]

    async def ended() -> None:
        user.leave.set()
        await ops.lanes.drained()

    await user.note("names are forgotten", lambda: ops.forget(names), many=True)
    await user.note("news of calls", news, many=True)
    await user.note("news of the console", partial(news, topics.CONSOLE), many=True)
    await user.note("other values", values, many=True)
    await user.note("rounds of keeping", rounds, many=True)
    await user.note("what the record leaves out", summary, many=True)
    await user.note("who waited is answered", ended, many=True)


@pytest.fixture(autouse=True)
def no_looks_for_cycles() -> Iterator[None]:
    """Python looks for them whenever it pleases."""
    gc.disable()
    yield
    gc.enable()


@contextmanager
def host() -> Iterator[Asked]:
    asked = Asked("domains=110,profile=full,xen=4.22")
    with asked.host:
        yield asked


async def once(asked: Asked, proc: Path, thing: Thing, many: int) -> User:
    user = User(asked, proc)
    user.belongs_to(1)
    with patch.object(keeping, "forget", user.forget), patch.object(departed, "forget", user.forget):
        await _seen(user, thing, many)
    return user


async def _seen(user: User, thing: Thing, many: int) -> None:
    async with trio.open_nursery() as user.nursery:
        await user.nursery.start(user.ops.waiting.run)
        trio.lowlevel.add_instrument(user.turns)
        await thing(user, many)
        await requests(user)
        await events(user)
        user.nursery.cancel_scope.cancel()


def least(proc: Path, thing: Thing, many: int, tries: int) -> dict[str, Work]:
    """What it costs beside so many; each time anew, as much is over when it was done once."""
    found: dict[str, Work] = {}
    for _ in range(tries):
        with host() as asked:
            user = trio.run(once, asked, proc, thing, many)
        assert set(user.failed) == FAIL
        for what, cost in user.found.items():
            old = found.get(what, cost)
            found[what] = Work(min(old.calls, cost.calls), min(old.ns, cost.ns))
    return found


def grown(thing: str, proc: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What costs more beside many than beside few."""
    monkeypatch.setattr(rights, "who", partial(callers.who, proc=proc))
    row = THINGS[thing]
    few = least(proc, row.make, row.few, 2)
    many = least(proc, row.make, row.many, 1)
    assert len(many) > 100
    if any(beyond(few[what], cost) for what, cost in many.items()):
        many = least(proc, row.make, row.many, _TRIES)
    return [f"{what}: {few[what]} with few, {cost} with many" for what, cost in many.items() if beyond(few[what], cost)]


@pytest.mark.parametrize("thing", THINGS)
def test_who_has_many_makes_nothing_dearer(thing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = grown(thing, tmp_path, monkeypatch)
    assert not found, "\n".join(found)


UNDONE = [
    (waiting, "_RUNG", "waits for a growing file", "any turn"),
    (waiting, "_FOLLOWED", "opens of a growing file", "getattr of xenfs/calls/log, in all"),
    (directories, "_FORGOTTEN_AT_ONCE", "names that the kernel knows", "names are forgotten, a turn"),
    (inodes, "_DROPPED", "directories that were listed", "rounds of keeping, a turn"),
    (callers, "_numbers", "groups", "open of domains/1/state, in all"),
]


@pytest.mark.parametrize(("module", "bound", "thing", "what"), UNDONE)
def test_without_a_bound_it_is_found(
    module: Any, bound: str, thing: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = getattr(module, bound)
    monkeypatch.setattr(module, bound, before.__wrapped__ if callable(before) else 1 << 20)
    assert any(line.startswith(what) for line in grown(thing, tmp_path, monkeypatch))


def test_nothing_is_kept_of_names_that_cannot_be_made(tmp_path: Path) -> None:
    """In a directory that is being filled."""

    async def run(asked: Asked) -> None:
        user = User(asked, tmp_path)
        await _made(user, 100)
        (filled,) = user.ops.filling._by_number.values()
        assert filled.until
        assert not filled.made
        parent = await user.inode("templates/filled")
        await user.ops.mkdir(parent, b"arch", 0o755, CONTEXT)
        assert filled.made == {"templates/filled/arch"}

    with host() as asked:
        trio.run(run, asked)


def beyond(before: Work, after: Work) -> bool:
    return after.calls > before.calls + 1 or after.ns > 2 * before.ns + _LEEWAY_NS


LONG = {"words": b"1 " * (1 << 19), "one word": b"a" * (1 << 20), "lines": b"1\n" * (1 << 19)}


@pytest.mark.parametrize("what", LONG)
def test_a_long_write_keeps_nobody_waiting(what: str) -> None:
    """Of a megabyte, as much as the kernel hands over at once. Most files say that it is too long."""
    loop = Loop(f"xen=4.22,{SMALL}", 1)
    with loop.host:
        loop.ops.witness.record = Record([Full()])
        grown = []
        seen = 0
        for path, inode, node, name in places(loop):
            if not isinstance(node, File) or node.write is None:
                continue
            seen += 1
            number = loop.measured(partial(loop.ops.lookup, inode, os.fsencode(name), CTX))[0].st_ino
            short = min((written(loop, number, LONG[what][:2]) for _ in range(2)), key=lambda cost: cost.ns)
            long = written(loop, number, LONG[what])
            if beyond(short, long):
                long = min((written(loop, number, LONG[what]) for _ in range(_TRIES)), key=lambda cost: cost.ns)
            if beyond(short, long):
                grown.append(f"{path}: {short} for a short write, {long} for a long one")
        assert not grown, "\n".join(grown)
        assert seen > 100
