"""What is measured on the simulator: xenfs and the bare filesystem, with the same number of domains, in turn."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from time import perf_counter, sleep

from mounted import Mounted, bare, xenfs
from timing import Effort, Row, Work, cost, in_turn, open_read_close, whole

HOST_FILE = "host/memory/free_kb"
DOMAIN_FILE = "domains/1/memory/current_kb"
_US, _MS = 1e6, 1e3
_AT_FDCWD, _FORCE_SYNC, _BASIC = -100, 0x2000, 0x7FF
_statx = ctypes.CDLL(None, use_errno=True).statx


def rows(effort: Effort, say: Callable[[str], None]) -> Iterator[Row]:
    """Every row of the table; the small requests in a tree of the middle size."""
    middle = effort.sizes[len(effort.sizes) // 2]
    with ExitStack() as stack:
        say(f"small requests, {middle} domains")
        pair = _pair(stack, middle)
        memory = list(_memory(*pair, f"at rest, {middle} domains"))
        yield from requests(effort, *pair)
        say(f"idle for {effort.idle_s:.0f} s")
        yield from idle(effort, *pair)
    say("questions to raw/")
    yield from questions(effort)
    for size in effort.sizes:
        say(f"{size} domains: listing and domains/stat")
        with ExitStack() as stack:
            pair = _pair(stack, size)
            if size == effort.sizes[-1] != middle:
                memory += _memory(*pair, f"at rest, {size} domains")
            yield from listings(effort, *pair, f"{size} domains")
    for size in sorted({10, *effort.sizes}):
        say(f"{size} domains with 4 vCPUs: metrics/xen.prom")
        yield from metrics(effort, size)
    for size in sorted({effort.sizes[0], effort.sizes[-1]}):
        say(f"mounting, {size} domains")
        yield from mounting(effort, size)
    yield from memory


def _pair(stack: ExitStack, size: int) -> tuple[Mounted, Mounted]:
    """xenfs and the bare filesystem, both used once."""
    ours, other = stack.enter_context(_simulator(size)), stack.enter_context(bare(size))
    for side in (ours, other):
        open_read_close(side.path(HOST_FILE))()
    return ours, other


def _simulator(size: int) -> AbstractContextManager[Mounted]:
    return xenfs(f"simulator:domains={size}")


def requests(effort: Effort, ours: Mounted, other: Mounted) -> Iterator[Row]:
    """One value, opened or kept open, and its attributes."""

    def row(what: str, work: Callable[[str], Work], file: str, at_most: float | None = None, note: str = "") -> Row:
        first, second = work(ours.path(file)), work(other.path(file))
        mine, its = in_turn(effort, first, second, _US)
        return Row(what.format(f"`{file}`"), "µs", mine, its, cost(ours.hypercalls, first), at_most, note=note)

    with ExitStack() as stack:
        for file in (HOST_FILE, DOMAIN_FILE):
            yield row("open+read+close of {}", open_read_close, file, 1.3)
        for file in (HOST_FILE, DOMAIN_FILE):
            yield row("`pread` of {}, kept open", partial(_pread, stack), file)
        yield row("`stat` of {}", _stat, HOST_FILE, note="the kernel remembers")
        for file in (HOST_FILE, DOMAIN_FILE):
            yield row("`statx` of {}, asked anew", _asked_anew, file)


def _pread(stack: ExitStack, path: str) -> Work:
    fd = os.open(path, os.O_RDONLY)
    stack.callback(os.close, fd)
    return lambda: os.pread(fd, 4096, 0)


def _stat(path: str) -> Work:
    return lambda: os.stat(path)


def _asked_anew(path: str) -> Work:
    """A statx that the kernel may not answer from what it remembers."""
    name, answer = path.encode(), ctypes.create_string_buffer(256)
    return lambda: _statx(_AT_FDCWD, name, _FORCE_SYNC, _BASIC, answer)


ASKED = (
    ("raw/sysctl/physinfo", b"\n", "host/info"),
    ("raw/domctl/getdomaininfo", b"domain=1\n", "domains/1/info"),
    ("raw/sysctl/sched_id", b"\n", "host/scheduler"),
)


def questions(effort: Effort) -> Iterator[Row]:
    """A question to raw/ (open, write, read, close) beside the node that shows the same (open, read, close)."""
    with xenfs("simulator", "-o", "raw") as ours:
        for path, question, node in ASKED:
            asks = _asked(ours.path(path), question)
            mine, its = in_turn(effort, asks, open_read_close(ours.path(node)), _US)
            what = f"a question to `{path}`, beside `{node}`"
            yield Row(what, "µs", mine, its, cost(ours.hypercalls, asks), 3.0, note="both are xenfs's")


def _asked(path: str, question: bytes) -> Work:
    def work() -> None:
        fd = os.open(path, os.O_RDWR)
        try:
            os.write(fd, question)
            os.read(fd, 4096)
        finally:
            os.close(fd)

    return work


def listings(effort: Effort, ours: Mounted, other: Mounted, size: str) -> Iterator[Row]:
    """The directory of all domains, and the file of all domains beside one of its size that is a constant."""
    both = ours.path("domains"), other.path("domains")
    ways: tuple[tuple[str, Callable[[str], object]], ...] = (("listdir", os.listdir), ("scandir", _scandir))
    for name, way in ways:
        first, second = (partial(way, path) for path in both)
        mine, its = in_turn(effort, first, second, _MS)
        yield Row(f"`{name}` of `domains`, {size}", "ms", mine, its, cost(ours.hypercalls, first, 3), 1.5)
    stat = whole(ours.path("domains/stat"))
    length = stat()
    mine, its = in_turn(effort, stat, whole(other.path(f"bytes/{length}")), _MS)
    kilobytes = f"{length / 1000:.0f} kB"
    at_most = 150.0 if size.startswith("10000 ") else None
    yield Row(
        f"`cat domains/stat`, {size}, {kilobytes}", "ms", mine, its, cost(ours.hypercalls, stat, 3), at_most, True
    )


def metrics(effort: Effort, size: int) -> Iterator[Row]:
    """A scrape: how long it takes, and the CPU time that the daemon needs for it, the simulator's share included."""
    with xenfs(f"simulator:domains={size},vcpus=4,cpus=64") as ours:
        scrape = whole(ours.path("metrics/xen.prom"))
        length, calls = scrape(), cost(ours.hypercalls, scrape, 3)
        took, cpu = [], []
        repeat = max(1, min(50, 1000 // size))
        for _ in range(max(3, effort.rounds // 3)):
            before, began = ours.cpu_s(), perf_counter()
            for _ in range(repeat):
                scrape()
            took.append((perf_counter() - began) / repeat * _MS)
            cpu.append((ours.cpu_s() - before) / repeat * _MS)
        what = f"`metrics/xen.prom`, {size} domains, {length / 1000:.0f} kB"
        yield Row(f"{what}: time", "ms", took, (), calls)
        yield Row(f"{what}: CPU time", "ms", cpu, (), calls, 60.0 if size == 1000 else None, True)


def _scandir(path: str) -> int:
    with os.scandir(path) as entries:
        return sum(entry.is_dir() for entry in entries)


def idle(effort: Effort, ours: Mounted, other: Mounted) -> Iterator[Row]:
    """CPU time and hypercalls while nobody asks for anything."""
    calls, cpu = ours.hypercalls(), [side.cpu_s() for side in (ours, other)]
    sleep(effort.idle_s)
    mine, its = (side.cpu_s() - before for side, before in zip((ours, other), cpu, strict=True))
    made = ours.hypercalls() - calls
    yield Row(f"CPU time in {effort.idle_s:.0f} s of idling", "ms", [mine * _MS], [its * _MS], made, 0, True)


def mounting(effort: Effort, size: int) -> Iterator[Row]:
    """From the start of the process until it says that it is ready, and until a file has been read."""
    ready: tuple[list[float], list[float]] = ([], [])
    usable: tuple[list[float], list[float]] = ([], [])
    for _ in range(effort.mounts):
        for side, mounting in enumerate((_simulator(size), bare(size))):
            with mounting as mounted:
                open_read_close(mounted.path(HOST_FILE))()
                usable[side].append((perf_counter() - mounted.started) * _MS)
                ready[side].append(mounted.ready_s * _MS)
    yield Row(f"start to mounted, {size} domains", "ms", *ready)
    yield Row(f"start to first value read, {size} domains", "ms", *usable, at_most=1000, absolute=True)


def _memory(ours: Mounted, other: Mounted, when: str) -> Iterator[Row]:
    sleep(0.5)
    (rss, pss), (its_rss, its_pss) = ours.memory_mb(), other.memory_mb()
    yield Row(f"resident (VmRSS) {when}", "MB", [rss], [its_rss], at_most=45, absolute=True)
    yield Row(f"proportional share (Pss) {when}", "MB", [pss], [its_pss])
