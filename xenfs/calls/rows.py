"""Many equal structs at once: the offsets come from the declarations, the unpacking from one struct.Struct."""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from xenfs.abi import Abi
from xenfs.politely import politely

Item = TypeVar("Item")
_FREED = 16  # rows in one step
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


def packer(abi: Abi, name: str, *members: str) -> struct.Struct:
    """What packs members of a struct, in the order in which they lie there; all else of it is zero."""
    nbytes = abi.sizeof(name)  # parses its header
    code, at = "<", 0
    for member in members:
        offset, kind = place(abi, name, member)
        size = abi.ffi.sizeof(kind)
        code += f"{offset - at}x" + _code(kind, size)
        at = offset + size
    return struct.Struct(f"{code}{nbytes - at}x")


def repeated(abi: Abi, name: str, struct: bytes, members: Mapping[str, Sequence[int]]) -> bytearray:
    """A struct's bytes, once for each number of the lists, with those numbers at the members that have them.

    A member of all of them is set in one step, which takes a tenth of packing one struct after the other.
    """
    memory = bytearray(struct * len(next(iter(members.values()))))
    for member, numbers in members.items():
        offset, kind = place(abi, name, member)
        nbytes = abi.ffi.sizeof(kind)
        code: Any = _CODES[nbytes]
        memoryview(memory).cast(code)[offset // nbytes :: len(struct) // nbytes] = memoryview(array(code, numbers))
    return memory


class Rows:
    """Unpacks chosen members of a struct (dots lead into members), in order. One that a release lacks reads as 0."""

    def __init__(self, abi: Abi, name: str, members: tuple[str, ...]) -> None:
        self.stride = abi.sizeof(name)
        places = sorted(((*place(abi, name, m), m) for m in members if abi.has(name, m)), key=lambda found: found[0])
        code, at = ["<"], 0
        for offset, kind, _ in places:
            nbytes = abi.ffi.sizeof(kind)
            code.append(f"{offset - at}x" + _code(kind, nbytes))
            at = offset + nbytes
        self._format = struct.Struct("".join(code) + f"{self.stride - at}x")
        self._columns = [_column(offset, abi.ffi.sizeof(kind), self.stride) for offset, kind, _ in places]
        order = [member for _, _, member in places]
        self._order = None if order == list(members) else [order.index(m) if m in order else -1 for m in members]

    def one(self, memory: bytes | memoryview, at: int = 0) -> tuple[Any, ...]:
        """The members of the one struct that begins at byte `at`."""
        row = self._format.unpack_from(memory, at)
        return row if self._order is None else tuple(row[i] if i >= 0 else 0 for i in self._order)

    def columns(self, memory: memoryview, count: int) -> bytes:
        """The members of the first `count` structs, column by column: equal where all their rows are."""
        memory, found = memory[: count * self.stride], list[bytes]()
        for code, first, width, step in self._columns:
            words = memory.cast(code)
            found += [words[at::step].tobytes() for at in range(first, first + width)]
        return b"".join(found)

    def __call__(self, memory: bytes | memoryview, count: int) -> Iterator[tuple[Any, ...]]:
        """The members of each of the first `count` structs in `memory`."""
        rows = self._format.iter_unpack(memory[: count * self.stride])
        if self._order is None:
            return rows
        return (tuple(row[i] if i >= 0 else 0 for i in self._order) for row in rows)


def place(abi: Abi, name: str, member: str) -> tuple[int, Any]:
    """(offset, type) of a member, by its dotted path, in a struct whose header has been parsed.

    AttributeError where this release has no such member, as of any object of Python's.
    """
    kind, offset = abi.ffi.typeof(name), 0
    for step in member.split("."):
        found = dict(kind.fields).get(step)
        if found is None:
            raise AttributeError(f"{name} has no {member} in {abi!r}")
        kind, offset = found.type, offset + found.offset
    return offset, kind


def _column(offset: int, nbytes: int, stride: int) -> tuple[Any, int, int, int]:
    """A member of many structs as words: (code of one, the first, how many there are in a member, and in a struct)."""
    word = math.gcd(offset, nbytes, stride, 8)
    return _CODES[word], offset // word, nbytes // word, stride // word


def _code(kind: Any, nbytes: int) -> str:
    if kind.kind == "array":
        return f"{nbytes}s"
    code = _CODES[nbytes]
    return code.lower() if kind.cname.startswith("int") else code


def freed(items: list[Item]) -> Iterator[Item]:
    """Each in turn, taken out of the list: to free ten thousand rows at once keeps other threads waiting for 10 ms."""
    items.reverse()
    while items:
        yield items.pop()


def free(items: list[Any] | dict[Any, Any]) -> None:
    """The same where nobody wants them any more."""
    for _ in politely(range(0, len(items), _FREED), 1):
        if isinstance(items, list):
            del items[-_FREED:]
        else:
            for _ in range(min(_FREED, len(items))):
                items.popitem()


def free_parts(parts: list[Sequence[Any]]) -> None:
    """The same of several lists, which somebody else may have as well, or rows of them."""
    while parts:
        free(list(parts.pop()))
