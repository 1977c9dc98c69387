"""A xenfs mounted by a process of its own, and how a test looks into it: from outside, and with time-outs."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import select
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import xen_seen
from mount_table import mount_lines

CHECKOUT = Path(__file__).resolve().parents[2]
XENFS = (sys.executable, "-X", "faulthandler", "-m", "xenfs")  # so that SIGABRT shows where it is
a_cpu_leaves = pytest.mark.skipif(
    platform.machine() == "aarch64",
    reason="an emulated arm64 stands still now and then when a CPU leaves its pool: nobody knows why; x86_64 shows it",
)
risky = pytest.mark.skipif(
    not os.environ.get("XENFS_RISKY"),
    reason="Xen itself ended here once in about ten times: XENFS_RISKY=1 asks for it, see docs/compatibility.md",
)
START_S, END_S = 400.0, 240.0  # Python's, under emulation: beside much other work 180 s were not enough


def environment(**more: str) -> dict[str, str]:
    """The environment in which `python -m xenfs` is this checkout's, wherever it is started."""
    found = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": f"{CHECKOUT}:{found}" if found else str(CHECKOUT), **more}


def xenfs(*words: str, timeout: float = START_S) -> subprocess.CompletedProcess[str]:
    """Run one xenfs command to its end."""
    return subprocess.run(
        [*XENFS, *words], env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
    )


def is_mounted(where: Path) -> bool:
    """Whether anything is mounted there, by the kernel's list: nothing is looked up below it."""
    return bool(mount_lines(where))


class Mount:
    """A mounted tree: nodes by their paths below the mount point."""

    def __init__(self, root: Path, process: subprocess.Popen[bytes] | None = None, spec: str = "auto") -> None:
        self.root, self.process, self.spec = root, process, spec
        self.in_vain: Counter[str] = Counter()  # questions to raw/ of which Xen did nothing, by the operation

    def path(self, node: str) -> Path:
        """Where a node is."""
        return self.root / node

    def names(self, node: str = "") -> list[str]:
        """The names in a directory."""
        return os.listdir(self.path(node))

    def numbers(self, node: str) -> list[str]:
        """The names in a directory that are numbers: domains, vCPUs, CPUs, pools."""
        return sorted((name for name in self.names(node) if name.isdecimal()), key=int)

    def has(self, node: str) -> bool:
        """Whether there is such a node."""
        return os.path.lexists(self.path(node))

    def read(self, node: str) -> bytes:
        """The bytes of a file, by plain reads to the end."""
        data = self.path(node).read_bytes()
        xen_seen.note("r", node)
        return data

    def value(self, node: str) -> str:
        """The text of a file without its newline."""
        return self.read(node).decode("utf-8", "surrogateescape").removesuffix("\n")

    def flat(self, node: str) -> dict[str, str]:
        """A flat keyed file."""
        return dict(line.partition(" ")[::2] for line in self.value(node).splitlines())

    def write(self, node: str, text: str | bytes) -> None:
        """One write(2); OSError is its outcome."""
        fd = os.open(self.path(node), os.O_WRONLY)
        try:
            write(fd, text)
        finally:
            os.close(fd)
        xen_seen.note("w", node, text)

    def mkdir(self, node: str) -> None:
        """Make a directory: a pool."""
        os.mkdir(self.path(node))
        xen_seen.note("mkdir", node)

    def rmdir(self, node: str) -> None:
        """Remove one: a pool, a domain."""
        os.rmdir(self.path(node))
        xen_seen.note("rmdir", node)

    def ask(self, node: str, question: str) -> str:
        """Write a question and read its answer on the same open file."""
        return self.exchange(node, question, 65536).decode().removesuffix("\n")

    def exchange(self, node: str, question: str, size: int) -> bytes:
        """The same, for an answer in bytes, of which so many are read."""
        fd = os.open(self.path(node), os.O_RDWR)
        try:
            write(fd, question)
            answer = os.pread(fd, size, 0)
            path = node.removeprefix("raw/")
            if path != node and xen_seen.is_in_vain(path, answer.decode("utf-8", "surrogateescape")):
                self.in_vain[path.replace("/", ":", 1)] += 1
            else:
                xen_seen.note("w", node)
            return answer
        finally:
            os.close(fd)

    def calls(self) -> dict[str, int]:
        """How often each operation was called until now; reading it calls none."""
        rows = (line.split() for line in self.value("xenfs/calls/stat").splitlines())
        return {row[0]: int(row[1].removeprefix("count=")) for row in rows}


