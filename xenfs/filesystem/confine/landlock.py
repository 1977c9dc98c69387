"""Landlock: a process without a capability may still write what its user may, connect and signal. This takes it away.

Three system calls with the same numbers everywhere, in Linux since 5.13; what an older kernel does not know is named.
Reading stays: Python reads its modules, and xenfs /proc and /sys. What is open stays open.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE = 1 << 0, 1 << 1
_CHANGES = sum(1 << bit for bit in range(4, 13))  # removing and making, of every kind
# The interface that knows it first: linking elsewhere, truncating, ioctl on devices that are opened from now on.
_FILES = {2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_TCP = 3  # binding and connecting, since 4
_SCOPES = 3  # abstract sockets and signals of others, since 6
_LATER = {
    2: "linking and renaming between directories", 3: "truncating files", 4: "TCP", 5: "ioctl on devices",
    6: "abstract sockets and signals",
}  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("fd", ctypes.c_int32))


def version() -> int:
    """The interface that this kernel has; 0 without Landlock."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, 0, _VERSION)))


def restrict(writable: Iterable[str] = ()) -> list[str]:
    """Write only to files below `writable` from now on; make, remove and run none anywhere, and reach nobody.

    What could not be taken away, in words: all of it where there is no Landlock.
    """
    known = version()
    if not known:
        return ["writing files, running programs", *_LATER.values()]
    files = _EXECUTE | _WRITE_FILE | _CHANGES | sum(bit for since, bit in _FILES.items() if since <= known)
    attributes = _Ruleset(files, _TCP, _SCOPES)
    length = 24 if known >= 6 else 16 if known >= 4 else 8
    rules = _libc.syscall(_CREATE_RULESET, ctypes.byref(attributes), length, 0)
    if rules < 0:
        return [f"anything by Landlock ({os.strerror(ctypes.get_errno())})"]
    try:
        for path in writable:
            _allow(rules, path)
        if _libc.syscall(_RESTRICT_SELF, rules, 0):
            return [f"anything by Landlock ({os.strerror(ctypes.get_errno())})"]
    finally:
        os.close(rules)
    return [what for since, what in _LATER.items() if since > known]


def _allow(rules: int, path: str) -> None:
    with contextlib.suppress(OSError):  # what is not there needs no rule
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            rule = _Beneath(_WRITE_FILE, fd)
            _libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, ctypes.byref(rule), 0)
        finally:
            os.close(fd)
