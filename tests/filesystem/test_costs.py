"""What is done in the event loop grows with nothing: each entry of the tables, on a small host and on a huge one.

Counted in hypercalls, and in CPU time of xenfs's own code: the pretended Xen's is taken out, and of several tries the
least is what counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Coroutine, Iterator
from contextlib import contextmanager
from threading import get_ident
from time import thread_time_ns
from types import SimpleNamespace
from typing import Any, NamedTuple

import pyfuse3
import pytest
from worlds import EVERYTHING, Between, Host

from xenfs.filesystem.listings import Listing
from xenfs.filesystem.operations import Operations
from xenfs.hypervisor.operation import Operation
from xenfs.nodes.tables.base import Dir, Each, Exchange, File, Link, Node
from xenfs.nodes.tables.cost import NOTHING, Cost
from xenfs.simulator import Simulator

CTX: Any = SimpleNamespace(uid=os.geteuid(), gid=os.getegid(), pid=0, umask=0)
SMALL = "domains=13,cpus=8,nodes=4,profile=full"
HUGE = "domains=10000,cpus=4096,nodes=4,pci=4000,livepatches=2000,profile=full"
BIG_GUEST = 20_000  # a domain of one vCPU on the small host, and of a thousand on the huge one
MANY = frozenset({"0", "3", str(BIG_GUEST)})  # of domains, CPUs, vCPUs these are looked at
_LEEWAY_NS = 400_000
_TRIES = 4


class Work(NamedTuple):
    """What a request cost the event loop."""

    calls: int
    ns: int


class Asked:
    """A host, and what the event loop asks of its Xen: how often, and for how long, which is no work of xenfs's."""

    def __init__(self, settings: str) -> None:
        self.calls = self.apart_ns = 0
        self.away = False
        self._thread = get_ident()
        self.host = Host(settings, EVERYTHING, wrap=self._between)

    def _between(self, sim: Simulator) -> Between:
        self._sim = sim
        return Between(sim, self._answer)

    def _answer(self, number: int, args: tuple[int, ...]) -> int:
        if self.away or get_ident() != self._thread:
            return self._sim.hypercall(number, args)
        began = thread_time_ns()
        try:
            return self._sim.hypercall(number, args)
        finally:
            self.calls += 1
            self.apart_ns += thread_time_ns() - began


