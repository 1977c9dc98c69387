"""host/livepatch/: what has been patched into the running Xen, and how a live patch gets there and away again."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from xenfs.abi.numbers import Limit, LivepatchState
from xenfs.calls import livepatch
from xenfs.errors import BadInput, NotThere, XenfsError, answered_by, errno_name, meaning
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.asking import asking
from xenfs.nodes.tables.base import Dir, Each, File
from xenfs.nodes.tables.conditions import answers
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.forms import formed
from xenfs.nodes.tables.harmless import file_name
from xenfs.nodes.tables.payload import Payload

_STATES = {int(state): str(state.name).lower() for state in LivepatchState}
_EMPTY = "empty"  # there is the name, and nothing of that name in Xen
_MOST_BYTES = 2 << 20  # Xen takes no more
_TIMEOUT_MS, _LONGEST_MS = 30, 4000  # what xen-livepatch gives; Xen counts ns in 32 bits
_SLACK_S = 5.0  # beyond the time-out: Xen begins when the CPU that was asked is idle
_LOOK_S = 0.01
_MORE = "{} (host/console/log may say more)"
_NO_PATCH = {errno.EINVAL: "Xen takes it for no live patch, or for one that was built for another Xen"}
_NOT_NEXT = {errno.EINVAL: "it was built to follow another live patch than the last one that is applied"}
_NOT_LAST = {errno.EBUSY: "another live patch was applied after it: that one has to be reverted first"}
_NO_REPLACEMENT = {errno.EINVAL: "it was built to follow another live patch, and not to replace them all"}


def _listed(xen: Hypervisor) -> list[tuple[str, bytes]]:
    """(file name, name) of each; of names that come to the same file name the first."""
    found: dict[str, bytes] = {}
    for patch in livepatch.patches(xen):
        found.setdefault(file_name(patch.name), patch.name)
    for name in xen.announced.names():
        found.setdefault(file_name(name), name)
    found.pop("", None)
    return list(found.items())


def _find(xen: Hypervisor, wanted: str) -> bytes | None:
    return dict(_listed(xen)).get(wanted)


def _make(xen: Hypervisor, wanted: str) -> None:
    """mkdir: a name for a live patch that is to come."""
    name = wanted.encode("utf-8", "surrogateescape")
    if file_name(name) != wanted:
        raise BadInput("a live patch's name has only printable characters, and no %", at=0)
    if len(name) >= Limit.XEN_LIVEPATCH_NAME_SIZE:
        raise BadInput(f"a live patch's name has less than {int(Limit.XEN_LIVEPATCH_NAME_SIZE)} bytes", at=0)
    if _find(xen, wanted) is not None:
        raise XenfsError("there is a live patch of this name", errno.EEXIST)
    xen.announced.add(name, asking.get())


def _status(xen: Hypervisor, name: bytes) -> tuple[int, int] | None:
    """(LivepatchState, rc), None where only the name is there."""
    with answered_by(errno.ENOENT):
        return livepatch.status(xen, name)
    if name in xen.announced:
        return None
    raise NotThere(f"live patch: {show.text(name)}")


def _state(xen: Hypervisor, name: bytes) -> str:
    status = _status(xen, name)
    return _EMPTY if status is None else _STATES.get(status[0], str(status[0]))


def _rc(xen: Hypervisor, name: bytes) -> str:
    status = _status(xen, name)
    return errno_name(status[1]) if status and status[1] else "0"


def _metadata(xen: Hypervisor, name: bytes) -> str:
    """Each NUL-ended text on a line of its own, whatever it holds."""
    for patch in livepatch.patches(xen):
        if patch.name == name:
            texts = (text.decode("utf-8", "replace") for text in patch.metadata.split(b"\0") if text)
            return show.lines(text.replace("\r", "\\r").replace("\n", "\\n") for text in texts)
    if name in xen.announced:
        return ""
    raise NotThere(f"live patch: {show.text(name)}")


def _upload(xen: Hypervisor, name: bytes, payload: bytes) -> None:
    if not payload.startswith(b"\x7fELF"):
        raise BadInput("this is no ELF file", at=0)
    if _status(xen, name) is not None:
        raise BadInput("this live patch has its payload: rmdir it first", errno.EEXIST)
    with meaning(_NO_PATCH, _MORE):
        livepatch.upload(xen, name, payload)
    xen.announced.discard(name)


def _unload(xen: Hypervisor, name: bytes) -> None:
    """rmdir: what is not in force. Of one that is Xen would say EINVAL."""
    status = _status(xen, name)
    if status is None:
        xen.announced.discard(name)
        return
    if status[0] == LivepatchState.APPLIED:
        raise BadInput("this live patch is applied: it has to be reverted first", errno.EBUSY)
    livepatch.unload(xen, name)


class Switch(NamedTuple):
    """On or off, and how long all CPUs may take to come together."""

    on: bool
    timeout_ms: int


_TIME = f"timeout_ms=1 to {_LONGEST_MS}, {_TIMEOUT_MS} without"
_time = parse.integer(1, _LONGEST_MS, "time-out in ms")


@formed(f"0 or 1, and {_TIME}", ranged=True)
def switch(text: str) -> Switch:
    """As xen-livepatch apply and revert."""
    word, timeout_ms = _timed(text)
    return Switch(parse.switch(word), timeout_ms)


@formed(f"1, and {_TIME}", ranged=True)
def go(text: str) -> Switch:
    """The same of what is only switched on."""
    word, timeout_ms = _timed(text)
    return Switch(bool(parse.one(word)), timeout_ms)


def _timed(text: str) -> tuple[str, int]:
    word, blank, more = text.strip(" \t").partition(" ")
    if blank and not more.startswith("timeout_ms="):
        raise BadInput(f"only {_TIME} may follow", word=more or None, at=0)
    return word, _time(more.removeprefix("timeout_ms=")) if blank else _TIMEOUT_MS


def _enabled(xen: Hypervisor, name: bytes) -> bool:
    status = _status(xen, name)
    return status is not None and status[0] == LivepatchState.APPLIED


def _enable(xen: Hypervisor, name: bytes, wanted: Switch) -> None:
    if _ready(xen, name) is (LivepatchState.APPLIED if wanted.on else LivepatchState.CHECKED):
        return
    if wanted.on:
        with meaning(_NOT_NEXT, _MORE):
            _act(xen, name, livepatch.apply, wanted, LivepatchState.APPLIED)
    else:
        with meaning(_NOT_LAST, _MORE):
            _act(xen, name, livepatch.revert, wanted, LivepatchState.CHECKED)


def _replace(xen: Hypervisor, name: bytes, wanted: Switch) -> None:
    if _ready(xen, name) is LivepatchState.APPLIED:
        raise BadInput("this live patch is applied already", errno.EBUSY, at=0)
    with meaning(_NO_REPLACEMENT, _MORE):
        _act(xen, name, livepatch.replace, wanted, LivepatchState.APPLIED)


def _ready(xen: Hypervisor, name: bytes) -> LivepatchState:
    """Its state, of one that something can be done to."""
    status = _status(xen, name)
    if status is None:
        raise BadInput("there is nothing of this name yet: its payload is to be written first", at=0)
    if status[1] == errno.EAGAIN:
        raise BadInput("Xen is at this live patch", errno.EBUSY, at=0)
    return LivepatchState(status[0])


def _act(
    xen: Hypervisor,
    name: bytes,
    action: Callable[[Hypervisor, bytes, int], None],
    wanted: Switch,
    expected: LivepatchState,
) -> None:
    """Begin, and wait for what becomes of it; EAGAIN where Xen is still at it after all the time that it had."""
    action(xen, name, wanted.timeout_ms * 1_000_000)
    until = time.monotonic() + wanted.timeout_ms / 1000 + _SLACK_S
    while True:
        state, rc = livepatch.status(xen, name)
        if rc != errno.EAGAIN:
            break
        if time.monotonic() > until:
            raise XenfsError("Xen is still at it: state and rc tell when it is over", errno.EAGAIN)
        time.sleep(_LOOK_S)
    if rc or state != expected:
        raise XenfsError(f"this ended with {errno_name(rc or errno.EINVAL)}", rc or errno.EINVAL)


_ONE: dict[str, Any] = {"call": livepatch.LIVEPATCH_OP.name, "tier": "B", "wakes": True}
_WRITES: dict[str, Any] = {"option": "debug", "tier": "C", "write_grows": Cost.WAITS}

_PATCH = Dir(
    "<patch>",
    "A live patch",
    (
        File(
            "state", "checked, or applied while it is in force; empty without a payload. poll(2) tells of a change",
            read=_state, format="empty, checked or applied", **_ONE,
        ),
        File(
            "rc", "0, or the errno that the last action ended with; EAGAIN while it goes on", read=_rc,
            format="0 or the name of an errno", **_ONE,
        ),
        File(
            "metadata", "What its makers say about it: key=value lines", read=_metadata, format="key=value lines",
            call=livepatch.LIVEPATCH_OP.name, tier="B", grows=Cost.LENGTH,
        ),
        Payload(
            "payload",
            f"Write the live patch, an ELF file of up to {_MOST_BYTES >> 20} MiB: Xen has it when it is closed",
            write=_upload, most=_MOST_BYTES, errnos="EFBIG EEXIST EINVAL EINTR", format="binary",
            call=f"({livepatch.LIVEPATCH_OP.name}), {livepatch.UPLOAD.name}", **_WRITES,
        ),
        File(
            "enabled", "Whether it is in force; write 1 to apply it, 0 to revert it, which may end the host",
            read=_enabled, show=show.flag, write=_enable, parse=switch, errnos="EAGAIN EBUSY EINVAL",
            call=f"{livepatch.LIVEPATCH_OP.name}, {livepatch.APPLY.name}, {livepatch.REVERT.name}", tier="C",
            write_option="debug", write_grows=Cost.WAITS,
        ),
        File(
            "replace", "Write 1: all others are reverted and this one applied, which may end the host", write=_replace,
            parse=go, errnos="EAGAIN EBUSY EINVAL",
            call=f"({livepatch.LIVEPATCH_OP.name}), {livepatch.REPLACE.name}", **_WRITES,
        ),
    ),
    remove=_unload,
    make_option="debug",
    call=f"({livepatch.LIVEPATCH_OP.name}), {livepatch.UNLOAD.name}",
    tier="C",
)  # fmt: skip

LIVEPATCH = Dir(
    "livepatch",
    "Live patches, by name; mkdir makes a name for one that is to come",
    (Each(label="<patch>", list=_listed, find=_find, node=_PATCH),),
    make=_make,
    make_option="debug",
    call=f"({livepatch.LIVEPATCH_OP.name})",
    when=answers(livepatch.count),
    volatile=True,
    grows=Cost.LENGTH,
    find_grows=Cost.LENGTH,
    tier="C",
)
