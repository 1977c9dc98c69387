"""What is measured without a Xen: xenfs on the simulator and on recorded answers, beside bare pyfuse3 and C."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, sleep

from mounted import Mounted, bare, in_c, plugged, recorded, xenfs
from plugged import a_number, tree
from timing import Effort, Row, Work, cost, in_turn, open_read_close, whole

HOST_FILE = "host/memory/free_kb"
DOMAIN_FILE = "domains/1/memory/current_kb"
STAYING_FILE = "version/extra"
PAGE = 4096
SYSFS = "/sys/class/net/lo/statistics/rx_bytes"
_US, _MS = 1e6, 1e3
_AT_FDCWD, _FORCE_SYNC, _BASIC = -100, 0x2000, 0x7FF
_statx = ctypes.CDLL(None, use_errno=True).statx

Sides = tuple[Mounted, Mounted, Mounted | None]
"""xenfs, bare pyfuse3, and the same in C where there is a compiler."""


def rows(effort: Effort, say: Callable[[str], None], package: Path) -> Iterator[Row]:
    """Every row of the table; the small requests in a tree of the middle size."""
    middle = effort.sizes[len(effort.sizes) // 2]
    say(f"small requests, {middle} domains")
    with ExitStack() as stack:
        sides = used_once(stack.enter_context(recorded(middle, package)), *beside(stack, middle))
        yield from requests(effort, sides, ", recorded answers", (1.1, 1.5))
        yield from staying(effort, sides)
    with ExitStack() as stack:
        sides = _simulated(stack, package, middle)
        memory = list(_memory(*sides[:2], f"at rest, {middle} domains"))
        yield from requests(effort, sides)
        say(f"idle for {effort.idle_s:.0f} s")
        yield from idle(effort, *sides[:2])
    say("questions to raw/")
    yield from questions(effort, package)
    for size in effort.sizes:
        say(f"{size} domains: listing and domains/stat")
        with ExitStack() as stack:
            sides = used_once(stack.enter_context(recorded(size, package)), *beside(stack, size))
            yield from listings(effort, sides, f"{size} domains, recorded answers", 1.1)
        with ExitStack() as stack:
            sides = _simulated(stack, package, size)
            if size == effort.sizes[-1] != middle:
                memory += _memory(*sides[:2], f"at rest, {size} domains")
            yield from listings(effort, sides, f"{size} domains")
    for size in sorted({10, *effort.sizes}):
        say(f"{size} domains with 4 vCPUs: metrics/xen.prom")
        yield from metrics(effort, size, package)
    for size in sorted({effort.sizes[0], middle, effort.sizes[-1]}):
        say(f"mounting, {size} domains")
        yield from mounting(effort, size, package)
    yield from memory


def _simulated(stack: ExitStack, package: Path, size: int) -> Sides:
    ours = stack.enter_context(xenfs(f"simulator:domains={size}", package=package))
    return used_once(ours, *beside(stack, size))


def beside(stack: ExitStack, size: int) -> tuple[Mounted, Mounted | None]:
    """The two yardsticks, with so many domains."""
    return stack.enter_context(bare(size)), stack.enter_context(in_c(size))


def used_once(*sides: *Sides) -> Sides:
    """The same, each having been asked for a value."""
    for side in sides:
        if side is not None:
            open_read_close(side.path(HOST_FILE))()
    return sides


def requests(
    effort: Effort, sides: Sides, subject: str = "", at_most: tuple[float | None, float | None] = (1.3, None)
) -> Iterator[Row]:
    """One value, opened or kept open, and its attributes; the goals are of the first two."""

    def row(what: str, work: Callable[[str], Work], file: str, at_most: float | None = None, note: str = "") -> Row:
        mine, its, c = of_each(effort, sides, lambda side: work(side.path(file)), _US)
        calls = cost(sides[0].hypercalls, work(sides[0].path(file)))
        return Row(f"{what.format(f'`{file}`')}{subject}", "µs", mine, its, calls, at_most, note=note, c=c)

    with ExitStack() as stack:
        for file in (HOST_FILE, DOMAIN_FILE):
            yield row("open+read+close of {}", open_read_close, file, at_most[0])
        yield row("the same of {}, with the buffer of C's stdio", as_stdio, HOST_FILE, at_most[0])
        yield row("the same of {}, with a buffer of one page", partial(open_read_close, nbytes=PAGE), HOST_FILE)
        for file in (HOST_FILE, DOMAIN_FILE):
            yield row("`pread` of {}, kept open", partial(_pread, stack), file, at_most[1])
        if not subject:
            yield row("`stat` of {}", _stat, HOST_FILE, note="the kernel remembers")
            for file in (HOST_FILE, DOMAIN_FILE):
                yield row("`statx` of {}, asked anew", _asked_anew, file)


def staying(effort: Effort, sides: Sides) -> Iterator[Row]:
    """A value that stays as long as Xen runs, read again, beside one that is asked for each time."""
    files = dict(zip(sides, (STAYING_FILE, HOST_FILE, HOST_FILE), strict=True))
    mine, its, c = of_each(effort, sides, lambda side: open_read_close(side.path(files[side])), _US)
    calls = cost(sides[0].hypercalls, open_read_close(sides[0].path(STAYING_FILE)))
    yield Row(f"open+read+close of `{STAYING_FILE}`, the second time", "µs", mine, its, calls, 0.7, c=c)


def of_each(effort: Effort, sides: Sides, work: Callable[[Mounted], Work], scale: float) -> list[list[float]]:
    """Samples of the same work on each side: CPU time of client and server."""
    works = [work(side) if side else None for side in sides]
    return in_turn(effort, *works, scale=scale, clocks=[side.busy_s if side else perf_counter for side in sides])


def _pread(stack: ExitStack, path: str, nbytes: int = PAGE) -> Work:
    fd = os.open(path, os.O_RDONLY)
    stack.callback(os.close, fd)
    return lambda: os.pread(fd, nbytes, 0)


def as_stdio(path: str) -> Work:
    """As a program of C's stdio does it: with a buffer of as many bytes as stat(2) advises."""
    return open_read_close(path, os.stat(path).st_blksize)


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


