"""Signals that end the mount, heard by a thread of its own: also while the event loop hangs in a hypercall."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable

import pyfuse3
import trio

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOP_S = 0.4  # for the event loop to do what it is told


class Stopping:
    """Made before any thread: from then on signals wait until somebody listens.

    The first one lets calls in flight end; after `grace_s`, or at a second one, the mount goes without them.
    """

    def __init__(self, grace_s: float, last_words: Callable[[], None]) -> None:
        self._grace_s, self._last_words = grace_s, last_words
        self.in_order = False  # all calls have ended: nothing but the end itself takes its time
        self._closed = threading.Lock()
        self._token = trio.lowlevel.current_trio_token()
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)

    def listen(self) -> None:
        """Begin to; a daemon is ended by its signals, and not by this thread's end."""
        threading.Thread(target=self._listen, name="signals", daemon=True).start()

    def unmount(self) -> None:
        """Take the mount away, once: a second pyfuse3.close() is a segmentation fault."""
        if self._closed.acquire(blocking=False):
            pyfuse3.close()

    def _listen(self) -> None:
        number = signal.sigwait(_SIGNALS)
        log.info("%s: unmounting", signal.Signals(number).name)
        self._in_the_loop(pyfuse3.terminate)
        signal.sigtimedwait(_SIGNALS, self._grace_s)
        self._in_the_loop(self._leave)
        time.sleep(_LOOP_S)
        self._leave()  # the loop does not come to it

    def _in_the_loop(self, what: Callable[[], None]) -> None:
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(what)

    def _leave(self) -> None:
        """End without the calls that still run: a hypercall cannot be cut short, and nobody may wait for one.

        The mount goes first. The pool goes with the process, which the kernel ends when the last ioctl returns.
        """
        if not self.in_order:
            log.warning("calls still run after the grace period: leaving without their answers")
        self._last_words()
        self.unmount()
        logging.shutdown()
        os._exit(0)
