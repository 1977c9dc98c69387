"""The kernel's list of mounts, in which those of other tests and other programs may have any bytes in their paths."""

from __future__ import annotations

import os
from pathlib import Path


def mount_table() -> list[str]:
    """Its lines."""
    return os.fsdecode(Path("/proc/self/mountinfo").read_bytes()).split("\n")[:-1]


def mount_lines(where: Path) -> list[str]:
    """The lines of what is mounted there."""
    return [line for line in mount_table() if line.split(" ")[4] == str(where)]
