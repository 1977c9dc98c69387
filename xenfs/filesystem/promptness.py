"""The event loop gets what it waits for soon. It asks for what needs no right; see docs/threads.md."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

_SWITCH_S = 0.00002
"""How long a thread may keep the interpreter from another one. The loop has to get it back several times a request."""
_SLACK_NS = 1000
"""How much later than it asked for it may be woken. Linux takes 50 us, more than twice that time."""
_PR_SET_TIMERSLACK = 29


def be_prompt() -> None:
    """For the thread that calls it, and for those that it starts."""
    sys.setswitchinterval(_SWITCH_S)
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(_SLACK_NS), 0, 0, 0)
