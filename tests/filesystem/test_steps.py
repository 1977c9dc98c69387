"""Whoever computes for long lets the event loop go on all the time: the longest step of each entry that grows.

A step is what a thread does between two moments at which Python would give its lock to another thread that asks for
it: the lines of a function, and each turn of a loop, are such moments; one `sorted()` of ten thousand rows is not, and
neither is what frees them as a function returns. Counted in CPU time of that thread, so that other work on the machine
matters little, and of several tries the least is what counts. What the pretended Xen does to answer is taken out.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from time import perf_counter_ns, thread_time_ns
from types import CodeType, FrameType
from typing import Any

import pyfuse3
import pytest
from test_costs import CTX, HUGE, SMALL, Loop, places
from worlds import Between

import xenfs
from xenfs.cli import serving
from xenfs.errors import XenfsError
from xenfs.hypervisor.devices import Counters
from xenfs.hypervisor.foreign import Foreign, Wanted
from xenfs.nodes.tables.base import Dir, Exchange, File, Node
from xenfs.nodes.tables.cost import NOTHING
from xenfs.nodes.tables.pieces import Pieces
from xenfs.politely import polite, politely
from xenfs.simulator import Simulator

_MOST_NS = 2_000_000  # what entries are written for is 0.3 ms
_LISTING_NS = 700_000
_TRIES = 4
_CALLERS = 3  # so many frames of the package are shown
_PACKAGE = f"{Path(xenfs.__file__).parent}/"
_LOOKED_AT = (_PACKAGE, __file__)
_SHORT = tuple(f"{_PACKAGE}{room}/" for room in ("pool", "abi", "simulator"))

KNOWN = frozenset[str]()
"""What has a longer step all the same."""


class Steps:
    """The longest steps of the thread that enters it, by where they were; or what is between two calls of functions,
    which may be several steps, and is looked at in a tenth of the time."""

    def __init__(self, clock: Callable[[], int], at_least_ns: int = _MOST_NS, *, by_line: bool = True) -> None:
        self.found: dict[str, int] = {}
        self._trace, self._begin = self._tracing(clock, at_least_ns, by_line)

    def __enter__(self) -> Steps:
        self._begin()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """What is done in here is not counted."""
        sys.settrace(None)
        try:
            yield
        finally:
            self._begin()
            sys.settrace(self._trace)

    def _tracing(self, clock: Callable[[], int], least: int, by_line: bool) -> tuple[Any, Callable[[], None]]:
        """It is called millions of times: hence no attributes. It keeps no frame, which would keep what is in it."""
        began, before, line = clock(), sys._getframe().f_code, 0
        lines: dict[CodeType, Any] = {}

        def begin() -> None:
            nonlocal began
            began = clock()

        def trace(frame: FrameType, event: str, arg: object) -> Any:
            nonlocal began, before, line
            took = clock() - began
            if took > least:
                place = " < ".join(_places(before, line, frame))
                self.found[place] = max(took, self.found.get(place, 0))
            before, line = frame.f_code, frame.f_lineno
            if event == "call":
                if by_line and frame.f_code not in lines:
                    lines[frame.f_code] = None if _is_short(frame.f_code.co_filename) else trace
                began = clock()
                return lines.get(frame.f_code)
            began = clock()
            return trace

        return trace, begin


def _is_short(file: str) -> bool:
    """Where only the calls are looked at, which takes half of the time. So all between two of them is one step."""
    return not file.startswith(_LOOKED_AT) or file.startswith(_SHORT)


def _places(before: CodeType, line: int, frame: FrameType | None) -> Iterator[str]:
    """Where the step began, and the functions of the package that it was in as it ended."""
    yield f"{before.co_filename.rpartition('/')[2]}:{line} {before.co_name}"
    for _ in range(_CALLERS):
        while frame is not None and not frame.f_code.co_filename.startswith(_LOOKED_AT):
            frame = frame.f_back
        if frame is None:
            return
        yield f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back


class Apart(Between):
    """A backend whose own work does not count: a real Xen's is done without Python's lock."""

    def __init__(self, sim: Simulator) -> None:
        super().__init__(sim, lambda number, args: None)
        self.steps: Steps | None = None

    def _uncounted(self, work: Callable[..., Any], *args: Any, **more: Any) -> Any:
        if self.steps is None:
            return work(*args, **more)
        with self.steps.apart():
            return work(*args, **more)

    def hypercall(self, number: int, args: tuple[int, ...]) -> int:
        return self._uncounted(self.sim.hypercall, number, args)  # type: ignore[no-any-return]

    def foreign(self, domid: int, frames: Sequence[int], *, write: bool) -> Foreign:
        return self._uncounted(self.sim.foreign, domid, frames, write=write)  # type: ignore[no-any-return]

    def resource(self, domid: int, wanted: Wanted) -> Foreign:
        return self._uncounted(self.sim.resource, domid, wanted)  # type: ignore[no-any-return]

    def counters(self) -> Counters | None:
        return self.sim.counters()


class Walk(Loop):
    """A host whose backend's work is not counted."""

    def _between(self, sim: Simulator) -> Apart:
        self.apart = Apart(sim)
        return self.apart

    def longest(self, work: Callable[[], object], at_least_ns: int = _MOST_NS) -> dict[str, int]:
        """Where its steps are too long in each of several tries, and the shortest of each of them.

        At first it is looked whether there can be any: by the clock, which is quicker to look at and never shorter.
        """
        for clock in perf_counter_ns, thread_time_ns:
            if not self._steps(work, clock, at_least_ns, by_line=False):
                return {}
        least = self._steps(work, thread_time_ns, at_least_ns)
        for _ in range(_TRIES - 1):
            if not least:
                break
            again = self._steps(work, thread_time_ns, at_least_ns)
            least = {place: min(took, again[place]) for place, took in least.items() if place in again}
        return least

    def _steps(
        self, work: Callable[[], object], clock: Callable[[], int], at_least_ns: int, *, by_line: bool = True
    ) -> dict[str, int]:
        self.host.xen.recent.forget()
        steps = Steps(clock, at_least_ns, by_line=by_line)
        kept: list[object] = []  # what it gives is freed in steps of its own: Operations.read, made_to_last

        def run() -> None:
            self.apart.steps = steps
            try:
                with polite(lambda: None), suppress(XenfsError), steps:
                    kept.append(work())
            finally:
                self.apart.steps = None

        thread = Thread(target=run)
        thread.start()
        thread.join()
        return steps.found