def write(fd: int, text: str | bytes) -> None:
    """One write(2), whole."""
    data = text.encode() if isinstance(text, str) else text
    assert os.write(fd, data) == len(data)


def failure(attempt: Callable[[], object]) -> int:
    """The errno of what must fail; 0 where it did not."""
    try:
        attempt()
    except OSError as problem:
        return problem.errno or 0
    return 0


def called(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """The operations that were called between two looks at the counts."""
    return {op: count - before.get(op, 0) for op, count in after.items() if count != before.get(op, 0)}


def without_rights(mount: Mount) -> int:
    """The number of its daemon, which is not root, and of which the kernel says that it can do nothing of root's."""
    assert mount.process is not None
    pid = mount.process.pid
    status = dict(re.findall(r"^(Uid|CapEff|NoNewPrivs):\s+(\w+)", Path(f"/proc/{pid}/status").read_text(), re.M))
    assert status == {"Uid": "65534", "CapEff": "0" * 16, "NoNewPrivs": "1"}
    return pid


@contextlib.contextmanager
def mounted(
    spec: str, *options: str, arguments: Sequence[str] = (), inside: Sequence[str] = (), announced: Sequence[str] = ()
) -> Iterator[Mount]:
    """Mount, and unmount in the end by a signal. `inside` is a command that runs the rest, such as unshare: the
    tree is then looked at through that process's own mounts. `announced` are words that its log may have."""
    with tempfile.TemporaryDirectory(prefix="xenfs-") as folder, tempfile.TemporaryFile() as log:
        where = Path(folder, "mnt")
        where.mkdir()
        ready, its_ready = os.pipe()
        words = [*XENFS, "mount", str(where), "-o", ",".join(options), "--hypervisor", spec, *arguments]
        process = subprocess.Popen(
            [*inside, *words, "--ready-fd", str(its_ready)],
            env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, pass_fds=(its_ready,),
        )  # fmt: skip
        os.close(its_ready)
        try:
            _wait_until_ready(process, ready, log)
            found = Mount(Path(f"/proc/{process.pid}/root{where}") if inside else where, process, spec)
            yield found
            _note_what_was_made(found)
            stop(process)
            said = _said(log)
            assert process.returncode == 0, said
            assert not is_mounted(where)
            odd = [line for line in said.splitlines() if not any(word in line for word in (*announced, *_USUAL))]
            assert not odd, "\n".join(odd)
        finally:
            os.close(ready)
            _clean_up(process, where)


def _note_what_was_made(mount: Mount) -> None:
    with contextlib.suppress(OSError):  # a test may have ended it, or hidden this
        xen_seen.note_made(mount.path("xenfs/calls/stat").read_text(), mount.in_vain)


_USUAL = (
    "unmounting",
    "mounted on",
    "this kernel's Landlock",
    ' path="',
    "summary left_out=",
)  # the record, where there is no journal


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it as systemd would. Were it to leave calls behind, its log would say so."""
    process.send_signal(signal.SIGTERM)
    process.wait(END_S)


def _wait_until_ready(process: subprocess.Popen[bytes], ready: int, log: object) -> None:
    readable, _, _ = select.select([ready], [], [], START_S)
    if not readable:
        process.send_signal(signal.SIGABRT)
        process.wait(10)
    assert readable, f"not mounted after {START_S} s: {_said(log)}"
    assert os.read(ready, 64) == b"READY\n", f"did not mount: {_said(log)}"


def _said(log: object) -> str:
    log.seek(0)  # type: ignore[attr-defined]
    return log.read().decode("utf-8", "replace")  # type: ignore[attr-defined, no-any-return]


def _clean_up(process: subprocess.Popen[bytes], where: Path) -> None:
    if is_mounted(where):
        subprocess.run(["umount", "-l", where] if os.geteuid() == 0 else ["fusermount3", "-uz", where], check=False)
    if process.poll() is None:
        process.kill()
        process.wait(10)
