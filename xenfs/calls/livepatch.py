"""Live patches: which there are and what has become of them; sysctl livepatch_op. Absent from a Xen built without."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from xenfs.abi.numbers import Limit, LivepatchAction, LivepatchOp, Sysctl
from xenfs.abi.operations import Operation, operation
from xenfs.calls.control import sysctl
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor

LIVEPATCH_OP = operation(Sysctl.livepatch_op, "LIST").as_whole()
UPLOAD = operation(Sysctl.livepatch_op, "UPLOAD")
_ACTION = operation(Sysctl.livepatch_op, "ACTION")
UNLOAD, APPLY, REVERT, REPLACE = (_ACTION.part(name) for name in ("UNLOAD", "APPLY", "REVERT", "REPLACE"))

_MOST = 1024  # entries that Xen gives in one call; E2BIG for more
_SPARE = 1 << 16  # bytes: before 4.21 Xen does not look at the size of the buffer that metadata go to
_TRIES = 8
_CHANGED = frozenset({errno.ENOBUFS, errno.EINVAL})


class Patch(NamedTuple):
    """A live patch: its name, its LivepatchState, 0 or the errno of the last action on it, and its metadata."""

    name: bytes
    state: int
    rc: int
    metadata: bytes


class _Changed(Exception):
    """The list is not what it was when it was begun: it must be read again."""


def patches(xen: Hypervisor) -> list[Patch]:
    """Every live patch, in the order of their coming; livepatch_op LIST, read again where it changes meanwhile."""
    for _ in range(_TRIES):
        try:
            return _listed(xen)
        except _Changed:
            continue
    raise HypercallError(LIVEPATCH_OP.name, errno.EAGAIN, "the list of live patches never came to rest")


def count(xen: Hypervisor) -> int:
    """How many live patches there are; livepatch_op LIST without room for any."""
    return _whole(xen).nr


def status(xen: Hypervisor, name: bytes) -> tuple[int, int]:
    """(LivepatchState, rc) of one live patch; rc is 0 or an errno, EAGAIN while Xen is at it. livepatch_op GET.

    ENOENT where there is none of that name.
    """
    with _named(xen, name) as named:
        arm = sysctl(xen, LIVEPATCH_OP, "livepatch", cmd=LivepatchOp.GET, u={"get": named})
        return int(arm.u.get.status.state), -int(arm.u.get.status.rc)


def unload(xen: Hypervisor, name: bytes) -> None:
    """Forget a live patch that is not applied; ENOENT without it, EINVAL where it is, EBUSY while Xen is at it.

    livepatch_op ACTION UNLOAD.
    """
    _act(xen, UNLOAD, LivepatchAction.UNLOAD, name)


def upload(xen: Hypervisor, name: bytes, payload: bytes) -> None:
    """Hand Xen a live patch, an ELF file of up to 2 MiB, to be checked and not applied.

    EEXIST where there is one of that name. EINVAL where the file is no live patch for this Xen, EOPNOTSUPP where it is
    for another kind of machine. ENOMEM. livepatch_op UPLOAD.
    """
    with _named(xen, name) as named, xen.pool.take(len(payload)) as data:
        data.fill(payload)
        given = {"upload": {**named, "size": len(payload), "payload": data}}
        sysctl(xen, UPLOAD, "livepatch", cmd=LivepatchOp.UPLOAD, u=given)


def apply(xen: Hypervisor, name: bytes, timeout_ns: int) -> None:
    """Begin to put a live patch in force: all CPUs must meet within the time. `status` tells what became of it.

    EINVAL where what it builds on is not in force, EBUSY while Xen is at another one. livepatch_op ACTION APPLY.
    """
    _act(xen, APPLY, LivepatchAction.APPLY, name, timeout_ns)


def revert(xen: Hypervisor, name: bytes, timeout_ns: int) -> None:
    """The opposite; EBUSY where another was applied after it, or while Xen is at one. livepatch_op ACTION REVERT."""
    _act(xen, REVERT, LivepatchAction.REVERT, name, timeout_ns)


def replace(xen: Hypervisor, name: bytes, timeout_ns: int) -> None:
    """Likewise put this one in force and revert all others; EINVAL, EBUSY, and EOPNOTSUPP where one of them may refuse.

    livepatch_op ACTION REPLACE.
    """
    _act(xen, REPLACE, LivepatchAction.REPLACE, name, timeout_ns)


def _act(xen: Hypervisor, op: Operation, action: LivepatchAction, name: bytes, timeout_ns: int = 0) -> None:
    with _named(xen, name) as named:
        given: dict[str, Any] = {"action": {"cmd": action, "timeout": timeout_ns, **named}}
        sysctl(xen, op, "livepatch", cmd=LivepatchOp.ACTION, u=given)


@contextmanager
def _named(xen: Hypervisor, name: bytes) -> Iterator[dict[str, Any]]:
    with xen.pool.take(len(name) + 1) as text:
        text.fill(name + b"\0")
        yield {"name": {"name": text, "size": len(name) + 1}}


class _Whole(NamedTuple):
    """The list as it was when it was begun: its version, how many entries, and how many bytes of metadata."""

    version: int
    nr: int
    metadata_bytes: int


def _whole(xen: Hypervisor) -> _Whole:
    arm = sysctl(xen, LIVEPATCH_OP, "livepatch", cmd=LivepatchOp.LIST)
    return _Whole(arm.u.list.version, arm.u.list.nr, arm.u.list.metadata_total_size)


def _listed(xen: Hypervisor) -> list[Patch]:
    whole = _whole(xen)
    found: list[Patch] = []
    while len(found) < whole.nr:
        found += _some(xen, whole, len(found))
    return found


def _some(xen: Hypervisor, whole: _Whole, first: int) -> list[Patch]:
    """As many as Xen gives in one call, from the number `first` on; it stops where something else wants to run."""
    room = min(whole.nr - first, _MOST)
    sizes = {"name": Limit.XEN_LIVEPATCH_NAME_SIZE * room, "metadata": whole.metadata_bytes + _SPARE}
    with ExitStack() as loans:
        words = {"status": 8 * room, "len": 4 * room, "metadata_len": 4 * room}
        bufs = {name: loans.enter_context(xen.pool.take(size)) for name, size in (sizes | words).items()}
        asked = {"idx": first, "nr": room, **{f"{name}_total_size": size for name, size in sizes.items()}, **bufs}
        try:
            arm = sysctl(xen, LIVEPATCH_OP, "livepatch", cmd=LivepatchOp.LIST, u={"list": asked})
        except HypercallError as problem:
            if problem.errno in _CHANGED:  # it grew beyond the room, or shrank below the number
                raise _Changed from None
            raise
        given = whole.nr - first - arm.u.list.nr
        if arm.u.list.version != whole.version or not 0 < given <= room:
            raise _Changed
        return _parted({name: bytes(buf.memory) for name, buf in bufs.items()}, given)


def _parted(data: dict[str, bytes], count: int) -> list[Patch]:
    states = memoryview(data["status"])[: 8 * count].cast("i").tolist()
    names, metadata = (memoryview(data[name])[: 4 * count].cast("I").tolist() for name in ("len", "metadata_len"))
    found, at, beyond = [], 0, 0
    for index, (length, more) in enumerate(zip(names, metadata, strict=True)):
        name = data["name"][at : at + length].rstrip(b"\0")
        found.append(Patch(name, states[2 * index], -states[2 * index + 1], data["metadata"][beyond : beyond + more]))
        at, beyond = at + length, beyond + more
    return found
