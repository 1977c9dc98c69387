"""Laying cffi types over buffers: struct pointers, and guest handles that point to other buffers."""

from __future__ import annotations

from typing import Any, TypeAlias

from xenfs.pool.libc import ffi as own_ffi

FieldPath: TypeAlias = str | tuple[str | int, ...]
"""A field of a struct: its name, or the way to it through members and array elements."""

_POINTERS: dict[tuple[Any, str], tuple[Any, int]] = {}
_HANDLES: dict[Any, Any] = {}
_WORD = own_ffi.typeof("uintptr_t")


def pointer_to(ffi: Any, ctype: str) -> tuple[Any, int]:
    """The pointer type to `ctype` and its size in bytes, looked up once for each cffi instance."""
    known = _POINTERS.get((ffi, ctype))
    if known is None:
        known = _POINTERS[ffi, ctype] = ffi.typeof(f"{ctype} *"), ffi.sizeof(ctype)
    return known


def struct_name(view: Any) -> str:
    """What a struct, or a pointer to one, is declared as: "struct xen_sysctl"."""
    return str(own_ffi.typeof(view).cname).removesuffix(" *")


def place_of(view: Any, field: FieldPath) -> tuple[Any, int]:
    """A cffi pointer to the handle `field` of a struct view, and its address; TypeError when it is no handle."""
    place = own_ffi.addressof(view, *((field,) if isinstance(field, str) else field))
    kind = own_ffi.typeof(place)
    if kind not in _HANDLES:
        _HANDLES[kind] = _handle_type(kind.item, field)
    return place, int(own_ffi.cast(_WORD, place))


def point(place: Any, address: int) -> None:
    """Write an address, or 0 for null, into a handle. cffi has seen to it that no plain integer gets there."""
    place[0] = own_ffi.cast(_HANDLES[own_ffi.typeof(place)], address)


def address_in(place: int) -> int:
    """The address that the handle at `place` holds now."""
    return int(own_ffi.cast("uint64_t *", place)[0])


def _handle_type(kind: Any, field: FieldPath) -> Any:
    # A word of eight bytes is how multicall entries and some older structs spell a pointer.
    if kind.kind == "pointer" or (kind.kind == "primitive" and own_ffi.sizeof(kind) == 8):
        return kind
    raise TypeError(f"{field} is a {kind.cname}, not a guest handle")