class Loop(Asked):
    """Makes requests without an event loop; of what is sent to a thread only names are found, and not counted."""

    def __init__(self, settings: str, vcpus: int) -> None:
        super().__init__(settings)
        self.host.sim.world.create(BIG_GUEST, type="pv", vcpus=vcpus, memory_kb=65536)
        self._made = self.host.xen._made
        self.host.xen._made = self._watched  # type: ignore[method-assign]
        self.long: set[str] = set()  # operations that may take long and were made in the loop all the same
        self._names: dict[Any, Any] = {}
        self.ops = Operations(self.host.xen, self.host.root, EVERYTHING, self.host.refusals)
        self.ops.lanes.run = self._elsewhere  # type: ignore[method-assign, assignment]
        self.ops.attributes.keep = lambda *_: None  # type: ignore[method-assign]  # there is no loop to do it after

    def _watched(self, op: Operation, *args: Any) -> int:
        if op.slow and not self.away:
            self.long.add(op.name)
        return self._made(op, *args)

    async def _elsewhere(
        self, uid: int, kind: Any, cost: Cost, work: Callable[..., Any], *args: Any, **more: Any
    ) -> Any:
        if cost is NOTHING:
            return work(*args)
        name = getattr(work, "__name__", "")
        if name != "_child":  # the answer does not matter
            return Listing([], []) if name == "_listing" else b"1\n"
        began, self.away = thread_time_ns(), True
        try:
            if more["key"] not in self._names:
                self._names[more["key"]] = work(*args)
            return self._names[more["key"]]
        finally:
            self.away = False
            self.apart_ns += thread_time_ns() - began

    def measured(self, request: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[Any, Work]:
        """What it answers, None where it fails, and what it costs."""
        self.calls = self.apart_ns = 0
        began = thread_time_ns()
        try:
            request().send(None)
        except StopIteration as done:
            return done.value, Work(self.calls, thread_time_ns() - began - self.apart_ns)
        except pyfuse3.FUSEError:
            return None, Work(self.calls, thread_time_ns() - began - self.apart_ns)
        raise AssertionError("it waits for something")


Requests = dict[str, Callable[[], Coroutine[Any, Any, Any]]]


def places(
    loop: Loop, known: Container[str] | None = None, inode: int = pyfuse3.ROOT_INODE, prefix: str = ""
) -> Iterator[tuple[str, int, Node, str]]:
    """(path, inode of its directory, node, name) of every shape there is: of many alike, a few; or what is `known`."""
    host, where = loop.host, loop.ops.inodes[inode]
    directory = where.node
    assert isinstance(directory, Dir)
    names = [name for name, node, _ in directory.children(host.xen, where.ids) if chosen(directory, name, node)]
    for name in names:
        if known is not None and f"{prefix}{name}" not in known:
            continue
        entry, _ = loop.measured(lambda name=name: loop.ops.lookup(inode, os.fsencode(name), CTX))  # type: ignore[misc]
        if entry is None:
            continue
        node = loop.ops.inodes[entry.st_ino].node
        yield f"{prefix}{name}", inode, node, name
        if isinstance(node, Dir):
            yield from places(loop, known, entry.st_ino, f"{prefix}{name}/")


def chosen(directory: Dir, name: str, node: Node) -> bool:
    fixed = {entry.name for entry in directory.entries if isinstance(entry, Node)}
    many = any(isinstance(entry, Each) for entry in directory.entries)
    if not many or name in fixed:
        return True
    return name in MANY if name.isdecimal() else isinstance(node, Dir)


def requests(loop: Loop, inode: int, name: str, node: Node) -> Iterator[tuple[str, Work]]:
    """Every sort of request that there is for this entry, with what it cost."""
    ops = loop.ops
    entry, cost = loop.measured(lambda: ops.lookup(inode, os.fsencode(name), CTX))
    yield "lookup", cost
    number = entry.st_ino
    yield "getattr", loop.measured(lambda: ops.getattr(number, CTX))[1]
    if isinstance(node, Link):
        yield "readlink", loop.measured(lambda: ops.readlink(number, CTX))[1]
    elif isinstance(node, Dir):
        yield "lookup of what is not there", loop.measured(lambda: ops.lookup(number, b"31999", CTX))[1]
        fh, cost = loop.measured(lambda: ops.opendir(number, CTX))
        yield "opendir", cost
        loop.measured(lambda: ops.releasedir(fh))
    elif isinstance(node, File):
        yield from of_file(loop, number, node)


def of_file(loop: Loop, number: int, node: File) -> Iterator[tuple[str, Work]]:
    ops = loop.ops
    if node.read is not None and not isinstance(node, Exchange):
        info, cost = loop.measured(lambda: ops.open(number, os.O_RDONLY, CTX))
        yield "open", cost
        content, cost = loop.measured(lambda: ops.read(info.fh, 0, 8192))
        yield "read", cost
        loop.measured(lambda: ops.release(info.fh))
        if node.write is not None and content:
            yield "write", written(loop, number, content)
    if node.write is not None:
        yield "write of nonsense", written(loop, number, b"\x01 nonsense")


def written(loop: Loop, number: int, data: bytes) -> Work:
    info, opened = loop.measured(lambda: loop.ops.open(number, os.O_WRONLY, CTX))
    cost = loop.measured(lambda: loop.ops.write(info.fh, 0, data))[1]
    loop.measured(lambda: loop.ops.release(info.fh))
    return Work(opened.calls + cost.calls, opened.ns + cost.ns)


def least(loop: Loop, inode: int, name: str, node: Node, tries: int) -> dict[str, Work]:
    found: dict[str, Work] = {}
    for _ in range(tries):
        loop.host.xen.recent.forget()
        for what, cost in requests(loop, inode, name, node):
            old = found.get(what, cost)
            found[what] = Work(min(old.calls, cost.calls), min(old.ns, cost.ns))
    return found


@contextmanager
def both(xen: str) -> Iterator[tuple[Loop, Loop]]:
    small, huge = Loop(f"xen={xen},{SMALL}", 1), Loop(f"xen={xen},{HUGE}", 1000)
    with small.host, huge.host:
        yield small, huge


@pytest.mark.parametrize("xen", ["4.17", "4.22"])
def test_the_loop_does_no_work_that_grows(xen: str) -> None:
    with both(xen) as (small, huge):
        known = {path: (inode, node, name) for path, inode, node, name in places(small)}
        grown = []
        seen = 0
        for path, inode, node, name in places(huge, known):
            seen += 1
            before = least(small, known[path][0], name, known[path][1], 1)
            after = least(huge, inode, name, node, 1)
            for what, cost in after.items():
                if what in before and beyond(before[what], cost):
                    again = least(huge, inode, name, node, _TRIES)
                    if beyond(before[what], again[what]):
                        grown.append(f"{path}: {what}: {before[what]} on the small host, {again[what]} on the huge one")
        assert not grown, "\n".join(grown)
        assert seen > 400
        assert not huge.long


def beyond(before: Work, after: Work) -> bool:
    return after.calls > before.calls + 1 or after.ns > 3 * before.ns + _LEEWAY_NS
