"""Where the members of a declared struct are, and how that differs from what a compiler measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xenfs.abi import Abi
from xenfs.abi.select import Version

# (offset, size) in bytes; of a bitfield (offset, size, bit, width): the unit's place, then the bits in it.
Place = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """Size of a struct or union, and the place of each member by its dotted path, such as "u.physinfo"."""

    size: int
    fields: dict[str, Place]


def layout(abi: Abi, name: str) -> Layout:
    """The layout of a declared type, such as "struct xen_sysctl"; nameless structs within are looked into."""
    fields: dict[str, Place] = {}
    size = abi.sizeof(name)
    _collect(abi.ffi, abi.ffi.typeof(name), "", 0, fields)
    return Layout(size, fields)


def differences(name: str, declared: Layout, measured: Layout) -> list[str]:
    """In words, one line each, where `declared` is not as `measured`; empty if they agree."""
    found = []
    if declared.size != measured.size:
        found.append(f"{name}: {declared.size} bytes, measured {measured.size}")
    for member in sorted(declared.fields.keys() | measured.fields.keys()):
        here, there = declared.fields.get(member), measured.fields.get(member)
        if here is None or there is None:
            found.append(f"{name}.{member}: {'not declared' if here is None else 'not in Xen'}")
        elif _bits(here) != _bits(there):
            found.append(f"{name}.{member}: {_words(here)}, measured {_words(there)}")
    return found


def measured_layouts(golden: Any, release: Version) -> dict[str, Layout]:
    """What the golden data of an architecture has for a release: layouts by tag ("xen_sysctl")."""
    return {
        tag: Layout(entry["size"], {member: tuple(place) for member, place in entry["fields"].items()})
        for tag, entry in _of_release(golden["structs"], release).items()
    }


def measured_constants(golden: Any, release: Version) -> dict[str, int]:
    """What the golden data of an architecture has for a release: values by Xen's name of the constant."""
    return {name: entry["value"] for name, entry in _of_release(golden["constants"], release).items()}


def version(text: str) -> Version:
    """(4, 17) of "4.17"."""
    return tuple(int(part) for part in text.split("."))


def _of_release(table: Any, release: Version) -> dict[str, Any]:
    return {
        name: entry
        for name, ranges in table.items()
        for entry in ranges
        if version(entry["since"]) <= release <= version(entry["until"])
    }


def _collect(ffi: Any, kind: Any, prefix: str, base: int, fields: dict[str, Place]) -> None:
    for name, field in kind.fields:
        start = base + field.offset
        if not name:
            _collect(ffi, field.type, prefix, base + field.offset, fields)
            continue
        fields[prefix + name] = _place(ffi, field, start)
        element = field.type
        while element.kind == "array":
            element = element.item
        if element.kind in ("struct", "union") and "$" in element.cname:
            _collect(ffi, element, f"{prefix}{name}.", start, fields)


def _place(ffi: Any, field: Any, start: int) -> Place:
    if field.bitsize >= 0:
        return start, ffi.sizeof(field.type), field.bitshift, field.bitsize
    if field.type.kind == "array" and field.type.length is None:
        return start, 0
    return start, ffi.sizeof(field.type)


def _bits(place: Place) -> tuple[int, int]:
    """First bit and number of bits. Compilers differ in the unit of a bitfield, never in its bits."""
    offset, size, *rest = place
    bit, width = rest or (0, 8 * size)
    return 8 * offset + bit, width


def _words(place: Place) -> str:
    offset, size, *rest = place
    return f"{rest[1]} bits at {offset}.{rest[0]}" if rest else f"{size} bytes at {offset}"
