"""Structs of which only plain numbers, or bytes, are set: packed in one step, and read no further than is looked at.

Most operations pass such a one. cffi would take a step for each member, and a copy more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from xenfs.abi import Abi
from xenfs.calls.rows import packer, place


class Plain(NamedTuple):
    """`pack(*values)` makes a struct's bytes of the members that it was made for; `lay` shows what an answer says."""

    pack: Callable[..., bytes]
    lay: Callable[[bytes], Any]


@cache
def plain(abi: Abi, struct: str, head: tuple[str, ...], arm: str = "", members: tuple[str, ...] = ()) -> Plain:
    """How a struct is packed of its members `head` and those of its arm ("u.physinfo"), all by their dotted paths.

    An answer is laid out as that arm, or as the struct where it has none.
    """
    abi.sizeof(struct)  # parses its header
    paths = [*head, *(f"{arm}.{member}" for member in members)]
    order = sorted(paths, key=lambda path: place(abi, struct, path)[0])
    pack: Callable[..., bytes] = packer(abi, struct, *order).pack
    if order != paths:
        in_order, sources = pack, [paths.index(path) for path in order]
        pack = lambda *values: in_order(*[values[source] for source in sources])  # noqa: E731
    return Plain(pack, _over(abi, struct, arm))


def _over(abi: Abi, struct: str, arm: str) -> Callable[[bytes], Any]:
    """What makes a struct pointer of an answer's bytes, which lives as long as it is held."""
    from_buffer, pointer = abi.ffi.from_buffer, abi.ffi.typeof(f"{struct} *")
    if not arm:
        return lambda answer: from_buffer(pointer, answer)
    begin, kind = place(abi, struct, arm)
    end = begin + abi.ffi.sizeof(kind)
    pointer = abi.ffi.typeof(abi.ffi.getctype(kind, "*"))
    return lambda answer: from_buffer(pointer, answer[begin:end])
