"""A soak: the daemon, its clients, and somebody who looks at the daemon every few seconds."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from installed import CHECKOUT
from mounted import Mounted, served

CLIENT = Path(__file__).with_name("client.py")
# What a fault rule may say to a client. Slow work that is held up by a hang gives EAGAIN, which is always allowed.
ERRNOS = ("EBUSY", "ENOMEM", "EFAULT", "EIO", "EACCES")
_PROCESSES = 4
_EXPECTED = (
    b"hypercalls fail on purpose",
    b"xenfs: write result=",
    b"xenfs: rmdir result=",
    b"xenfs: summary ",
    b"faults that were made",
    b"xenfs: mounted on ",
    b"SIGTERM: unmounting",
)

# Of each figure: its name, its unit, and by what share it may be more in the last quarter than in the one before.
# A leak of a kilobyte a second would be 20 MB in an hour; Python's arenas and the number of domains move by less.
_JUDGED: dict[str, tuple[str, int, float | None]] = {
    "resident_kb": ("resident, MiB", 1024, 0.05),
    "private_kb": ("of it its own, MiB", 1024, 0.05),
    "descriptors": ("descriptors", 1, 0.1),
    "threads": ("threads", 1, 0.5),
    "on_loan": ("buffers on loan", 1, 2.0),
    "mapped": ("pool, MiB", 1 << 20, 0.01),
    "inodes": ("entries that the kernel knows", 1, None),  # as many as are looked at, of those that live
}


@dataclass
class Look:
    """What the daemon had at one moment."""

    resident_kb: int
    private_kb: int
    descriptors: int
    threads: int
    on_loan: int
    mapped: int
    inodes: int


@dataclass
class Findings:
    """All that came of it."""

    looks: list[Look] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    born: int = 0
    alive: int = 0
    hypercalls: int = 0
    failed: int = 0
    cpu_s: float = 0
    seconds: float = 0


def run(args: argparse.Namespace) -> int:
    """The exit status."""
    seconds = args.minutes * 60
    life = max(2.0, min(200.0, seconds / 6))
    args.life = life
    settings = f"xen={args.xen},domains=12,memory=1024,churn={args.domains / life:.3f},life={life:.1f},seed={args.seed}"
    found = Findings()
    with ExitStack() as stack:
        daemon = stack.enter_context(
            served(
                [
                    *(sys.executable, "-P", "-m", "xenfs", "mount", "--hypervisor", f"simulator:{settings}"),
                    *_faults(args),
                    *("-o", "lifecycle,record=stderr"),
                ],
                keep=found.log,
            )
        )
        clients = [_clients(args, daemon, seconds, number) for number in range(_PROCESSES)]
        for client in clients:
            stack.callback(client.kill)
        _watch(args, daemon, found, seconds, clients)
    found.log = [line for line in found.log if line.strip() and not any(part.decode() in line for part in _EXPECTED)]
    return _judge(args, found)


def _faults(args: argparse.Namespace) -> list[str]:
    """So many percent of all hypercalls, of each sort a share; calls that end domains hang at times, for a while."""
    if not args.faults:
        return []
    share = args.faults / 6
    return [
        "--faults",
        f"* EBUSY {share}%; * ENOMEM {share}%; * EIO {share}%; * EFAULT {share}%; * version {share}%;"
        f"* delay=2ms {share}%; domctl:destroydomain hang=3s {args.faults}%; pool:take ENOMEM {share}%;"
        f"seed={args.seed}",
    ]


def _clients(args: argparse.Namespace, daemon: Mounted, seconds: float, number: int) -> subprocess.Popen[bytes]:
    count = args.clients // _PROCESSES + (number < args.clients % _PROCESSES)
    words = [
        str(daemon.root),
        str(seconds),
        str(count),
        str(args.pause),
        str(args.seed * 10 + number),
        str(args.life / 3),
    ]
    errnos = ",".join(ERRNOS) if args.faults else ""
    return subprocess.Popen([sys.executable, str(CLIENT), *words, errnos], stdout=subprocess.PIPE, cwd=CHECKOUT)


def _watch(
    args: argparse.Namespace, daemon: Mounted, found: Findings, seconds: float, clients: list[subprocess.Popen[bytes]]
) -> None:
    """A look every so often until the clients are through."""
    began = time.monotonic()
    while (left := began + seconds - time.monotonic()) > 0:
        time.sleep(min(left, max(1.0, seconds / 240)))
        if daemon.process.poll() is not None:
            found.wrong.append(f"the daemon ended with status {daemon.process.returncode}")
            return
        found.looks.append(_look(daemon))
        if args.verbose:
            print(f"{time.monotonic() - began:.0f} s: {found.looks[-1]}", file=sys.stderr, flush=True)
    found.alive = sum(name.isdigit() for name in os.listdir(daemon.root / "domains"))
    for client in clients:
        _gather(client, found)
    found.seconds = time.monotonic() - began
    found.cpu_s = daemon.cpu_s()
    for line in (daemon.root / "xenfs/calls/stat").read_text().splitlines():
        values = dict(word.split("=") for word in line.split()[1:])
        found.hypercalls += int(values["count"])
        found.failed += int(values["errors"])
    found.looks.append(_look(daemon))


def _look(daemon: Mounted) -> Look:
    process = Path(f"/proc/{daemon.process.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    rollup = (process / "smaps_rollup").read_text().splitlines()
    private = sum(int(line.split()[1]) for line in rollup if line.startswith(("Private_Clean", "Private_Dirty")))
    pool = dict(line.split() for line in (daemon.root / "xenfs/buffers/stat").read_text().splitlines())
    return Look(
        resident_kb=int(status["VmRSS"].split()[0]),
        private_kb=private,
        descriptors=len(os.listdir(process / "fd")),
        threads=int(status["Threads"]),
        on_loan=int(pool["in_use"]),
        mapped=int(pool["bytes_mapped"]),
        inodes=int((daemon.root / "xenfs/entries").read_text()),
    )


def _gather(client: subprocess.Popen[bytes], found: Findings) -> None:
    try:
        said, _ = client.communicate(timeout=150)  # it says more than a pipe holds
    except subprocess.TimeoutExpired:
        found.wrong.append("a process of clients does not end")
        client.kill()
        return
    try:
        result = json.loads(said)
    except ValueError:
        found.wrong.append(f"a process of clients ended with status {client.returncode}")
        return
    found.outcomes += Counter(result["outcomes"])
    found.wrong += result["wrong"]
    found.took += result["took"]


def _judge(args: argparse.Namespace, found: Findings) -> int:
    """Print the table and what is wrong; 1 if anything is."""
    looks, wrong = found.looks, Counter(found.wrong)
    quarter = len(looks) // 4
    if quarter < 3:
        print("scripts/soak: too short to say anything", file=sys.stderr)
        return 1
    earlier, last = looks[-2 * quarter : -quarter], looks[-quarter:]
    print(f"{found.seconds / 60:.1f} minutes, {args.clients} clients, {found.alive} domains at the end")
    acts = sum(found.outcomes.values())
    print(f"{acts} acts, {found.hypercalls} hypercalls, {found.failed} of them failed; {found.cpu_s:.0f} s of CPU time")
    print("| | third quarter | last quarter | most | |")
    print("|---|---|---|---|---|")
    for what, (label, scale, slack) in _JUDGED.items():
        before, after = (median(getattr(look, what) for look in part) for part in (earlier, last))
        # In minutes no heap has settled yet: a short run is there to find what grows fast. The pool grows by chunks.
        spare = 2048 + 16384 * 60 / found.seconds if what.endswith("_kb") else {"mapped": 1 << 19}.get(what, 4)
        grows = slack is not None and after > before * (1 + slack) + spare
        figures = (before, after, max(getattr(look, what) for look in looks))
        print(f"| {label} | {' | '.join(f'{figure / scale:.5g}' for figure in figures)} | {'GROWS' if grows else ''} |")
        if grows:
            wrong[f"{label}: grows"] += 1
    if len(found.took) > 100:
        cuts = quantiles(found.took, n=100)
        print(f"read of a domain's file: median {cuts[49] * 1e3:.2f} ms, p99 {cuts[98] * 1e3:.2f} ms")
    print("; ".join(f"{what}: {count}" for what, count in sorted(found.outcomes.items())))
    for what, count in wrong.most_common(30):
        print(f"WRONG, {count} times: {what}")
    if found.log:
        print(f"UNEXPLAINED, {len(found.log)} lines in the log, such as:")
        print("\n".join(found.log[:40]))
    return int(bool(wrong or found.log))
