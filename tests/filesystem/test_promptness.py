"""What the event loop asks for to be woken soon, and that it asks before it serves."""

from __future__ import annotations

import subprocess
import sys

import pytest
import trio

from xenfs.filesystem import serve as serving

_ASKS = """
import sys, threading
from pathlib import Path
from xenfs.filesystem.promptness import be_prompt
be_prompt()
def slack():
    return Path(f"/proc/{threading.get_native_id()}/timerslack_ns").read_text().strip()
found = [slack()]
thread = threading.Thread(target=lambda: found.append(slack()))
thread.start()
thread.join()
print(round(sys.getswitchinterval() * 1e6), *found)
"""


def test_nobody_keeps_the_interpreter_and_the_kernel_wakes_in_time() -> None:
    """The threads that it starts are woken as soon: they wait for the interpreter too, and for the loop."""
    done = subprocess.run([sys.executable, "-c", _ASKS], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["20", "1000", "1000"]


def test_it_asks_before_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    class Asked(Exception):
        pass

    def ask() -> None:
        raise Asked

    monkeypatch.setattr(serving, "be_prompt", ask)
    with pytest.raises(Asked):
        trio.run(serving.serve, None, "/nowhere", lambda: None)
