"""The daemon as a process of its own, for tests that mount it. Nothing here runs in the process that serves."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mount_table import mount_lines
from patience import PATIENCE_S

REPOSITORY = Path(__file__).resolve().parents[2]


class Mount:
    """A daemon and what it serves; `said` is all that it wrote, once it has ended."""

    def __init__(
        self,
        where: Path,
        *words: str,
        ready: bool = True,
        env: dict[str, str] | None = None,
        program: tuple[str, ...] = ("-m", "xenfs"),
    ) -> None:
        self.where = where
        self._stderr = open(where.parent / f"{where.name}.stderr", "w+b")  # noqa: SIM115
        reads, writes = os.pipe()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-X",
                "faulthandler",
                "-W",
                "error",
                *program,
                "mount",
                str(where),
                "--ready-fd",
                str(writes),
                *words,
            ],
            cwd=REPOSITORY,
            pass_fds=(writes,),
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(env or {})},
        )
        os.close(writes)
        try:
            if ready:
                assert select.select([reads], [], [], PATIENCE_S)[0], "not ready in time"
                assert os.read(reads, 100) == b"READY\n", self.errors()
        except BaseException:
            self.force()
            raise
        finally:
            os.close(reads)

    def errors(self) -> str:
        """What the daemon wrote to stderr so far."""
        self._stderr.flush()
        return Path(self._stderr.name).read_text()

    @property
    def mounted(self) -> bool:
        """Whether the kernel has something mounted there."""
        return bool(mount_lines(self.where))

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and wait for the end. Status 0, and nothing left mounted."""
        self.process.send_signal(number)
        assert self.process.wait(PATIENCE_S) == 0, self.errors()
        assert not self.mounted

    @property
    def calls_left_behind(self) -> bool:
        """Whether it has ended without the answers of calls that ran for longer than the grace period."""
        return "leaving without their answers" in self.errors()

    def force(self) -> None:
        """Whatever happened: no process and no mount is left."""
        subprocess.run(["umount", "-l", self.where], stderr=subprocess.DEVNULL, check=False)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGABRT)  # its stacks are in its stderr then
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        self._stderr.close()

    def shell(self, command: str, timeout: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        """A command, run in the mount by bash, whose echo says what was wrong with a write."""
        return subprocess.run(
            ["bash", "-c", command], cwd=self.where, capture_output=True, text=True, timeout=timeout, check=False
        )

    def out(self, command: str) -> str:
        """What a command that must succeed prints."""
        done = self.shell(command)
        assert (done.returncode, done.stderr) == (0, ""), (command, done)
        return done.stdout

    def read(self, path: str) -> str:
        """A file's content."""
        return (self.where / path).read_text()

    def write(self, path: str, text: str) -> None:
        """One write."""
        fd = os.open(self.where / path, os.O_WRONLY)
        try:
            assert os.write(fd, text.encode()) == len(text)
        finally:
            os.close(fd)


def open_up(where: Path) -> None:
    """Let others pass to a directory of pytest's, and to what is mounted there."""
    for folder in (where, *where.parents):
        if folder != Path("/") and not folder.is_mount() and folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o011)


@contextlib.contextmanager
def refused(*codes: int) -> Iterator[None]:
    """The system call inside fails with one of these errno values."""
    try:
        yield
    except OSError as problem:
        assert problem.errno in codes, problem  # noqa: PT017
    else:
        pytest.fail(f"not refused with any of {codes}")


@contextlib.contextmanager
def lasting(folder: Path, settings: str = "", options: str = "") -> Iterator[Mount]:
    """A mount of a simulated host in a folder of its own, as `serving` has it."""
    where = folder / "xenfs"
    where.mkdir()
    with serving(where, settings, options) as made:
        yield made


@contextlib.contextmanager
def serving(where: Path, settings: str = "", options: str = "") -> Iterator[Mount]:
    """A mount of a simulated host, which ends in good order and has logged nothing that is wrong."""
    hypervisor = f"simulator:{settings}" if settings else "simulator"
    made = Mount(where, "--hypervisor", hypervisor, *(("-o", options) if options else ()))
    try:
        yield made
        made.stop()
        assert "Traceback" not in made.errors()
    finally:
        made.force()


Mounter = Callable[..., Mount]
