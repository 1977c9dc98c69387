"""The thread that touches the mount: a daemon that hangs holds up neither keys nor the picture."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any

from xenfs.errors import XenfsError

Work = Callable[[], Any]
Done = Callable[[Any, XenfsError | None], None]


class Worker:
    """Does one thing after the other. `fd` can be read when something is done; `deliver` then says what came of it."""

    def __init__(self) -> None:
        self.fd, self._ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wanted: SimpleQueue[tuple[Work, Done]] = SimpleQueue()
        self._done: SimpleQueue[tuple[Done, Any, XenfsError | None]] = SimpleQueue()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # these are for the main thread
        Thread(target=self._run, name="reader", daemon=True).start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def want(self, work: Work, done: Done) -> None:
        """Have something done in the thread, and `done(result, problem)` called by `deliver`."""
        self._wanted.put((work, done))

    def deliver(self) -> None:
        """Hand over all that is done."""
        with suppress(BlockingIOError):
            os.read(self.fd, 4096)
        while not self._done.empty():
            done, result, problem = self._done.get()
            done(result, problem)

    def ring(self) -> None:
        """Make `fd` readable, as for something that is done."""
        with suppress(BlockingIOError):  # it is full, and so readable as it is
            os.write(self._ring, b"!")

    def _run(self) -> None:
        while True:
            work, done = self._wanted.get()
            try:
                self._done.put((done, work(), None))
            except XenfsError as problem:
                self._done.put((done, None, problem))
            except (OSError, ValueError, KeyError) as problem:  # a tree that is not what it should be
                self._done.put((done, None, XenfsError(f"{type(problem).__name__}: {problem}")))
            self.ring()
