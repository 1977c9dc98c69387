"""How a daemon that serves looks for cycles: what the tests of garbage.py show goes on in it."""

from __future__ import annotations

import json
import signal
from typing import Any

from mounting import Mount, Mounter

DAEMON = """
import gc, json, signal
def tell(*_):
    looks = gc.get_stats()[0]["collections"]
    print(json.dumps({"aside": gc.get_freeze_count(), "looks": looks, "at": gc.get_threshold()}), flush=True)
signal.signal(signal.SIGUSR1, tell)
from xenfs.cli import main
main()
"""


def told(daemon: Mount) -> dict[str, Any]:
    """How many objects it has put aside; how often it has looked at what is new, and at how many objects each time."""
    daemon.process.send_signal(signal.SIGUSR1)
    assert daemon.process.stdout
    for line in daemon.process.stdout:
        if line.startswith(b"{"):
            return json.loads(line)  # type: ignore[no-any-return]
    raise AssertionError(daemon.errors())


def test_what_is_made_at_the_start_and_what_stays_later_is_put_aside(mounter: Mounter) -> None:
    daemon = mounter("domains=2000", program=("-c", DAEMON))
    before = told(daemon)
    assert before["aside"] > 20_000, "what a daemon has before it serves"
    assert before["at"][:2] == [2000, 1], "as docs/threads.md has it; at twice as many Python takes twice as long"
    daemon.out("ls -l domains")
    after = told(daemon)
    assert after["aside"] > before["aside"] + 2000, "what it remembers of each domain"
    assert after["looks"] > before["looks"]
