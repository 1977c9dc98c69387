"""The end of a mount: what comes first of several ways to it, and that none comes twice."""

from __future__ import annotations

import logging
import os
import signal

import pyfuse3
import pytest
import trio

from xenfs.filesystem.stopping import Stopping


def test_the_mount_is_taken_away_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the grace period ends after that, and before the process does: on a very slow machine."""
    done: list[object] = []
    monkeypatch.setattr(pyfuse3, "close", lambda: done.append("unmounted"))
    monkeypatch.setattr(os, "_exit", done.append)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    async def run() -> None:
        stopping = Stopping(5, lambda: None)
        stopping.in_order = True
        stopping.unmount()
        stopping._leave()

    try:
        trio.run(run)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert done == ["unmounted", 0]
