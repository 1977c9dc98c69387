"""From a path as a person types it to the entry of the tables that it belongs to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from xenfs.filesystem.mountinfo import OUR_TYPE, mounts
from xenfs.nodes.tables.base import Dir, Each, Link, Node

USUAL_MOUNTPOINT = "/run/xenfs"


class Match(NamedTuple):
    """An entry, its pattern such as domains/<d>/freeze, and the mount options needed on the way to it."""

    pattern: str
    node: Node
    options: tuple[str, ...]


def inside(path: str) -> str:
    """The path within the tree: /run/xenfs/host/info, under any mountpoint in use, is host/info."""
    if path.startswith("/"):
        ours = [mount.mountpoint for mount in mounts() if mount.fstype == OUR_TYPE]
        for mountpoint in [*sorted(ours, key=len, reverse=True), USUAL_MOUNTPOINT]:
            if os.path.commonpath([mountpoint, path]) == mountpoint:
                path = os.path.relpath(path, mountpoint)
                break
    within = os.path.normpath(path).strip("/")
    return "" if within == "." else within


def match_of(root: Dir, path: str) -> Match | None:
    """The entry for a path or a pattern; a fixed name goes before a placeholder. What is below a link is what is below
    the link's target."""
    found = list(_below(root, root, [part for part in path.split("/") if part], Match("", root, ())))
    return min(found, key=lambda match: match.pattern.count("<"), default=None)


def _below(root: Dir, node: Node, parts: list[str], so_far: Match) -> Iterator[Match]:
    if not parts:
        yield so_far
    elif isinstance(node, Dir):
        for entry in node.entries:
            for label, shape in shapes(entry):
                if label == parts[0] or isinstance(entry, Each):
                    yield from _below(root, shape, parts[1:], _step(so_far, label, shape))
    elif isinstance(node, Link):
        yield from _below(root, root, [*node.to.split("/"), *parts], Match("", root, ()))
    elif so_far.pattern.endswith(">"):
        yield so_far  # a shape that stands for a whole tree, such as hypfs/


def _step(so_far: Match, label: str, node: Node) -> Match:
    options = (*so_far.options, node.option) if node.option else so_far.options
    return Match(f"{so_far.pattern}/{label}".lstrip("/"), node, options)


def shapes(entry: Node | Each) -> list[tuple[str, Node]]:
    """(name or placeholder, node) of every shape that an entry of a table can have."""
    if isinstance(entry, Node):
        return [(entry.name, entry)]
    given = (entry.node,) if isinstance(entry.node, Node) else entry.shapes
    return [(entry.label, shape) for shape in given]