def works(walk: Walk, inode: int, node: Node) -> Iterator[tuple[str, Callable[[], object]]]:
    """Whatever threads for what grows are asked to do with this entry."""
    where, xen = walk.ops.inodes[inode], walk.host.xen
    ids = where.ids
    if isinstance(node, Dir):
        if node.grows is not NOTHING:
            yield "listing", lambda: walk.ops._listing(where, node)
        if node.find_grows is not NOTHING:
            yield "lookup", lambda: node.child(xen, ids, "31999")
    elif isinstance(node, File):
        if node.read is not None and node.grows is not NOTHING and not isinstance(node, Exchange):
            yield "read", lambda: node.content(xen, ids)
        if node.write is not None:
            yield from writes(walk, ids, node)


def writes(walk: Walk, ids: tuple[Any, ...], node: File) -> Iterator[tuple[str, Callable[[], object]]]:
    """Of nonsense, and of what is there already."""
    xen, write = walk.host.xen, node.ask if isinstance(node, Exchange) else node.apply
    for what, data in ("write of nonsense", b"\x01 nonsense"), ("write", _content(walk, ids, node)):
        if data and node.write_cost(data) is not NOTHING:
            yield what, lambda data=data: write(xen, ids, data)  # type: ignore[misc]


def _content(walk: Walk, ids: tuple[Any, ...], node: File) -> bytes:
    if node.read is None or isinstance(node, Exchange):
        return b""
    with suppress(XenfsError):
        return bytes(node.content(walk.host.xen, ids))
    return b""


