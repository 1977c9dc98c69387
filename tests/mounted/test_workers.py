"""What the workers of the pyfuse3 that is installed make of a turnstile: one whose inside has changed fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from patience import PATIENCE_S

SCRIPT = Path(__file__).with_name("two_files.py")
READS = 100


def served(where: Path, *words: str) -> dict[str, Any]:
    """What the script says after `slow` was read beside `quick`, and then `quick` a hundred times."""
    process = subprocess.Popen([sys.executable, str(SCRIPT), str(where), *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "READY\n"
        found: list[str] = []
        slow = threading.Thread(target=lambda: found.append((where / "slow").read_text()), daemon=True)
        slow.start()
        while not found:  # more than once only where `quick` was read before `slow` was asked for
            assert (where / "quick").read_text() == "1\n"
            slow.join(0.05)
        for _ in range(READS):
            (where / "quick").read_text()
    finally:
        by = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-u", "-z"]
        subprocess.run([*by, str(where)], check=False)
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    answer: dict[str, Any] = json.loads(said)
    return answer


def test_workers_take_turns_only_where_one_waits(tmp_path: Path) -> None:
    """One lock, all workers told of; a hundred reads, and hardly ever did a worker have to wait for another."""
    said = served(tmp_path)
    assert said["turnstiles"] == 1
    assert said["told"]
    assert said["parked"] < READS / 4
    assert said["back"]


def test_with_its_own_lock_they_take_turns_at_each_request(tmp_path: Path) -> None:
    """The problem: when this fails, pyfuse3 has mended it, and xenfs needs no turnstile of its own any more."""
    said = served(tmp_path, "own")
    assert said["turnstiles"] == 0
    assert said["parked"] >= READS
