"""A program at a terminal of its own: what it shows is kept as a screen, keys are sent, the size is changed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping

import pytest
from mounting import REPOSITORY
from patience import PATIENCE_S

pyte = pytest.importorskip("pyte", reason="an environment older than the need for it: scripts/test renews it")

KEYS = {"up": "\x1bOA", "down": "\x1bOB", "enter": "\r", "esc": "\x1b", "^C": "\x03", "^Z": "\x1a"}
TERM = "screen-256color"  # whose sequences are all known to pyte


class Terminal:
    """The screen is `columns` by `lines`, `status` the program's once it has ended. `shell` is a bash script in which
    "$@" is the program: with job control, as nobody can be stopped who has no shell to go on in."""

    def __init__(
        self, *words: str, columns: int = 80, lines: int = 24, env: Mapping[str, str] | None = None, shell: str = ""
    ) -> None:
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.sent = b""
        self.status: int | None = None
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "TERM": TERM, "LC_ALL": "C.UTF-8"}
        environment |= env or {}
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(REPOSITORY)
                time.sleep(0.1)  # its size is being said
                program = [sys.executable, "-W", "error", "-m", "xenfs", *words]
                if shell:
                    program = ["/bin/bash", "-mc", shell, "bash", *program]
                os.execve(program[0], program, environment)
            finally:
                os._exit(127)
        self.resize(columns, lines)

    def resize(self, columns: int, lines: int) -> None:
        """As dragging a window's corner does."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def press(self, *keys: str) -> None:
        """Send keys, by name or as they are."""
        for key in keys:
            os.write(self._fd, KEYS.get(key, key).encode())

    @property
    def shown(self) -> str:
        """The screen's lines."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def line(self, needle: str) -> str:
        """The first line that has this."""
        return next((line.rstrip() for line in self.screen.display if needle in line), "")

    def until(self, come: Callable[[], object], what: str = "") -> None:
        """Take in what is sent until something is so."""
        deadline = time.monotonic() + PATIENCE_S
        while not come():
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not self._take(left_s):
                pytest.fail(f"{what or 'it'} did not come, but:\n{self.shown}")

    def has(self, *needles: str) -> None:
        """Wait until the screen shows all of these."""
        self.until(lambda: all(needle in self.shown for needle in needles), repr(needles))

    def lacks(self, needle: str) -> None:
        """Wait until the screen does not show this."""
        self.until(lambda: needle not in self.shown, f"the end of {needle!r}")

    def quiet(self, for_s: float) -> int:
        """How many bytes are sent meanwhile."""
        before, deadline = len(self.sent), time.monotonic() + for_s
        while (left_s := deadline - time.monotonic()) > 0 and self.status is None:
            self._take(left_s)
        return len(self.sent) - before

    def ended(self) -> int:
        """Wait for its end; the exit status, or the negative number of a signal."""
        deadline = time.monotonic() + PATIENCE_S
        while not self._reaped():
            assert time.monotonic() < deadline, self.shown
            if not self._take(0.1):
                time.sleep(0.02)
        assert self.status is not None
        return self.status

    def restored(self) -> bool:
        """Whether the terminal is as it was before the program."""
        return bool(termios.tcgetattr(self._fd)[3] & termios.ECHO) and b"\x1b[?1049l" in self.sent

    def close(self) -> None:
        """Whatever happened: it is over."""
        if not self._reaped():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)

    def _take(self, wait_s: float) -> bool:
        """Take in what there is; False when the other side has hung up."""
        if select.select([self._fd], [], [], min(wait_s, 1.0))[0]:
            try:
                data = os.read(self._fd, 65536)
            except OSError:  # EIO: nobody has the terminal open any more
                return False
            self.sent += data
            self._stream.feed(data)
        return True

    def _reaped(self) -> bool:
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None
