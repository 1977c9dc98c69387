"""A process beside the daemon that keeps one right and does one thing with it, as long as the daemon lives."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
from collections.abc import Callable

from xenfs.filesystem.confine.inheritance import forget_inheritance
from xenfs.filesystem.confine.rights import keep_only

_PR_SET_NAME = 15
_libc = ctypes.CDLL(None, use_errno=True)

Work = Callable[[socket.socket], None]
"""All of the life of such a process: it reads what the daemon sends, and ends with the daemon."""


def beside(name: bytes, capabilities: frozenset[int], work: Work) -> tuple[int, socket.socket]:
    """(process id, the daemon's end). To be made before any thread, and before anything is opened for few only."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if not pid:
        try:
            _become(name, capabilities, theirs)
            work(theirs)
        finally:
            os._exit(0)
    theirs.close()
    return pid, ours


def _become(name: bytes, capabilities: frozenset[int], ours: socket.socket) -> None:
    gc.disable()  # a collection writes to every object: this process would get a copy of what it shares, 5 MB
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _libc.prctl(_PR_SET_NAME, name, 0, 0, 0)
    forget_inheritance({ours.fileno()})
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    if os.geteuid() == 0:
        keep_only(capabilities)