@contextmanager
def settled() -> Iterator[None]:
    """Python looks for cycles as often as it does in the daemon."""
    before = gc.get_threshold()
    gc.collect()
    serving._settle()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def all_works(walk: Walk, known: Container[str]) -> Iterator[tuple[str, Callable[[], object]]]:
    for path, inode, node, name in places(walk, known):
        entry, _ = walk.measured(lambda inode=inode, name=name: walk.ops.lookup(inode, name.encode(), CTX))  # type: ignore[misc]
        if entry is not None:
            yield from ((f"{path}: {what}", work) for what, work in works(walk, entry.st_ino, node))


def shapes(xen: str) -> set[str]:
    """The paths of a small host: the same are looked at on the huge one, where there are too many."""
    small = Loop(f"xen={xen},{SMALL}", 1)
    with small.host:
        return {path for path, *_ in places(small, inode=pyfuse3.ROOT_INODE)}


@pytest.mark.timeout(1800)  # it computes for a minute, and for many where others want the processors too
@pytest.mark.parametrize("xen", ["4.17"])
def test_no_step_of_what_grows_keeps_the_event_loop_waiting(xen: str) -> None:
    known, walk = shapes(xen), Walk(f"xen={xen},{HUGE}", 1000)
    seen, long = 0, dict[str, dict[str, int]]()
    with walk.host, settled():
        for name, work in all_works(walk, known):
            seen += 1
            if name not in KNOWN and (found := walk.longest(work)):
                long[name] = found
    told = "\n".join(
        f"{name}: {took / 1e6:.2f} ms: {place}"
        for name, found in long.items()
        for place, took in sorted(found.items(), key=lambda each: -each[1])
    )  # fmt: skip
    assert not told, told
    assert seen > 100


def planted(rows: list[int]) -> object:
    """One step of milliseconds, in C."""
    return sorted(rows, key=str)


def freeing(count: int) -> None:
    """One step as it returns."""
    rows = [[number] for number in politely(range(count))]
    assert rows


def few_at_a_time(rows: list[int]) -> object:
    return Pieces(str(row).encode() for row in politely(rows))


def test_a_step_that_is_planted_is_found_and_where() -> None:
    walk = Walk("xen=4.17,domains=2", 1)
    rows = list(range(40_000))
    with walk.host, settled():
        (place,) = walk.longest(lambda: planted(rows))
        assert " planted" in place
        assert any(" freeing" in place for place in walk.longest(lambda: freeing(200_000)))
        assert not walk.longest(lambda: few_at_a_time(rows[:1000]))


@pytest.mark.parametrize("path", ["domains", "domains/by-name", "domains/by-uuid"])
def test_a_listing_is_freed_in_short_steps(path: str) -> None:
    """One that nobody has any more, or another came in the place of: of ten thousand domains that the kernel was told
    of none of it takes 1.2 to 2.5 ms in one step."""
    walk = Walk("xen=4.17,domains=10000", 1)
    with walk.host, settled():
        inode = pyfuse3.ROOT_INODE
        for name in path.encode().split(b"/"):
            inode = walk.measured(lambda inode=inode, name=name: walk.ops.lookup(inode, name, CTX))[0].st_ino  # type: ignore[misc]
        where = walk.ops.inodes[inode]
        assert isinstance(where.node, Dir)
        directory = where.node

        def drop() -> None:
            where.listing = None

        least: dict[str, int] | None = None
        for _ in range(_TRIES):
            walk.host.xen.recent.forget()
            walk.ops._listing(where, directory)
            found = walk._steps(drop, thread_time_ns, _LISTING_NS)
            least = found if least is None else {place: found[place] for place in least if place in found}
        assert not least
