"""A struct of Xen's as flat keyed text: every member by its own name, so that nothing is left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xenfs.abi import Abi
from xenfs.nodes.tables import show


def members(abi: Abi, view: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(name, text) of each member of a struct or a pointer to one, padding left out, nested ones with dots."""
    kind = abi.ffi.typeof(view)
    if kind.kind == "pointer":
        kind = kind.item
    for name, member in kind.fields:
        value = getattr(view, name)
        if name.lstrip("_").startswith("pad"):
            continue
        if member.type.kind == "struct":
            yield from members(abi, value, f"{prefix}{name}.")
        elif member.type.kind == "array" and member.type.item.kind == "struct":
            for index, each in enumerate(value):
                yield from members(abi, each, f"{prefix}{name}.{index}.")
        elif member.type.kind == "array" and member.type.item.cname == "char":
            yield prefix + name, show.c_string(bytes(abi.ffi.buffer(value)))
        elif member.type.kind == "array":
            width = 2 * abi.ffi.sizeof(member.type.item)
            yield prefix + name, ":".join(f"{word:0{width}x}" for word in value)
        elif member.type.kind == "primitive":
            yield prefix + name, str(int(value))
