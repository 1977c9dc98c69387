"""What a question may name: the members of an operation's struct, nested ones with dots, elements by their number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple

from xenfs.abi import Abi
from xenfs.abi.operations import Operation, Way, shape
from xenfs.abi.promises import Promise

_MOST_ELEMENTS = 256  # of an array of structs: each has members of its own
ARGUMENT = -1


class Kind(Enum):
    """What a member is, and so how it is written."""

    INT = "number"
    BITS = "bits"
    INTS = "numbers"
    BYTES = "bytes"
    HANDLE = "handle"
    TAIL = "tail"  # bytes that follow the struct, as many as another member says


class Leaf(NamedTuple):
    """A member that holds a value: where it lies, and what fits.

    `offset` is from the start of what is passed on, ARGUMENT where it travels by itself. `size` is that of one element
    in bytes, of bits that of the word that they are in. `promise` tells what is behind a handle, `within` the struct
    that it stands in; `steps` is the way to it.
    """

    name: str
    kind: Kind
    way: Way
    offset: int
    size: int
    length: int = 1
    signed: bool = False
    text: bool = False
    shift: int = 0
    width: int = 0
    promise: Promise | None = None
    within: tuple[str, ...] = ()
    steps: tuple[str | int, ...] = ()

    @property
    def bounds(self) -> tuple[int, int]:
        """The lowest and the highest number that an element can hold."""
        bits = self.width or 8 * self.size
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if self.signed else (0, (1 << bits) - 1)

    def overlaps(self, other: Leaf) -> bool:
        """Whether two members have bits in common: arms of one union."""
        if ARGUMENT in (self.offset, other.offset):
            return False
        (first, last), (low, high) = self.bits, other.bits
        return first < high and low < last

    @property
    def bits(self) -> tuple[int, int]:
        """Its first bit, from the start of what is passed on, and the first behind it."""
        start = 8 * self.offset + self.shift
        return start, start + (self.width or 8 * self.size * self.length)

    @property
    def padding(self) -> bool:
        """Whether it is only there so that others lie where they lie."""
        return self.name.rpartition(".")[2].lstrip("_").startswith(("pad", "rsvd"))

    @property
    def words(self) -> str:
        """Its type in words."""
        sign = "signed " if self.signed else ""
        promised = f" to {self.promise}" if self.promise is not None else ""
        return {
            Kind.HANDLE: f"buffer{promised}",
            Kind.TAIL: f"bytes behind the struct, {self.promise}",
            Kind.BYTES: f"{self.length} bytes in hexadecimal" + (", or text:" if self.text else ""),
            Kind.INTS: f"{self.length} {sign}numbers of {8 * self.size} bits with commas between",
        }.get(self.kind, f"{sign}number of {self.width or 8 * self.size} bits")


def leaves(abi: Abi, op: Operation) -> dict[str, Leaf]:
    """Every leaf of an operation by name. Of two with one name the header's has it; the other has its arm's before."""
    return _without_addresses(_all(abi, op))


def rivals(found: Mapping[str, Leaf]) -> dict[str, list[str]]:
    """The members that lie, in part at least, where another does, as arms of a union: by name, the names of those."""
    there: dict[str, list[str]] = {}
    open_: list[Leaf] = []
    for leaf in sorted((leaf for leaf in found.values() if leaf.offset != ARGUMENT), key=lambda leaf: leaf.bits):
        open_ = [other for other in open_ if other.overlaps(leaf)]
        for other in open_:
            there.setdefault(leaf.name, []).append(other.name)
            there.setdefault(other.name, []).append(leaf.name)
        open_.append(leaf)
    return there


def _without_addresses(found: dict[str, Leaf]) -> dict[str, Leaf]:
    """Without the numbers that lie where a handle does: an address is never a number."""
    handles = [leaf for leaf in found.values() if leaf.kind is Kind.HANDLE]
    return {
        name: leaf for name, leaf in found.items()
        if leaf.kind is Kind.HANDLE or not any(leaf.overlaps(handle) for handle in handles)
    }  # fmt: skip


def _all(abi: Abi, op: Operation) -> dict[str, Leaf]:
    found: dict[str, Leaf] = {}
    for member in shape.members(abi, op):
        for leaf in _of(abi, op, member):
            name = leaf.name if leaf.name not in found else f"{op.arm.rpartition('.')[2]}.{leaf.name}"
            found[name] = leaf._replace(name=name)
    return found


def elements(abi: Abi, promise: Promise | None, arms: str = "") -> dict[str, Leaf]:
    """The members of one element of what a handle promises, by their names in it; none where it is no struct. `arms`:
    the only ones with dots that there are (see `Operation`)."""
    if promise is None or not promise.element.startswith(("struct ", "union ")):
        return {}
    abi.sizeof(promise.element)
    start = Leaf("", Kind.INT, Way.BOTH, 0, 8)
    found = [leaf._replace(name=leaf.name[1:]) for leaf in _typed(abi.ffi, abi.ffi.typeof(promise.element), start)]
    known = {
        leaf.name: leaf._replace(promise=abi.promise(promise.element, leaf.name))
        for leaf in found if not arms or "." not in leaf.name or leaf.name in arms.split()
    }  # fmt: skip
    return _without_addresses(known)


def _of(abi: Abi, op: Operation, member: shape.Member) -> Iterator[Leaf]:
    argument = {each.name: each.kind for each in (*op.arguments, *op.further)}.get(member.name, "")
    plain = Leaf(member.name, Kind.INT, member.way, ARGUMENT, 8, promise=member.promise)
    if member.ctype is None:
        yield plain._replace(kind=Kind.HANDLE)
    elif argument == "plain" and member.path == member.name:
        yield plain._replace(size=abi.ffi.sizeof(member.ctype), signed=_signed(abi.ffi, member.ctype))
    else:
        yield from _in_struct(abi, op, member, plain)


def _in_struct(abi: Abi, op: Operation, member: shape.Member, plain: Leaf) -> Iterator[Leaf]:
    steps = tuple(member.path.split(".")) if member.path else ()
    within = tuple(member.within.split(".")) if member.within else ()
    offset, field = _place(abi.ffi.typeof(op.struct), steps)
    leaf = plain._replace(offset=offset, within=within, steps=steps)
    if field is not None and field.bitsize >= 0:
        yield leaf._replace(kind=Kind.BITS, size=abi.ffi.sizeof(field.type), shift=field.bitshift, width=field.bitsize)
    else:
        yield from _typed(abi.ffi, member.ctype, leaf)


def _typed(ffi: Any, kind: Any, leaf: Leaf) -> Iterator[Leaf]:
    if kind.kind in ("struct", "union"):
        for name, field in kind.fields:
            inner = leaf._replace(
                name=f"{leaf.name}.{name}".removesuffix("."), offset=leaf.offset + field.offset,
                steps=(*leaf.steps, name) if name else leaf.steps,
            )  # fmt: skip
            yield from _typed(ffi, field.type, inner)
    elif kind.kind == "array":
        yield from _array(ffi, kind, leaf)
    elif kind.kind == "pointer":
        yield leaf._replace(kind=Kind.HANDLE, size=ffi.sizeof(kind))
    elif leaf.promise is not None and ffi.sizeof(kind) == 8:  # how some structs spell a pointer
        yield leaf._replace(kind=Kind.HANDLE, size=8)
    else:
        yield leaf._replace(size=ffi.sizeof(kind), signed=_signed(ffi, kind))


def _array(ffi: Any, kind: Any, leaf: Leaf) -> Iterator[Leaf]:
    item, size = kind.item, ffi.sizeof(kind.item)
    if kind.length is None:
        yield leaf._replace(kind=Kind.TAIL, size=1, length=0, text=item.cname == "char")
    elif item.kind in ("struct", "union", "array", "pointer") and kind.length <= _MOST_ELEMENTS:
        for index in range(kind.length):
            at = leaf.offset + index * size
            yield from _typed(
                ffi, item, leaf._replace(name=f"{leaf.name}.{index}", offset=at, steps=(*leaf.steps, index))
            )
    elif item.kind in ("primitive", "enum") and size > 1:
        yield leaf._replace(kind=Kind.INTS, size=size, length=kind.length, signed=_signed(ffi, item))
    else:
        yield leaf._replace(kind=Kind.BYTES, size=1, length=kind.length * size, text=item.cname == "char")


def _place(kind: Any, steps: tuple[str, ...]) -> tuple[int, Any]:
    """(offset, field) of a member by its path; nameless structs on the way are looked into."""
    offset, field = 0, None
    for step in steps:
        more, field = _field(kind, step)
        offset, kind = offset + more, field.type
    return offset, field


def _field(kind: Any, name: str) -> tuple[int, Any]:
    for own, field in kind.fields:
        if own == name:
            return field.offset, field
        if not own:
            try:
                more, found = _field(field.type, name)
            except KeyError:
                continue
            return field.offset + more, found
    raise KeyError(name)


def _signed(ffi: Any, kind: Any) -> bool:
    return kind.cname not in ("char", "_Bool") and int(ffi.cast(kind, -1)) < 0  # a char is a byte
