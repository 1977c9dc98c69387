"""The form of an operation on one Xen: what can be said in a question, what an answer has, and how it is explained."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from xenfs.abi import Abi
from xenfs.abi.operations import Does, Operation, Way, shape
from xenfs.abi.select import holds
from xenfs.nodes.raw.leaves import ARGUMENT, Kind, Leaf, elements, leaves, rivals
from xenfs.nodes.raw.words import packed

_DOES = {
    Does.LOOKS: "changes nothing",
    Does.CHANGES: "changes the host or a domain",
    Does.ENDS: "ends a domain",
}
_REACHES = {
    "domain": "without such a domain Xen would end: it is refused",
    "vcpu": "without a vCPU Xen would end: a domain that is still being made is refused",
}
_WAYS = {Way.IN: "in", Way.OUT: "out", Way.BOTH: "in and out"}


class Form:
    """An operation of one release and architecture. `start` is its struct with all that nobody chooses filled in."""

    def __init__(self, abi: Abi, op: Operation) -> None:
        self.abi, self.op = abi, op
        self.leaves = leaves(abi, op)
        self.nbytes = abi.sizeof(op.struct) if op.struct else 0
        self.fixed = self._fixed()
        whenever = not op.room_when or holds(op.room_when, abi.target)
        self.room = op.room.split() if whenever else []  # what Xen does not go by when it fills buffers
        self.most = op.most.split() if whenever else []
        self.reaches = op.reaches if not op.reaches_when or holds(op.reaches_when, abi.target) else ""
        member, _, bits = op.each.partition("&")
        self.choice = member, int(bits or -1)  # of an array's elements, what says which part each is, and its bits
        self.chosen = (op.given or {}).get("", 0)
        start = bytearray(self.nbytes)
        for leaf, number in self.fixed:
            packed(leaf, number, start)
        self.start = bytes(start)
        self.rivals = rivals(self.leaves)
        self._elements: dict[str, dict[str, Leaf]] = {}
        self._rivals: dict[str, dict[str, list[str]]] = {}
        self.handles = tuple(leaf for leaf in self.leaves.values() if leaf.kind is Kind.HANDLE)
        self.told = tuple(
            leaf for leaf in self.leaves.values()
            if leaf.way is not Way.IN and leaf.kind is not Kind.HANDLE and leaf.offset != ARGUMENT and not leaf.padding
        )  # fmt: skip

    def _fixed(self) -> tuple[tuple[Leaf, int], ...]:
        """The members that the table fills in, with their values."""
        found = []
        for name, number in shape.header(self.abi, self.op).items() if self.op.struct else ():
            offset = self.abi.offsetof(self.op.struct, *name.split("."))
            size = self.abi.ffi.sizeof(_typed(self.abi, self.op.struct, name))
            found.append((Leaf(name, Kind.INT, Way.IN, offset, size), number))
        for name, number in (self.op.given or {}).items():
            if name in self.leaves and self.leaves[name].offset != ARGUMENT:
                found.append((self.leaves[name], number))
        return tuple(found)

    def elements(self, handle: Leaf) -> dict[str, Leaf]:
        """The members of one element of what a handle promises."""
        if handle.name not in self._elements:
            self._elements[handle.name] = elements(self.abi, handle.promise, self.op.arms)
        return self._elements[handle.name]

    def rivals_of(self, handle: Leaf) -> dict[str, list[str]]:
        """Of those members the ones that lie where others do, and these."""
        if handle.name not in self._rivals:
            self._rivals[handle.name] = rivals(self.elements(handle))
        return self._rivals[handle.name]

    def view(self, image: bytearray, within: tuple[str, ...] = ()) -> Any:
        """A struct, or one inside it, as cffi sees it in these bytes."""
        view = self.abi.ffi.from_buffer(f"{self.op.struct} *", image)
        for step in within:
            view = getattr(view, step)
        return view

    def text(self) -> str:
        """How to ask, for a person: every member with its type, its way, and since when Xen has it."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        op = self.op
        does = "looks, and takes something away" if op.does is Does.LOOKS and not op.only_looks else _DOES[op.does]
        yield f"# {op.name}: {does}{self._since(op.when)}"
        remarks = {
            "it can take seconds": op.slow, "it can end the host": op.dangerous,
            f"it is for {op.guest} domains": op.guest, f"it needs a {op.dom0} control domain": op.dom0,
            op.why: op.why,
            f"Xen goes by its own {op.room}: buffers for less are refused": self.room,
            f"{op.cpus.partition('/')[0]} has to do for all CPUs that can come online": op.cpus,
            f"{' + '.join(self.most)} is at most what there is": self.most,
            _REACHES.get(self.reaches, ""): self.reaches,
            "a Xen that was built without it could end: there it is refused": op.built is not None,
            **{f"Xen does not look whether {name} is more than the {most} that there is room for": most
               for name, most in (op.at_most or {}).items()},
            f"never asked{self._never_if()}: {op.never}": op.never,
        }  # fmt: skip
        yield from (f"# {remark}" for remark, said in remarks.items() if said)
        if op.domain:
            yield "# uuid=UUID or unique_id=NUMBER beside the domain: only to that life of it"
        given = op.given or {}
        width = max((len(leaf.name) for leaf in self.leaves.values()), default=0)
        for leaf in self.leaves.values():
            if not leaf.padding:
                fixed = f", always {given[leaf.name]}" if leaf.name in given else ""
                since = self._since(self.abi.condition(op.struct, leaf.steps)) if leaf.steps else ""
                yield f"{leaf.name:<{width}}  {_WAYS[leaf.way]}: {leaf.words}{fixed}{since}"
        for handle in self.handles:
            for inner in self.elements(handle).values() if handle.way is not Way.OUT else ():
                if not inner.padding:
                    fixed = f", always {self.chosen}" if f"{handle.name}.{inner.name}" == self.choice[0] else ""
                    yield f"{handle.name}.N.{inner.name}  {_WAYS[handle.way]}: {inner.words}{fixed}"
        if not self.leaves:
            yield "# it has no members: write an empty line"

    def _never_if(self) -> str:
        return "".join(f" with {name}={value}" for name, value in (self.op.never_if or {}).items())

    def _since(self, condition: str) -> str:
        return f" ({condition})" if condition else ""


def _typed(abi: Abi, struct: str, path: str) -> Any:
    kind = abi.ffi.typeof(struct)
    for step in path.split("."):
        kind = dict(kind.fields)[step].type
    return kind


@lru_cache(4096)
def form(abi: Abi, op: Operation) -> Form:
    """The form, made once."""
    return Form(abi, op)
