"""A filesystem in a process of its own: mounted when this begins, unmounted when it ends, whatever happens between."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from time import clock_gettime, perf_counter, process_time

from installed import CHECKOUT, HERE, hello

_START_S, _STOP_S = 120.0, 8.0
_CPUCLOCK_SCHED = 2  # what clock_getcpuclockid() makes of a process number


class CannotMount(Exception):
    """A server did not come up; the message is what it said."""


class Mounted:
    """A mounted filesystem and the process that serves it. `ready_s` is from the start of that process."""

    def __init__(self, root: Path, process: subprocess.Popen[bytes], started: float, ready_s: float) -> None:
        self.root, self.process, self.started, self.ready_s = root, process, started, ready_s

    def path(self, inside: str) -> str:
        """The path of something in it."""
        return str(self.root / inside)

    def hypercalls(self) -> int:
        """How many hypercalls it has made: the sum of xenfs/calls/stat, which makes none itself."""
        return sum(map(int, re.findall(r"count=(\d+)", (self.root / "xenfs/calls/stat").read_text())))

    def cpu_s(self) -> float:
        """CPU time that the process has used, user and system; from the kernel's clock for it, not in whole ticks."""
        return clock_gettime(~self.process.pid << 3 | _CPUCLOCK_SCHED)

    def busy_s(self) -> float:
        """CPU time of the process and of this one. On one CPU that is what a request takes, and other work on the
        machine adds little to it."""
        return process_time() + self.cpu_s()

    def memory_mb(self) -> tuple[float, list[float]]:
        """VmRSS of the process, and what of it and each of its children nobody shares, files aside; in millions of
        bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        pids = [str(self.process.pid), *children]
        return _sum_mb("VmRSS", status), [_sum_mb("Private_Dirty", _rollup(pid)) for pid in pids]

    def share_mb(self) -> float:
        """Pss of the process: what it shares counts as a part."""
        return _sum_mb("Pss", _rollup(str(self.process.pid)))


def _rollup(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return ""


def _sum_mb(name: str, text: str) -> float:
    return sum(int(kb) for kb in re.findall(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)) * 1024 / 1e6


@contextmanager
def xenfs(hypervisor: str, *words: str, package: Path | None = None) -> Iterator[Mounted]:
    """xenfs on this hypervisor, as `xenfs mount` takes it, with more words of that command."""
    with served(
        [sys.executable, "-P", "-m", "xenfs", "mount", "--hypervisor", hypervisor, *words], package=package
    ) as mounted:
        yield mounted


@contextmanager
def recorded(domains: int, package: Path | None = None) -> Iterator[Mounted]:
    """xenfs on recorded answers of a real Xen, with so many domains."""
    words = ["--recordings", str(CHECKOUT / "tests/recordings"), "--domains", str(domains)]
    with served([sys.executable, "-P", str(HERE / "recorded.py"), *words], package=package) as mounted:
        yield mounted


@contextmanager
def plugged(domains: int, counters: str, package: Path | None = None) -> Iterator[Mounted]:
    """xenfs on the simulator, with so many domains, and the counters of their devices below this folder."""
    words = ["--domains", str(domains), "--counters", counters]
    with served([sys.executable, "-P", str(HERE / "plugged.py"), *words], package=package) as mounted:
        yield mounted


@contextmanager
def bare(domains: int) -> Iterator[Mounted]:
    """The bare filesystem, with so many domains."""
    with served([sys.executable, str(HERE / "bare.py"), "--domains", str(domains)]) as mounted:
        yield mounted


@contextmanager
def in_c(domains: int) -> Iterator[Mounted | None]:
    """The same of libfuse alone; None where hello.c cannot be compiled."""
    program = hello()
    if program is None:
        yield None
        return
    with served([str(program)], words=lambda root, ready: [root, str(domains), ready]) as mounted:
        yield mounted


def _our_words(root: str, ready: str) -> list[str]:
    return ["--ready-fd", ready, root]


@contextmanager
def served(
    command: list[str],
    keep: list[str] | None = None,
    *,
    package: Path | None = None,
    words: Callable[[str, str], list[str]] = _our_words,
) -> Iterator[Mounted]:
    """What this command serves, once it is ready; `keep` gets the lines that it has said in the end.

    `package` is where it finds xenfs, this checkout unless said; `words` end the command: where to mount, whom to tell.
    """
    with TemporaryDirectory(prefix="xenfs-bench-") as scratch, TemporaryFile() as said:
        root = Path(scratch) / "mnt"
        root.mkdir()
        receive, send = os.pipe()
        environment = {**os.environ, "PYTHONPATH": str(package or CHECKOUT)}
        environment.pop("NOTIFY_SOCKET", None)
        started = perf_counter()
        process = subprocess.Popen(
            [*command, *words(str(root), str(send))],
            pass_fds=[send], env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )  # fmt: skip
        os.close(send)
        try:
            readable = select.select([receive], [], [], _START_S)[0]
            ready = readable and os.read(receive, 6) == b"READY\n"
            ready_s = perf_counter() - started
            if not ready:
                said.seek(0)
                raise CannotMount(said.read().decode(errors="replace").strip() or f"not mounted after {_START_S:.0f} s")
            yield Mounted(root, process, started, ready_s)
        finally:
            os.close(receive)
            _unmount(root, process)
            if keep is not None:
                said.seek(0)
                keep += said.read().decode(errors="replace").splitlines()


def _unmount(root: Path, process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if str(root) in (line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()):
        by = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-u", "-z"]
        subprocess.run([*by, str(root)], check=False)
