"""Who asks: what the kernel says of a request, and what /proc adds to it while the request is open.

The kernel names user, group and thread of a request. The other groups are in the thread's /proc/<pid>/status: it waits
in the kernel for our answer and cannot change them meanwhile. They are not known where that file is not to be seen
(another PID namespace, a hidden /proc). Nor are they where it is another's: a number used again, a server for others;
nor of who has thousands: the kernel writes them down for 30 ms and more, which nobody else is to wait for.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from xenfs.nodes.policy import Who

_PROC = Path("/proc")
_FLAGS = 6  # the ninth word of /proc/<pid>/stat; the first two are cut off
_LONGEST_COMM = 4096  # Linux gives 16 bytes, and longer names of its own threads
_MOST_GROUPS = 4096
_AGAIN_S = 60.0  # who had more is looked at again after that
_MOST_KNOWN = 4096  # such users
_SIGNALED = 0x400  # Linux's PF_SIGNALED: a signal ends the thread


class Caller(NamedTuple):
    """The one who opened a file, made or removed something. `command` is what the process calls itself."""

    uid: int
    gid: int
    pid: int
    command: str = ""


_too_many: dict[int, float] = {}  # users, and until when their groups are not asked for

NOBODY = Caller(2**32 - 1, 2**32 - 1, 0)
"""Stands for whoever is not known yet."""


def caller(ctx: Any, *, named: bool = False, proc: Path = _PROC) -> Caller:
    """The caller of a request, with the command where `named`."""
    return Caller(ctx.uid, ctx.gid, ctx.pid, _command(ctx.pid, proc) if named else "")


def who(asking: Caller, *, groups: bool, proc: Path = _PROC) -> Who:
    """The same for the policy, with all groups where `groups` says that they matter."""
    own = frozenset((asking.gid,))
    if not groups:
        return Who(asking.uid, own)
    found = _groups(asking, proc)
    return Who(asking.uid, own, certain=False) if found is None else Who(asking.uid, own | found)


def killed(pid: int, proc: Path = _PROC) -> bool:
    """Whether a signal ends this thread just now; False of one that is not to be seen."""
    try:
        words = (proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        return bool(int(words[_FLAGS]) & _SIGNALED)
    except (OSError, ValueError, IndexError):
        return False


def _command(pid: int, proc: Path) -> str:
    try:
        with open(f"{proc}/{pid}/comm", "rb", buffering=0) as file:  # pathlib's way takes twice as long
            return file.read(_LONGEST_COMM).removesuffix(b"\n").decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def _groups(asking: Caller, proc: Path) -> frozenset[int] | None:
    """The supplementary groups, None where it is not certain that they are the caller's."""
    if asking.pid <= 0 or monotonic() < _too_many.get(asking.uid, 0.0):
        return None
    try:
        status = (proc / str(asking.pid) / "status").read_bytes()
        lines = dict(line.split(b":", 1) for line in status.splitlines() if b":" in line)
        acting = tuple(int(lines[key].split()[3]) for key in (b"Uid", b"Gid"))
        groups = _numbers(lines[b"Groups"])
        if groups is None:
            if len(_too_many) >= _MOST_KNOWN:
                _too_many.clear()
            _too_many[asking.uid] = monotonic() + _AGAIN_S
            return None
        return groups if acting == (asking.uid, asking.gid) else None
    except (OSError, KeyError, ValueError, IndexError):
        return None


@lru_cache(16)  # users: whoever opens many files has the same groups each time
def _numbers(line: bytes) -> frozenset[int] | None:
    """The groups in it; None of too many."""
    words = line.split()
    return None if len(words) > _MOST_GROUPS else frozenset(map(int, words))
