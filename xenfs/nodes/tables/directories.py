"""Where files are: a `Dir` has fixed entries and any number of `Each`, which lists what there is now; and `Link`."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from dataclasses import field as member
from typing import Any

from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables.cost import NOTHING, Cost
from xenfs.nodes.tables.guard import Guard
from xenfs.nodes.tables.node import Ids, Node, Writer


@dataclass(frozen=True, eq=False, kw_only=True, repr=False, slots=True)
class Link(Node):
    """A symbolic link; `target(xen, *ids)` is relative to the link's directory, `to` the pattern of the target."""

    target: Callable[..., str]
    to: str
    grows: Cost = NOTHING

    @property
    def mode(self) -> int:
        """A link's, which never matters."""
        return stat.S_IFLNK | 0o777


@dataclass(frozen=True, eq=False, kw_only=True, repr=False, slots=True)
class Each:
    """A place in a directory for any number of entries, one for each thing that `list` finds.

    `list(xen, *ids)` gives (name, id) pairs, the same list again where nothing has changed;
    `find(xen, *ids, name)` gives the id or None. Below, the id is appended to the ids. `node` is the entry's
    shape, or a function from the id to it. `guard` sees that the thing is still there.
    """

    label: str
    list: Callable[..., Sequence[tuple[str, Any]]]
    find: Callable[..., Any]
    node: Node | Callable[[Any], Node]
    shapes: tuple[Node, ...] = ()  # every node that a function in `node` can give, for the reference
    guard: Guard | None = None

    def __repr__(self) -> str:
        return f"<Each {self.label}>"

    def shape(self, ident: Any) -> Node:
        """The node that stands for this id."""
        return self.node if isinstance(self.node, Node) else self.node(ident)


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Dir(Node):
    """A directory: fixed entries by name, and any number of `Each`.

    `make(xen, *ids, name)` and `remove(xen, *ids)` are mkdir in it and rmdir of it, for mounts that have the option
    `make_option`; `call` names what they are to Xen. What takes long `remove` returns as a function: the caller has his
    answer once that has begun, and every refusal before. `fill(xen, *ids)` hears that its maker copies into it.

    `volatile` says that names come and go, so that the kernel must not remember them for long. `grows` says what the
    work of listing it grows with, `find_grows` that of finding one name.
    """

    entries: Sequence[Node | Each] = ()
    _: KW_ONLY
    make: Writer | None = None
    remove: Writer | None = None
    fill: Writer | None = None
    call: str = ""
    make_option: str = "lifecycle"
    volatile: bool = False
    grows: Cost = NOTHING
    find_grows: Cost = NOTHING
    _named: dict[str, Node] = member(init=False, repr=False)
    _each: tuple[Each, ...] = member(init=False, repr=False)
    _fixed: tuple[Node, ...] = member(init=False, repr=False)
    _choosy: bool = member(init=False, repr=False)
    _private: bool = member(init=False, repr=False)

    @property
    def choosy(self) -> bool:
        """Whether an entry is there or not as this pool, CPU or domain has it."""
        return self._choosy

    @property
    def mode(self) -> int:
        """0755 where entries can be made or removed, else 0555; for the owner alone where all in it is private."""
        removable = any(isinstance(e.node, Dir) and e.node.remove for e in self._each)
        mode = 0o755 if self.make or removable else 0o555
        return stat.S_IFDIR | (mode & 0o700 if self.private else mode)

    @property
    def private(self) -> bool:
        """Whether all that can be in it shows a guest's inside: so do its names, and to look may pause the guest."""
        return self._private

    def __post_init__(self) -> None:
        Node.__post_init__(self)
        named: dict[str, Node] = {}
        for entry in self.entries:
            if isinstance(entry, Node):
                if entry.name in named:
                    raise ValueError(f"{self.name}/{entry.name} is in the table twice")
                named[entry.name] = entry
        object.__setattr__(self, "_named", named)
        object.__setattr__(self, "_fixed", tuple(node for node in named.values() if not node.unlisted))
        object.__setattr__(self, "_choosy", any(node.only for node in named.values()))
        object.__setattr__(self, "_each", tuple(e for e in self.entries if isinstance(e, Each)))
        shapes = [node for entry in self.entries for node in _shapes(entry)]
        object.__setattr__(self, "_private", bool(shapes) and all(getattr(node, "private", False) for node in shapes))

    def found(self, xen: Hypervisor, ids: Ids) -> list[Sequence[Any]]:
        """What there is in this directory now: the fixed entries, then what each `Each` lists.

        A part that is the very same object as the last time has not changed since.
        """
        fixed = self._fixed
        if self._choosy:
            fixed = tuple(node for node in fixed if node.exists(xen, ids))
        return [fixed, *(each.list(xen, *ids) for each in self._each)]

    def children(self, xen: Hypervisor, ids: Ids) -> Iterator[tuple[str, Node, Ids]]:
        """(name, node, ids) of everything in this directory now."""
        return self.bound(self.found(xen, ids), ids)

    def bound(self, found: Sequence[Sequence[Any]], ids: Ids) -> Iterator[tuple[str, Node, Ids]]:
        """The same of what was found before."""
        for node in found[0]:
            yield node.name, node, ids
        for each, listed in zip(self._each, found[1:], strict=True):
            only = each.node if isinstance(each.node, Node) else None
            for name, ident in listed:
                yield name, only or each.shape(ident), (*ids, ident)

    def child(self, xen: Hypervisor, ids: Ids, name: str) -> tuple[Node, Ids] | None:
        """The (node, ids) behind a name, None where there is none."""
        node = self._named.get(name)
        if node is not None:
            return (node, ids) if node.exists(xen, ids) else None
        for each in self._each:
            ident = each.find(xen, *ids, name)
            if ident is not None:
                return each.shape(ident), (*ids, ident)
        return None


def _shapes(entry: Node | Each) -> Sequence[Node]:
    """Every node that an entry of a directory can be."""
    if isinstance(entry, Node):
        return (entry,)
    return (entry.node,) if isinstance(entry.node, Node) else entry.shapes
