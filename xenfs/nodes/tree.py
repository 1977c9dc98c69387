"""The whole tree: the tables joined, cut to one hypervisor and one set of mount options, or printed as a reference."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.cpupools import CPUPOOLS
from xenfs.nodes.domains import DOMAINS
from xenfs.nodes.flask import FLASK
from xenfs.nodes.host import HOST
from xenfs.nodes.hypfs import HYPFS
from xenfs.nodes.metrics import METRICS
from xenfs.nodes.raw import raw
from xenfs.nodes.tables.base import Dir, Each, File, Node
from xenfs.nodes.tables.guard import Guard
from xenfs.nodes.tables.refusals import Refusals
from xenfs.nodes.templates import TEMPLATES
from xenfs.nodes.version import VERSION
from xenfs.nodes.xenfs import About, about
from xenfs.options import Options

_EVERYTHING = Options(lifecycle=True, debug=True, raw=True)
Guards = tuple[Guard, ...]
Entry = TypeVar("Entry", bound=Node | Each)


def whole(options: Options, refusals: Refusals) -> Dir:
    """Every entry that there can be, on any Xen and with any options."""
    return _joined(options, refusals, raw(options.debug))


def build(xen: Hypervisor, options: Options, refusals: Refusals) -> Dir:
    """The tree of one mount: what this Xen lacks, or the options leave out, is not in it."""
    cut = _Cut(xen, options)
    optional = [raw(options.debug)] if options.raw else []  # it would be a third of the time
    root = cut.node(_joined(options, refusals, *optional), ())
    assert isinstance(root, Dir)
    return root


def _joined(options: Options, refusals: Refusals, *optional: Dir) -> Dir:
    facts = About(options, refusals, lambda: (str(row) for row in reference()))
    always = (about(facts), METRICS, VERSION, HOST, HYPFS, CPUPOOLS, DOMAINS, TEMPLATES, FLASK)
    return Dir("", "Xen's hypercall interfaces as files", (*always, *optional))


class _Cut:
    """Copies a table with what does not apply left out. Shapes that contain themselves are copied once."""

    def __init__(self, xen: Hypervisor, options: Options) -> None:
        self._xen, self._options = xen, options
        self._done: dict[tuple[Node, Guards], Node | None] = {}

    def node(self, node: Node, guards: Guards) -> Node | None:
        """The node for this mount, None where it has no place in it."""
        key = (node, guards)
        if key not in self._done:
            self._done[key] = self._made(node, guards) if self._wanted(node) else None
        return self._done[key]

    def _wanted(self, node: Node) -> bool:
        return self._options.has(node.option) and (node.when is None or node.when(self._xen))

    def _made(self, node: Node, guards: Guards) -> Node | None:
        if isinstance(node, Dir):
            return self._dir(node, guards)
        if isinstance(node, File):
            changeable = not self._options.ro or node.looks
            writable = node.write is not None and changeable and self._options.has(node.write_option)
            if writable:
                return _changed(node, guards=guards)
            return None if node.read is None else _changed(node, guards=guards, write=None)
        return _changed(node, guards=guards)

    def _dir(self, node: Dir, guards: Guards) -> Dir | None:
        changeable = self._options.has(node.make_option) and (not self._options.ro or node.looks)
        entries = tuple(made for entry in node.entries if (made := self._entry(entry, guards)))
        if node.entries and not entries:
            return None
        return _changed(
            node,
            entries=entries,
            guards=guards,
            make=node.make if changeable else None,
            remove=node.remove if changeable else None,
        )

    def _entry(self, entry: Node | Each, guards: Guards) -> Node | Each | None:
        if isinstance(entry, Node):
            return self.node(entry, guards)
        below = (*guards, entry.guard) if entry.guard else guards
        if isinstance(entry.node, Node):
            shape = self.node(entry.node, below)
            return None if shape is None else _changed(entry, node=shape)
        choose = entry.node
        return replace(entry, node=lambda ident: self._chosen(choose(ident), below))

    def _chosen(self, node: Node, guards: Guards) -> Node:
        made = self.node(node, guards)
        if made is None:
            raise LookupError(f"{node.name}: a shape that this mount does not have")
        return made


def _changed(entry: Entry, **changes: Any) -> Entry:
    """A copy with these members, or itself where they are what it has: most entries of a mount are the tables' own."""
    alike = all(getattr(entry, name) == value for name, value in changes.items())
    return entry if alike else replace(entry, **changes)


class Row(NamedTuple):
    """A line of the reference: a path pattern and what is known of it."""

    path: str
    node: Node
    needs: tuple[str, ...] = ()  # mount options

    @property
    def mode(self) -> str:
        """Permission bits, four octal digits."""
        return f"{stat.S_IMODE(self.node.mode):04o}"

    def __str__(self) -> str:
        call = (getattr(self.node, "call", "") or "-").replace(" ", ":").replace(",:", ",")
        return f"{self.path} {self.mode} {self.node.tier} {call} {self.node.help}"


def reference() -> Iterator[Row]:
    """A row for each file and link that there can be, in the order of the tables."""
    yield from (row for row in _rows("", whole(_EVERYTHING, Refusals())) if not isinstance(row.node, Dir))


def directories() -> Iterator[Row]:
    """A row for each directory in which, or of which, something can be made or removed."""
    yield from (row for row in _rows("", whole(_EVERYTHING, Refusals())) if isinstance(row.node, Dir))


def _rows(prefix: str, directory: Dir, needs: tuple[str, ...] = ()) -> Iterator[Row]:
    for entry in directory.entries:
        if isinstance(entry, Node):
            shapes = [(entry.name, entry)]
        else:
            given = (entry.node,) if isinstance(entry.node, Node) else entry.shapes
            shapes = [(entry.label, shape) for shape in given]
        for name, shape in shapes:
            wanted = (*needs, shape.option) if shape.option else needs
            if isinstance(shape, Dir):
                if shape.make or shape.remove:
                    yield Row(f"{prefix}{name}/", shape, (*wanted, shape.make_option) if shape.make_option else wanted)
                yield from _rows(f"{prefix}{name}/", shape, wanted)
            else:
                yield Row(prefix + name, shape, wanted)
