"""Inode numbers: which entry of the tree, for which life of which thing, the kernel means by a number.

A number is used once and never again, so that no number can come to mean something else, and generations
are not needed. The kernel's lookup counts say how long an entry is kept.
"""

from __future__ import annotations

from itertools import count

import pyfuse3

from xenfs.errors import Stale
from xenfs.nodes.base import Dir, Ids, Node

ROOT = pyfuse3.ROOT_INODE


class Inode:
    """An entry of the tree together with the ids that it was reached by."""

    __slots__ = ("children", "ids", "lookups", "name", "node", "number", "parent")

    def __init__(self, number: pyfuse3.InodeT, node: Node, ids: Ids, name: str, parent: Inode | None) -> None:
        self.number, self.node, self.ids, self.name, self.parent = number, node, ids, name, parent
        self.lookups = 0
        self.children: dict[str, Inode] = {}

    @property
    def path(self) -> str:
        """The path below the mount point, without a leading slash."""
        return self.name if self.parent is None or not self.parent.name else f"{self.parent.path}/{self.name}"

    @property
    def lasting(self) -> bool:
        """True where the kernel may remember this entry for long: nothing that it belongs to can go away."""
        return not self.node.guards and not (
            self.parent and isinstance(self.parent.node, Dir) and self.parent.node.volatile
        )


class Inodes:
    """Every entry that the kernel knows, by number and by what it stands for."""

    def __init__(self, root: Dir) -> None:
        self._numbers = count(ROOT + 1)
        top = Inode(ROOT, root, (), "", None)
        top.lookups = 1
        self._by_number: dict[int, Inode] = {ROOT: top}

    def __len__(self) -> int:
        return len(self._by_number)

    def __getitem__(self, number: int) -> Inode:
        try:
            return self._by_number[number]
        except KeyError:
            raise Stale(f"inode {number}") from None

    def enter(self, parent: Inode, name: str, node: Node, ids: Ids) -> Inode:
        """The inode of an entry, known or new; the caller counts the lookup when the kernel has taken it."""
        inode = parent.children.get(name)
        if inode is None or inode.node is not node or inode.ids != ids:
            inode = Inode(pyfuse3.InodeT(next(self._numbers)), node, ids, name, parent)
            parent.children[name] = self._by_number[inode.number] = inode
        return inode

    def forget(self, number: int, lookups: int = 0) -> None:
        """The kernel gives back `lookups` of its references; the last one ends the inode."""
        inode = self._by_number.get(number)
        if inode is None or number == ROOT:
            return
        inode.lookups -= lookups
        if inode.lookups <= 0:
            del self._by_number[number]
            if inode.parent is not None and inode.parent.children.get(inode.name) is inode:
                del inode.parent.children[inode.name]
