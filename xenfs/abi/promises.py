"""How much memory each guest handle promises to Xen, by the members that stand beside it.

Xen believes them: it reads and writes so much behind the handle, whatever is there. The promise stands in the header,
beside its member, written as C writes an array: `guest_handle buffer;  //= char[count]`. The count is made of numbers
and members of the same struct, with +, - and *; `bit[nr_bits]` is rounded up to bytes; `uint8_t[]` is told by no
member. `or null` behind it: Xen takes a null handle too, whatever the others say, mostly to tell how much there is.
`ending in 0`: Xen, or the firmware that it asks, reads on to a zero of two bytes. `led by its size`: Xen reads how much
there is from the first two bytes.
On a member that ends its struct, such as `uint8_t buf[];`, it says how much room follows the struct.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from xenfs.abi.select import MARK

_LINE = re.compile(r"(\w+)(?:\[\])?;\s*//=\s*(.*?)\s*$")
_PROMISE = re.compile(r"([\w ]+?)\s*\[([\w.*+ -]*)\]( or null| ending in 0| led by its size)?")
_OPENS = re.compile(r"^\s*((?:struct|union)(?: (\w+))?) \{")
_CLOSES = re.compile(r"^\s*\}\s*(\w*);")
_COMMENT = re.compile(r"/\*.*?\*/")
_MEMBER = re.compile(r"[\w.]+")
_PIECE = re.compile(r"[+-]|[^+\s-][^+-]*")


class Sizes(Protocol):
    """Who knows how large a type is: `Abi`."""

    def sizeof(self, name: str) -> int: ...


@dataclass(frozen=True)
class Promise:
    """What lies behind a handle: `element`s of C ("uint32_t", "struct xen_vmemrange", "bit"), `count` of them.

    `optional`: it may be null all the same. `content`: what has to be in it, see above.
    """

    element: str
    count: str
    optional: bool = False
    content: str = ""

    @classmethod
    def read(cls, text: str) -> Promise:
        """A promise as headers spell it: "uint32_t[nr_vcpus]"."""
        found = _PROMISE.fullmatch(text)
        assert found is not None, f"not a promise: {text}"
        optional = found[3] == " or null"
        return cls(found[1], found[2], optional, "" if optional or not found[3] else found[3].strip())

    def __str__(self) -> str:
        return f"{self.element}[{self.count}]{' or null' if self.optional else ''} {self.content}".rstrip()

    @property
    def members(self) -> list[str]:
        """The members that the count is made of, by their paths."""
        return [word for word in _MEMBER.findall(self.count) if not word.isdigit()]

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

    def doubt(self, memory: bytes) -> str:
        """What is wrong with the content that Xen would go by, in words; `memory` is all that it may read."""
        if self.content == "ending in 0" and not any(memory[at : at + 2] == b"\0\0" for at in range(0, len(memory), 2)):
            return "has no zero of two bytes at its end, and Xen reads on to one"
        if self.content == "led by its size" and int.from_bytes(memory[:2], "little") > len(memory):
            return f"begins with a size of more than the {len(memory)} bytes that are there"
        return ""


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
            opened[-1][1].append((promised[1], Promise.read(promised[2])))
    return found


def _under(name: str, inside: list[tuple[str, Promise]]) -> Iterator[tuple[str, Promise]]:
    for path, promise in inside:
        yield f"{name}.{path}" if name else path, promise