def questions(effort: Effort, package: Path) -> Iterator[Row]:
    """A question to raw/ (open, write, read, close) beside the node that shows the same (open, read, close)."""
    with xenfs("simulator", "-o", "raw", package=package) as ours:
        for path, question, node in ASKED:
            asks = _asked(ours.path(path), question)
            mine, its = in_turn(effort, asks, open_read_close(ours.path(node)), scale=_US)
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


def listings(effort: Effort, sides: Sides, size: str, at_most: float = 1.5) -> Iterator[Row]:
    """The directory of all domains, and the file of all domains beside one of its size that is a constant."""
    ours = sides[0]
    for name, way in (("listdir", os.listdir), ("scandir", _scandir)):
        mine, its, c = of_each(effort, sides, lambda side, way=way: partial(way, side.path("domains")), _MS)  # type: ignore[misc]
        calls = cost(ours.hypercalls, partial(way, ours.path("domains")), 3)
        yield Row(f"`{name}` of `domains`, {size}", "ms", mine, its, calls, at_most, c=c)
    stat = whole(ours.path("domains/stat"))
    length = stat()
    files = dict(zip(sides, ("domains/stat", *[f"bytes/{length}"] * 2), strict=True))
    mine, its, c = of_each(effort, sides, lambda side: whole(side.path(files[side])), _MS)
    what = f"`cat domains/stat`, {size}, {length / 1000:.0f} kB"
    yield Row(f"{what}: time", "ms", mine, its, cost(ours.hypercalls, stat, 3), c=c)
    cpu = cpu_ms(ours, stat, max(1, min(50, round(1000 / median(mine)))), max(3, effort.rounds // 3))
    yield Row(f"{what}: CPU time", "ms", cpu, at_most=25.0 if size == "10000 domains" else None, absolute=True)


def metrics(effort: Effort, size: int, package: Path) -> Iterator[Row]:
    """A scrape of domains without devices, and of a thousand with two networks and two disks each."""
    for devices, at_most in ((0, {1000: 35.0, 10000: 400.0}.get(size)), (4, 150.0)):
        if size == 1000 or not devices:
            settings = f"domains={size},vcpus=4,cpus=64,devices={devices}"
            with xenfs(f"simulator:{settings}", package=package) as ours:
                yield from _scrape(effort, ours, size, f" with {devices} devices each" * bool(devices), at_most)
    if size == 1000:
        yield from from_files(effort, size, package)


def from_files(effort: Effort, size: int, package: Path) -> Iterator[Row]:
    """The same where the counters of devices are in files, and how much longer those of sysfs take."""
    with tree(size) as root:
        with plugged(size, root, package) as ours:
            yield from _scrape(effort, ours, size, " with 4 devices each, their counters in files", 150.0)
        with ExitStack() as stack:
            paths = (SYSFS, a_number(root))
            for what, works in (
                ("opened, read and closed", [open_read_close(path, 64) for path in paths]),
                ("kept open, `pread`", [_pread(stack, path, 64) for path in paths]),
            ):
                sysfs, memory = in_turn(effort, *works, scale=_US, clocks=[process_time] * 2)
                yield Row(f"a number of sysfs, beside one of a file in memory: {what}", "µs", sysfs, memory)


def _scrape(effort: Effort, ours: Mounted, size: int, with_what: str, at_most: float | None) -> Iterator[Row]:
    """How long it takes, and the CPU time that the daemon needs for it, the simulator's share included."""
    scrape = whole(ours.path("metrics/xen.prom"))
    length, calls = scrape(), cost(ours.hypercalls, scrape, 3)
    took = []
    repeat, rounds = max(1, min(50, 1000 // size)), max(3, effort.rounds // 3)
    for _ in range(rounds):
        began = perf_counter()
        for _ in range(repeat):
            scrape()
        took.append((perf_counter() - began) / repeat * _MS)
    what = f"`metrics/xen.prom`, {size} domains{with_what}, {length / 1000:.0f} kB"
    yield Row(f"{what}: time", "ms", took, (), calls)
    cpu = cpu_ms(ours, scrape, repeat, rounds)
    yield Row(f"{what}: CPU time", "ms", cpu, (), calls, at_most, True)


def cpu_ms(side: Mounted, work: Work, repeat: int, rounds: int) -> list[float]:
    """CPU time that the daemon needs for one of these, a sample a round; other work adds little to it."""
    samples = []
    for _ in range(rounds):
        before = side.cpu_s()
        for _ in range(repeat):
            work()
        samples.append((side.cpu_s() - before) / repeat * _MS)
    return samples


def _scandir(path: str) -> int:
    with os.scandir(path) as entries:
        return sum(entry.is_dir() for entry in entries)


def idle(effort: Effort, ours: Mounted, other: Mounted) -> Iterator[Row]:
    """CPU time and hypercalls while nobody asks for anything."""
    calls = ours.hypercalls()
    sleep(0.2)  # the file that said so is closed by then
    cpu = [side.cpu_s() for side in (ours, other)]
    sleep(effort.idle_s)
    mine, its = (side.cpu_s() - before for side, before in zip((ours, other), cpu, strict=True))
    made = ours.hypercalls() - calls
    yield Row(f"CPU time in {effort.idle_s:.0f} s of idling", "ms", [mine * _MS], [its * _MS], made, 0, True)


def mounting(effort: Effort, size: int, package: Path) -> Iterator[Row]:
    """From the start of the process until a file has been read: how long it takes, and the CPU time of it."""
    took: tuple[list[float], list[float]] = ([], [])
    cpu: tuple[list[float], list[float]] = ([], [])
    for _ in range(effort.mounts):
        for side, mounting in enumerate((xenfs(f"simulator:domains={size}", package=package), bare(size))):
            with mounting as mounted:
                open_read_close(mounted.path(HOST_FILE))()
                took[side].append((perf_counter() - mounted.started) * _MS)
                cpu[side].append(mounted.cpu_s() * _MS)
    at_most = 350.0 if size == 1000 else None
    yield Row(f"start to first value read, {size} domains", "ms", *took, at_most=at_most, absolute=True)
    yield Row(f"start to first value read, {size} domains: CPU time", "ms", *cpu)


def _memory(ours: Mounted, other: Mounted, when: str) -> Iterator[Row]:
    sleep(0.5)
    (rss, private), (its_rss, its_private) = ours.memory_mb(), other.memory_mb()
    goal = "1000 " in when
    yield Row(f"resident (VmRSS) {when}", "MB", [rss], [its_rss], at_most=38 if goal else None, absolute=True)
    for which, megabytes in zip(("daemon", "process that unmounts"), private, strict=False):
        its = its_private if which == "daemon" else []
        what = f"private memory of the {which} {when}"
        yield Row(what, "MB", [megabytes], its, at_most=16 if goal else None, absolute=True)
