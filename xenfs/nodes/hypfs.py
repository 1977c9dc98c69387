"""hypfs/: Xen's own tree, one to one, and host/params/, its runtime parameters."""

from __future__ import annotations

import errno
from typing import Any

from xenfs.abi.numbers import HypfsType
from xenfs.calls import hypfs
from xenfs.calls.hypfs import Entry
from xenfs.errors import BadInput, HypercallError, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, Each, File, Node
from xenfs.nodes.tables.conditions import answers

_TYPED = "decimal number, 0 or 1, or text"
_PARAMS = Entry("params", HypfsType.DIR, False, 0)


def _entries(xen: Hypervisor, *path: Entry) -> list[tuple[str, Entry]]:
    return [(entry.name, entry) for entry in hypfs.entries(xen, hypfs.path_of(path))]


def _find(xen: Hypervisor, *path_and_name: Any) -> Entry | None:
    *path, name = path_and_name
    return next((entry for found, entry in _entries(xen, *path) if found == name), None)


def typed(kind: int, data: bytes) -> str | bytes:
    """The text of a value of hypfs: strings without their NUL, numbers in decimal, booleans as 0 or 1."""
    if kind == HypfsType.STRING:
        return show.c_string(data)
    if kind == HypfsType.UINT:
        return str(int.from_bytes(data, "little"))
    if kind == HypfsType.INT:
        return str(int.from_bytes(data, "little", signed=True))
    return show.flag(any(data)) if kind == HypfsType.BOOL else data


def untyped(kind: int, nbytes: int, text: str) -> bytes:
    """The bytes for a text, of a value of `nbytes`; BadInput where the text is not of that type."""
    if kind == HypfsType.STRING:
        return text.encode() + b"\0"
    if kind == HypfsType.UINT:
        return parse.integer(0, 2 ** (8 * nbytes) - 1)(text).to_bytes(nbytes, "little")
    if kind == HypfsType.INT:
        top = 2 ** (8 * nbytes - 1)
        return parse.integer(-top, top - 1)(text).to_bytes(nbytes, "little", signed=True)
    if kind == HypfsType.BOOL:
        return int(parse.switch(text)).to_bytes(nbytes, "little")
    raise BadInput("binary values cannot be written", errno.EPERM)


def _read(xen: Hypervisor, *path: Entry) -> str | bytes:
    entry, data = hypfs.content(xen, hypfs.path_of(path))
    return typed(entry.type, data)


def _write(xen: Hypervisor, *path_and_text: Any) -> None:
    """What type and length it has is known since its directory was listed: text that is wrong costs no hypercall."""
    *path, text = path_and_text
    entry, where = path[-1], hypfs.path_of(tuple(path))
    data = untyped(entry.type, entry.size, text)
    try:
        hypfs.write(xen, where, data)
    except HypercallError as problem:
        raise XenfsError(f"Xen does not take this value for {where}: {problem}", problem.errno) from problem


_VALUE = File(
    "<name>", "A value of Xen's, typed: bool as 0 or 1", read=_read, call="hypfs_op read", format=_TYPED, long=True,
)  # fmt: skip
_SETTING = File(
    "<name>", "A setting of Xen's, typed: bool as 0 or 1",
    read=_read, write=_write, parse=lambda text: text, call="hypfs_op read, write_contents",
    format=_TYPED,
)  # fmt: skip


def _shape(entry: Entry) -> Node:
    return _DIRECTORY if entry.is_dir else _SETTING if entry.writable else _VALUE


_EACH = Each(label="<name>", list=_entries, find=_find, node=_shape, shapes=(_SETTING,))
_DIRECTORY = Dir("<name>", "A directory of Xen's", (_EACH,), volatile=True)
_present = answers(lambda xen: hypfs.entries(xen, "/"))

HYPFS = Dir("hypfs", "Xen's own tree, one to one", (_EACH,), when=_present, volatile=True)

_PARAMETER = File(
    "<name>", "A parameter of Xen's, typed: bool as 0 or 1", parse=lambda text: text,
    read=lambda xen, entry: _read(xen, _PARAMS, entry),
    write=lambda xen, entry, text: _write(xen, _PARAMS, entry, text),
    call="hypfs_op read, write_contents",
)  # fmt: skip
_FIXED = File(
    "<name>",
    "A parameter of Xen's that cannot change now",
    read=lambda xen, entry: _read(xen, _PARAMS, entry),
    call="hypfs_op read",
)

PARAMS = Dir(
    "params",
    "Runtime parameters of Xen, a file each",
    (
        Each(
            label="<name>",
            list=lambda xen: _entries(xen, _PARAMS),
            find=lambda xen, name: _find(xen, _PARAMS, name),
            node=lambda entry: _PARAMETER if entry.writable else _FIXED,
            shapes=(_PARAMETER,),
        ),
    ),
    when=answers(lambda xen: hypfs.entries(xen, "/params")),
)
