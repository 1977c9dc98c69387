"""How long a test waits for what has to come. No test measures speed: a machine may be busy, or emulated."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 60.0


def until(holds: Callable[[], object], what: str = "") -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.005)
