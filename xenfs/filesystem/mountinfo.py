"""What is mounted here, from /proc/self/mountinfo.

Anybody can have a mount, and any byte but NUL and "/" in its name. The kernel escapes blank, tab, newline and backslash
and leaves a carriage return, a form feed and all the rest as they are. So lines end at a newline and nowhere else.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

OUR_TYPE = "fuse.xenfs"
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One line of mountinfo: where, of which filesystem type, from what source; its number, FUSE's user, its device."""

    mountpoint: str
    fstype: str
    source: str
    number: int = 0
    user: int | None = None
    device: str = ""


def mounts(mountinfo: str = "/proc/self/mountinfo") -> list[Mount]:
    """Every mount of this mount namespace, in the order in which they were made."""
    lines = os.fsdecode(Path(mountinfo).read_bytes()).split("\n")
    return [_parsed(line) for line in lines if " - " in line]


def mounted_at(path: str, mountinfo: str = "/proc/self/mountinfo") -> Mount | None:
    """The topmost mount at `path`, None when nothing is mounted exactly there.

    The path itself is looked up only when need be: where a filesystem no longer answers, that hangs.
    """
    there = {mount.mountpoint: mount for mount in mounts(mountinfo)}  # a later line is mounted over an earlier one
    parent, name = os.path.split(os.path.abspath(path))
    unresolved = os.path.join(os.path.realpath(parent), name)
    return there.get(unresolved) or there.get(os.path.realpath(path))


def mount_of(fd: int) -> int:
    """The number of the mount that an open file, or a held path (O_PATH), is in. No filesystem is asked."""
    lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("mnt_id:"))


def _parsed(line: str) -> Mount:
    # "36 35 98:0 / /mnt rw,noatime shared:1 - ext4 /dev/sda1 rw": the number of fields before the dash varies
    before, _, after = line.partition(" - ")
    fstype, source, options = (*after.split(" "), "", "")[:3]
    words = before.split(" ")
    user = re.search(r"(?:^|,)user_id=(\d+)", options)
    return Mount(
        _unescaped(words[4]), _unescaped(fstype), _unescaped(source), int(words[0]), int(user[1]) if user else None,
        words[2],
    )  # fmt: skip


def _unescaped(field: str) -> str:
    raw = _OCTAL.sub(lambda match: chr(int(match[1], 8)), os.fsencode(field).decode("latin-1"))
    return os.fsdecode(raw.encode("latin-1"))
