"""What those notice who are not struck: reads of a domain's file beside faults, and beside none, in turn."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from statistics import quantiles
from time import perf_counter, sleep

from mounted import Mounted, served
from timing import Effort, Row, open_read_close

FILE = "domains/1/memory/current_kb"
RULES = "domctl:destroydomain hang=600s; domctl EBUSY domain=5"
HANGING = 8
_READS = 400  # of which the fourth slowest is p99


def rows(effort: Effort, say: Callable[[str], None]) -> Iterator[Row]:
    """p99 of a read while calls hang and others fail; the same reads of a mount that is left alone."""
    writers: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        stack.callback(lambda: [writer.wait() for writer in writers])  # not before the mount is gone: they hang in it
        struck = _mounted(stack, "--faults", RULES)
        alone = _mounted(stack)
        for number in range(10, 10 + HANGING):
            script = f"echo 1 > {struck.path(f'domains/{number}/kill')}"
            writers.append(subprocess.Popen(["sh", "-c", script], stderr=subprocess.DEVNULL))
        while (struck.root / "xenfs/calls/in_flight").read_text().count("destroydomain") < HANGING // 2:
            sleep(0.05)
        what = f"p99 of open+read+close of `{FILE}`, {HANGING} `kill`s hang"
        say(what)
        yield _row(effort, what, struck, alone)
        what += ", each time after a read of `domains/5/info` that fails (beside it: does not)"
        say(what)
        yield _row(effort, what, struck, alone, "domains/5/info")


def _mounted(stack: ExitStack, *words: str) -> Mounted:
    command = [sys.executable, "-P", "-m", "xenfs", "mount", "--hypervisor", "simulator:domains=100", *words]
    return stack.enter_context(served([*command, "-o", "lifecycle,record=off"]))


def _row(effort: Effort, what: str, struck: Mounted, alone: Mounted, before: str = "") -> Row:
    sides: tuple[list[float], list[float]] = ([], [])
    for _ in range(effort.rounds):
        for side, samples in zip((struck, alone), sides, strict=True):
            samples.append(_p99_us(side, before))
    return Row(what, "µs", *sides, at_most=2.0)


def _p99_us(side: Mounted, before: str) -> float:
    work, took = open_read_close(side.path(FILE)), []
    for _ in range(_READS):
        if before:
            with suppress(OSError):
                os.close(os.open(side.path(before), os.O_RDONLY))
        began = perf_counter()
        work()
        took.append((perf_counter() - began) * 1e6)
    return quantiles(took, n=100)[98]
