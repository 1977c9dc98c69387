"""Giving up what a daemon that has its devices and its mount needs no more. In the calling thread: threads inherit it.

Not one capability is needed then: Linux asks for none where a hypercall is made, only who opened /dev/xen/privcmd. What
memory may be locked is settled before, so that the pool can grow; the unmounting is somebody else's (unmounter.py).
prctl and capset are two functions of the C library: a package for them would be one more to trust.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import resource
from pathlib import Path

from xenfs.errors import StartError
from xenfs.filesystem.confine import landlock
from xenfs.filesystem.confine.identity import Identity, become

log = logging.getLogger(__name__)

_PR_SET_DUMPABLE, _PR_CAPBSET_READ, _PR_CAPBSET_DROP = 4, 23, 24
_PR_SET_SECUREBITS, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 28, 38, 47
_CLEAR_ALL = 4
_CAPABILITY_VERSION = 0x20080522
# noroot, no_setuid_fixup, keep_caps locked off, no_cap_ambient_raise: being user 0 brings nothing back
_SECUREBITS = 0x01 | 0x02 | 0x04 | 0x08 | 0x20 | 0x40 | 0x80
_MOST_CAPABILITIES = 64
IPC_LOCK, SYS_ADMIN = 14, 21

_libc = ctypes.CDLL(None, use_errno=True)


class RightsLeft(StartError):
    """A right that was to be given up is still there."""


def give_up_rights(lockable: int, chosen: Identity | None = None, *, insist: bool = False) -> str:
    """Be `chosen`, keep no capability and no way to any, write no file that is not open, run no program.

    `lockable` is how many bytes of memory may be locked in the end; CAP_IPC_LOCK is kept only where the limit for that
    cannot be raised. RightsLeft when another capability is left, and with `insist` when we are not `chosen`. What a
    container has no way to give up is logged; what this kernel's Landlock leaves is returned, in a sentence.
    """
    kept = frozenset(() if _may_lock(lockable) else (IPC_LOCK,))
    left = keep_only(kept, chosen)
    if left and insist and os.geteuid() == 0:
        raise RightsLeft(f"run_as= cannot be: {left[0]}")
    for what in left:
        log.warning("not given up: %s", what)
    missing = landlock.restrict()
    _prove(kept)
    return f"this kernel's Landlock ({landlock.version()}) leaves: {', '.join(missing)}" if missing else ""


def _prove(kept: frozenset[int]) -> None:
    allowed = sum(1 << number for number in kept)
    sets = ("CapInh", "CapPrm", "CapEff", "CapAmb")
    left = [line for line in _status() if line[0] in sets and int(line[1], 16) & ~allowed]
    tasks = len(os.listdir("/proc/self/task"))
    if left or tasks != 1:
        raise RightsLeft(f"rights could not be given up: {left}, {tasks} threads")


def keep_only(capabilities: frozenset[int], chosen: Identity | None = None) -> list[str]:
    """Have these capabilities, as far as they are there, no others, and no way to get one; be `chosen`.

    What could not be done, in words; a user who is not root has no bounding set to give up.
    """
    root = os.geteuid() == 0
    for number in range(_MOST_CAPABILITIES):
        if number not in capabilities and _libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 1:
            _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # proved below
    _libc.prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    locked = _libc.prctl(_PR_SET_SECUREBITS, _SECUREBITS, 0, 0, 0) == 0
    left = _became(chosen)  # with its capabilities, which these bits leave alone
    _set(sum(1 << number for number in capabilities) & _permitted())
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        left.append("new privileges of programs (no_new_privs)")
    if _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):  # nobody may look into the memory, and no core lies about
        left.append("core dumps")
    bounding = next((int(value, 16) for name, value in _status() if name == "CapBnd"), 0)
    if root and (bounding & ~sum(1 << number for number in capabilities) or not locked):
        left.append("the capabilities that a program of root's would have (no CAP_SETPCAP)")
    return left


def _became(chosen: Identity | None) -> list[str]:
    if chosen is None:
        return []
    try:
        become(chosen)
    except OSError as problem:
        return [f"being user 0, for user {chosen.uid}: {problem.strerror}"]
    if os.getresuid() != (chosen.uid,) * 3 or os.getresgid() != (chosen.gid,) * 3:
        raise RightsLeft(f"the kernel did not make this user {chosen.uid}")
    return []


def _set(mask: int) -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    if _libc.capset(header, data):
        raise RightsLeft(f"capset: {os.strerror(ctypes.get_errno())}")


def _permitted() -> int:
    return next(int(value, 16) for name, value in _status() if name == "CapPrm")


def _status() -> list[tuple[str, str]]:
    lines = Path("/proc/thread-self/status").read_text().splitlines()
    return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]


def _may_lock(lockable: int) -> bool:
    """Raise the limit of what may be locked without a capability, and say whether it is enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    endless = resource.RLIM_INFINITY
    wanted = (endless, endless) if hard == endless else (max(soft, lockable), max(hard, lockable))
    with contextlib.suppress(ValueError, OSError):  # in some containers not even root may
        resource.setrlimit(resource.RLIMIT_MEMLOCK, wanted)
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return soft == endless or soft >= lockable
