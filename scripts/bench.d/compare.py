"""Two revisions of xenfs in turn, so that a change can be judged on a machine that has other work: the ratio is what
counts, and how far it was scattered."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from time import perf_counter

from installed import installed
from mounted import Mounted, recorded, xenfs
from simulated import DOMAIN_FILE, HOST_FILE, STAYING_FILE, as_stdio, cpu_ms
from timing import Effort, Row, Work, in_turn, open_read_close, whole

_US, _MS = 1e6, 1e3


def rows(effort: Effort, say: Callable[[str], None], package: Path, revision: str) -> Iterator[Row]:
    """What a change may alter: this checkout, then the other revision."""
    with installed(revision) as other:
        both = package, other
        for subject, mounting in ("recorded answers", _recorded), ("simulator", _simulator):
            say(f"small requests, {subject}")
            yield from _requests(effort, both, subject, mounting)
        for size in effort.sizes:
            say(f"{size} domains: listing, domains/stat, metrics/xen.prom")
            yield from _bulk(effort, both, size)
        say("start")
        yield from _starts(effort, both)


def _row(what: str, unit: str, sides: list[list[float]]) -> Row:
    return Row(what, unit, sides[0], sides[1])


def _timed(effort: Effort, sides: list[Mounted], works: Sequence[Work], scale: float) -> list[list[float]]:
    return in_turn(effort, *works, scale=scale, clocks=[side.busy_s for side in sides])


def _recorded(size: int, package: Path) -> AbstractContextManager[Mounted]:
    return recorded(size, package)


def _simulator(size: int, package: Path) -> AbstractContextManager[Mounted]:
    return xenfs(f"simulator:domains={size},vcpus=4,cpus=64", package=package)


def _requests(
    effort: Effort,
    both: tuple[Path, Path],
    subject: str,
    mounting: Callable[[int, Path], AbstractContextManager[Mounted]],
) -> Iterator[Row]:
    with ExitStack() as stack:
        sides = [stack.enter_context(mounting(1000, package)) for package in both]
        timed = partial(_timed, effort, sides)
        for file in (HOST_FILE, DOMAIN_FILE, STAYING_FILE):
            works = [open_read_close(side.path(file)) for side in sides]
            yield _row(f"open+read+close of `{file}`, {subject}", "µs", timed(works, _US))
        works = [as_stdio(side.path(HOST_FILE)) for side in sides]
        yield _row(f"the same of `{HOST_FILE}`, with the buffer of C's stdio, {subject}", "µs", timed(works, _US))
        for file in (HOST_FILE, DOMAIN_FILE):
            fds = [os.open(side.path(file), os.O_RDONLY) for side in sides]
            preads: list[Work] = [partial(os.pread, fd, 4096, 0) for fd in fds]
            yield _row(f"`pread` of `{file}`, {subject}", "µs", timed(preads, _US))
            for fd in fds:
                os.close(fd)
        lists: list[Work] = [partial(os.listdir, side.path("domains")) for side in sides]
        yield _row(f"`listdir` of `domains`, 1000 domains, {subject}", "ms", timed(lists, _MS))


def _bulk(effort: Effort, both: tuple[Path, Path], size: int) -> Iterator[Row]:
    with ExitStack() as stack:
        sides = [stack.enter_context(_simulator(size, package)) for package in both]
        timed = partial(_timed, effort, sides)
        lists: list[Work] = [partial(os.listdir, side.path("domains")) for side in sides]
        yield _row(f"`listdir` of `domains`, {size} domains, simulator", "ms", timed(lists, _MS))
        for file in ("domains/stat", "metrics/xen.prom"):
            yield _row(f"`{file}`, {size} domains: CPU time", "ms", _cpu_in_turn(effort, sides, file, size))


def _cpu_in_turn(effort: Effort, sides: list[Mounted], file: str, size: int) -> list[list[float]]:
    works = [whole(side.path(file)) for side in sides]
    samples: list[list[float]] = [[], []]
    for work in works:
        work()
    for _ in range(effort.rounds):
        for side, work, found in zip(sides, works, samples, strict=True):
            found += cpu_ms(side, work, max(1, 1000 // size), 1)
    return samples


def _starts(effort: Effort, both: tuple[Path, Path]) -> Iterator[Row]:
    took: list[list[float]] = [[], []]
    cpu: list[list[float]] = [[], []]
    memory: list[list[list[float]]] = [[[], [], []], [[], [], []]]
    for _ in range(effort.mounts):
        for number, package in enumerate(both):
            with xenfs("simulator:domains=1000", package=package) as mounted:
                open_read_close(mounted.path(HOST_FILE))()
                took[number].append((perf_counter() - mounted.started) * _MS)
                cpu[number].append(mounted.cpu_s() * _MS)
                rss, private = mounted.memory_mb()
                for samples, found in zip(memory[number], (rss, *private), strict=False):
                    samples.append(found)
    yield _row("start to first value read, 1000 domains", "ms", took)
    yield _row("start to first value read, 1000 domains: CPU time", "ms", cpu)
    for which, ours, theirs in zip(("resident", "private", "private of the other process"), *memory, strict=True):
        yield Row(f"{which}, 1000 domains", "MB", ours, theirs)
