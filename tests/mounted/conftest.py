"""A mounted simulator, served by a process of its own that never outlives its test. Nothing here touches the mount
from the process that serves it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

READY_S = 20.0
REPOSITORY = Path(__file__).resolve().parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without /dev/fuse nothing here can run."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as problem:
        skip = pytest.mark.skip(reason=f"/dev/fuse cannot be opened: {problem.strerror}")
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(skip)


class Mount:
    """A daemon and what it serves; `said` is all that it wrote, once it has ended."""

    def __init__(self, where: Path, *words: str, ready: bool = True, env: dict[str, str] | None = None) -> None:
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
                "-m",
                "xenfs",
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
                assert select.select([reads], [], [], READY_S)[0], "not ready in time"
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
        return any(line.split()[4] == str(self.where) for line in Path("/proc/self/mountinfo").read_text().splitlines())

    def stop(self, number: int = signal.SIGTERM) -> float:
        """Send a signal and wait for the end; the seconds that took. Status 0, and nothing left mounted."""
        began = time.monotonic()
        self.process.send_signal(number)
        assert self.process.wait(10) == 0, self.errors()
        took = time.monotonic() - began
        assert not self.mounted
        return took

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

    def shell(self, command: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
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


@contextlib.contextmanager
def refused(*codes: int) -> Iterator[None]:
    """The system call inside fails with one of these errno values."""
    try:
        yield
    except OSError as problem:
        assert problem.errno in codes, problem  # noqa: PT017
    else:
        pytest.fail(f"not refused with any of {codes}")


Mounter = Callable[..., Mount]


@pytest.fixture
def mounter(tmp_path: Path) -> Iterator[Mounter]:
    """Mounts with the arguments given, in directories of its own."""
    made: list[Mount] = []

    def mount(settings: str = "", *words: str, options: str = "", **more: object) -> Mount:
        where = tmp_path / f"xenfs{len(made)}"
        where.mkdir()
        more_words = ["-o", options] if options else []
        made.append(Mount(where, "--hypervisor", f"simulator:{settings}", *more_words, *words, **more))  # type: ignore[arg-type]
        return made[-1]

    yield mount
    for each in made:
        alive = each.process.poll() is None
        try:
            if alive:
                each.stop()
        finally:
            each.force()


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    """One mount with all options for the tests of a module that leave it as it was."""
    where = tmp_path_factory.mktemp("mounted") / "xenfs"
    where.mkdir()
    mount = Mount(where, "--hypervisor", "simulator", "-o", "lifecycle,debug,raw")
    try:
        yield mount
        mount.stop()
        assert not [line for line in mount.errors().splitlines() if "Traceback" in line or "Error" in line]
    finally:
        mount.force()
