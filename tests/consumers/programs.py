"""Programs that run beside a test, and that end with it: by their own process numbers, whatever happened."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from mount_table import mount_table
from patience import PATIENCE_S

Found = TypeVar("Found")


class Started:
    """What a test has started; each writes to a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str | Path, **more: object) -> subprocess.Popen[bytes]:
        """Start a program in the background."""
        log = (self.folder / f"{len(self._running)}.log").open("wb")
        process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, **more  # type: ignore[call-overload]
        )  # fmt: skip
        log.close()
        self._running.append(process)
        return process  # type: ignore[no-any-return]

    def said(self) -> str:
        """All that they have written."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def end(self) -> None:
        """End them, the last one first."""
        for process in reversed(self._running):
            process.terminate()
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until(ask: Callable[[], Found], what: str, patience_s: float = PATIENCE_S) -> Found:
    """The first answer that is not false; OSError and the like mean "not yet"."""
    deadline, last = time.monotonic() + patience_s, ""
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            if found := ask():
                return found
        time.sleep(0.1)
    raise AssertionError(f"{what}: not after {patience_s} s {last}")


def run(*command: str | Path, timeout: float = 60, check: bool = True, **more: object) -> str:
    """What a program prints that runs to its end."""
    words: Sequence[str] = list(map(str, command))
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=timeout, check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"}, **more,  # type: ignore[call-overload]
    )  # fmt: skip
    assert not check or done.returncode == 0, (words, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return str(done.stdout)


def needs(program: str, package: str) -> str:
    """The path of a program; skips the test, or fails it where all are required, when it is not installed."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found:
        return found
    missing = f"no {program} here (Debian's package {package}); scripts/test-consumers --install gets it"
    if os.environ.get("XENFS_CONSUMERS") == "required":
        pytest.fail(missing)
    pytest.skip(missing)


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cgroup2() -> Path | None:
    """Where cgroup v2 is mounted, if there is one."""
    for line in mount_table():
        if " - cgroup2 " in line and os.access(line.split()[4], os.W_OK):
            return Path(line.split()[4])
    return None
