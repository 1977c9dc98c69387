"""host/dt_overlay/ and domains/<d>/dt_overlay: overlays of the device tree, as `dtc -@` makes them."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from xenfs.calls import device_tree
from xenfs.errors import BadInput, HypercallError, errno_name
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.tables.base import Dir
from xenfs.nodes.tables.conditions import every, known, since, x86
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.payload import Payload

_HEADER = struct.Struct(">10I")
_MAGIC, _VERSION, _LAST_COMPATIBLE = 0xD00DFEED, 17, 16
_BEGIN, _END, _PROPERTY, _NOTHING, _FINISH = 1, 2, 3, 4, 9
_DEEPEST = 32
_OVERLAY = "__overlay__"
_LIBFDT = ("", "a target is not there", "a node is there already", "there is no room")  # its first errors
_LAST_OF_LIBFDT = 19
_NO_OVERLAY = "this is no overlay of a device tree, or it is torn"


def _torn(why: str) -> BadInput:
    return BadInput(f"{_NO_OVERLAY}: {why}", at=0)


def checked(blob: bytes) -> bytes:
    """The same bytes; EINVAL for what Xen would stumble over: it trusts them before it has looked at them."""
    if len(blob) < _HEADER.size:
        raise _torn("it is shorter than a header")
    magic, size, structure, strings, reserved, version, compatible, _, nr_strings, nbytes = _HEADER.unpack_from(blob)
    if (magic, size) != (_MAGIC, len(blob)):
        raise _torn(f"it does not begin with {_MAGIC:#x} and its own size")
    if version < _VERSION or compatible > _VERSION:
        raise _torn(f"it is of version {version}, not {_VERSION}")
    if (
        structure % 4
        or structure + nbytes > size
        or strings + nr_strings > size
        or reserved % 8
        or reserved > size - 16
    ):
        raise _torn("a part of it lies outside")
    names = blob[strings : strings + nr_strings]
    if names and names[-1]:
        raise _torn("its last name does not end")
    paths = list(_nodes(blob[structure : structure + nbytes], names))
    _require_overlay(paths)
    return blob


def _nodes(data: bytes, names: bytes) -> Iterator[tuple[tuple[str, ...], frozenset[str]]]:
    """Each node, with the names of its properties, as it ends: the way down to it, the root is ("",)."""
    way: list[str] = []
    properties: list[set[str]] = []
    at = 0
    while True:
        (token,) = _words(data, at, 1)
        at += 4
        if token == _BEGIN:
            end = data.find(b"\0", at)
            if end < 0 or len(way) >= _DEEPEST or bool(way) != (end > at):
                raise _torn("a node has no name, or lies too deep")
            way.append(data[at:end].decode("latin-1"))
            properties.append(set())
            at = end + 4 & ~3
        elif token == _PROPERTY and way:
            size, name = _words(data, at, 2)
            at += 8
            if name >= len(names) or at + size > len(data):
                raise _torn("a property lies outside")
            properties[-1].add(names[name : names.index(b"\0", name)].decode("latin-1"))
            at = at + size + 3 & ~3
        elif token == _END and way:
            yield tuple(way), frozenset(properties.pop())
            way.pop()
        elif token == _FINISH and not way:
            return
        elif token != _NOTHING:
            raise _torn(f"there is {token:#x} where something else has to be")


def _words(data: bytes, at: int, count: int) -> tuple[int, ...]:
    if at + 4 * count > len(data):
        raise _torn("its end is missing")
    return struct.unpack_from(f">{count}I", data, at)


def _require_overlay(nodes: list[tuple[tuple[str, ...], frozenset[str]]]) -> None:
    """One root with fragments: each says where it belongs, and some bring nodes."""
    fragments = {way[:2] for way, _ in nodes if len(way) == 3 and way[2] == _OVERLAY}
    if sum(len(way) == 1 for way, _ in nodes) != 1 or not fragments:
        raise _torn(f"no fragment in it has an {_OVERLAY}")
    for way, properties in nodes:
        if way in fragments and not properties & {"target", "target-path"}:
            raise _torn(f"{way[1]} does not say where it belongs")
    if not any(len(way) == 4 and way[2] == _OVERLAY for way, _ in nodes):
        raise BadInput("no node is in it, and Xen adds nothing else", at=0)


@contextmanager
def _in_words(**why: str) -> Iterator[None]:
    """What Xen's errno means; an error of libfdt's comes as one, and is EINVAL here."""
    try:
        yield
    except HypercallError as problem:
        name = errno_name(problem.errno)
        if name in why:
            raise BadInput(f"{why[name]} (host/console/log says more)", problem.errno, at=0) from problem
        if problem.errno > _LAST_OF_LIBFDT or problem.errno in (errno.ENOMEM, errno.EFAULT):
            raise
        meant = _LIBFDT[problem.errno] if problem.errno < len(_LIBFDT) else "host/console/log says more"
        raise BadInput(f"libfdt's error {problem.errno}: {meant}", at=0) from problem


def _changed(change: Callable[[Hypervisor, bytes], None], why: str) -> Callable[[Hypervisor, bytes], None]:
    def write(xen: Hypervisor, blob: bytes) -> None:
        with _in_words(EINVAL=why):
            change(xen, checked(blob))

    return write


def _attach(xen: Hypervisor, domain: Domain, blob: bytes) -> None:
    with _in_words(
        EINVAL="these bytes were not added through host/dt_overlay/add",
        EOPNOTSUPP="the addresses of this domain are not those of the machine",
    ):
        device_tree.attach(xen, domain.domid, checked(blob))


# FLASK does not know the operation: it is EPERM to everybody while a policy is enforced.
_has_overlays = every(lambda xen: not x86(xen), since(4, 18), known(device_tree.has_overlays, errno.EPERM))
_OVERLAYS: dict[str, Any] = {
    "most": device_tree.MOST_BYTES, "format": "binary: an overlay of a device tree", "tier": "C", "option": "debug",
    "write_grows": Cost.WAITS, "errnos": "EFBIG EINVAL EINTR ENOMEM",
}  # fmt: skip

DT_OVERLAY = Dir(
    "dt_overlay",
    "Nodes of the device tree that come and go while Xen runs",
    (
        Payload(
            "add", "Write an overlay, as dtc makes it: its nodes are in Xen's device tree when the file is closed",
            write=_changed(device_tree.add, "Xen does not take it: a node is there already, or its target is not"),
            call=device_tree.ADD.name, **_OVERLAYS,
        ),
        Payload(
            "remove", "Write an overlay once more, byte by byte: its nodes go",
            write=_changed(device_tree.remove, "these bytes were not added, or a guest has a node of them"),
            call=device_tree.REMOVE.name, **_OVERLAYS,
        ),
    ),
    when=_has_overlays,
)  # fmt: skip

ATTACH = Payload(
    "dt_overlay", "Write an overlay that host/dt_overlay/add has: the domain may use its memory and interrupts",
    write=_attach, when=every(_has_overlays, since(4, 19)), call=device_tree.ATTACH.name,
    **{**_OVERLAYS, "errnos": "EFBIG EINVAL EINTR ENOMEM EOPNOTSUPP"},
)  # fmt: skip
