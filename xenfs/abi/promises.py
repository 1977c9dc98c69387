"""How much memory each guest handle promises to Xen, by the members that stand beside it.

Xen believes them: it reads and writes so much behind the handle, whatever is there. The promise stands in the header,
beside its member, written as C writes an array: `guest_handle buffer;  //= char[count]`. The count is made of numbers
and members of the same struct, with +, - and *; `bit[nr_bits]` is rounded up to bytes; `uint8_t[]` is told by no
member. On a member that ends its struct, such as `uint8_t buf[];`, it says how much room follows the struct.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from xenfs.abi.select import MARK

_LINE = re.compile(r"(\w+)(?:\[\])?;\s*//=\s*([\w ]+?)\s*\[([\w.*+ -]*)\]\s*$")
_OPENS = re.compile(r"^\s*((?:struct|union)(?: (\w+))?) \{")
_CLOSES = re.compile(r"^\s*\}\s*(\w*);")
_COMMENT = re.compile(r"/\*.*?\*/")
_PIECE = re.compile(r"[+-]|[^+\s-][^+-]*")


class Sizes(Protocol):
    """Who knows how large a type is: `Abi`."""

    def sizeof(self, name: str) -> int: ...


@dataclass(frozen=True)
class Promise:
    """What lies behind a handle: `element`s of C ("uint32_t", "struct xen_vmemrange", "bit"), `count` of them."""

    element: str
    count: str

    def __str__(self) -> str:
        return f"{self.element}[{self.count}]"

    def elements(self, view: Any) -> int:
        """How many elements the struct promises, by its other members; 0 where none of them tells."""
        total, sign = 0, 1
        for piece in _PIECE.findall(self.count):
            if piece in "+-":
                sign = 1 if piece == "+" else -1
            else:
                total += sign * _product(piece, view)
        return total

    def nbytes(self, abi: Sizes, view: Any) -> int:
        """The same in bytes; `view` is the struct that the promise stands in, or a pointer to it."""
        count = self.elements(view)
        return -(-count // 8) if self.element == "bit" else count * abi.sizeof(self.element)


def _product(text: str, view: Any) -> int:
    result = 1
    for factor in text.split("*"):
        word = factor.strip()
        result *= int(word) if word.isdigit() else _member(view, word)
    return result


def _member(view: Any, path: str) -> int:
    for step in path.split("."):
        view = getattr(view, step)
    return int(view)


@cache
def promises(text: str) -> dict[tuple[str, str], Promise]:
    """All that a header promises: by struct ("struct xenctl_bitmap") and member, with dots inside nameless structs."""
    found: dict[tuple[str, str], Promise] = {}
    opened: list[tuple[str, list[tuple[str, Promise]]]] = []
    for line in text.splitlines():
        line = _COMMENT.sub("", line.partition(MARK)[0]).rstrip()
        if opening := _OPENS.match(line):
            opened.append((opening[1] if opening[2] else "", []))
        elif opened and (closing := _CLOSES.match(line)):
            tag, inside = opened.pop()
            if tag:
                found |= {(tag, path): promise for path, promise in inside}
            elif opened:
                opened[-1][1].extend(_under(closing[1], inside))
        elif opened and (promised := _LINE.search(line)):
            opened[-1][1].append((promised[1], Promise(promised[2], promised[3])))
    return found


def _under(name: str, inside: list[tuple[str, Promise]]) -> Iterator[tuple[str, Promise]]:
    for path, promise in inside:
        yield f"{name}.{path}" if name else path, promise
