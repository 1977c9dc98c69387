"""A descriptor that another thread makes readable."""

from __future__ import annotations

import os
import threading
from contextlib import suppress


class Waker:
    """What a thread polls, and others wake it by. Its lock is held for one system call that never waits."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._closed = False

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._fd

    def wake(self) -> None:
        """Make it readable; nothing once it is closed, for its number may be another's then."""
        with self._lock:
            if not self._closed:
                os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        """Nothing is to be done any more, as far as was known until now."""
        with self._lock, suppress(BlockingIOError):
            if not self._closed:
                os.eventfd_read(self._fd)

    def close(self) -> None:
        """Give the descriptor back."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._fd)
