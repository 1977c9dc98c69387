"""Inode numbers: which entry of the tree, for which life of which thing, the kernel means by a number.

A number is used once and never again, so that no number can come to mean something else, and generations
are not needed. The kernel's lookup counts say how long an entry is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from itertools import count, islice
from typing import Any, NamedTuple

import pyfuse3
import trio

from xenfs.calls.rows import free
from xenfs.errors import Stale
from xenfs.filesystem.listings import Bundle, Listing
from xenfs.nodes.tables.base import Dir, Ids, Node

ROOT = pyfuse3.ROOT_INODE
_NONE = Bundle((), 0)  # of what is counted by itself
_NONE.end()
_DROPPED = 16  # listings: of some hundreds of names each


class Kept(NamedTuple):
    """The content of a file that stays; how often something had been done by xenfs when it was asked for; until when it
    may be kept, as others may have something done too."""

    content: bytes
    done: int
    until: float


class Inode:
    """An entry of the tree together with the ids that it was reached by."""

    __slots__ = (
        "_bundle", "_lookups", "changed_ns", "children", "ids", "kept", "listing", "name", "node", "number", "parent",
        "parted", "round", "unsure",
    )  # fmt: skip

    def __init__(self, number: pyfuse3.InodeT, node: Node, ids: Ids, name: str, parent: Inode | None) -> None:
        self.number, self.node, self.ids, self.name, self.parent = number, node, ids, name, parent
        self._lookups, self._bundle = 0, _NONE
        self.changed_ns = 0  # when it was written last
        self.unsure = False  # whether the kernel has been told that its size is not what it takes it for
        self.children: dict[str, Inode] | None = None  # most of ten thousand directories are never looked into
        self.listing: Listing | None = None
        self.kept: Kept | None = None
        self.parted = 0  # how often a name was removed from it
        self.round = 0  # of Keeping, in which it was last looked up

    @property
    def lookups(self) -> int:
        """How often the kernel has been told of it and has not forgotten it: by itself and with its bundle."""
        return self._lookups + self._bundle.lookups

    @lookups.setter
    def lookups(self, number: int) -> None:
        self._lookups = number - self._bundle.lookups

    def join(self, bundle: Bundle) -> None:
        """Be counted with these from now on. With those before, nobody is any more: each of them would have to be."""
        lookups, self._bundle.whole = self.lookups, False
        self._bundle, self.lookups = bundle, lookups

    def bundled(self, round: int) -> bool:
        """Whether it is counted with others, in this round of Keeping."""
        return self._bundle.whole and self._bundle.round == round

    @property
    def path(self) -> str:
        """The path below the mount point, without a leading slash."""
        return self.name if self.parent is None or not self.parent.name else f"{self.parent.path}/{self.name}"

    @property
    def lasting(self) -> bool:
        """True where the kernel may remember this entry for long: nothing that it belongs to can go away or change."""
        return not self.node.guards and not (
            self.parent and isinstance(self.parent.node, Dir) and (self.parent.node.volatile or self.parent.node.choosy)
        )


class Inodes:
    """Every entry that the kernel knows, by number and by what it stands for."""

    def __init__(self, root: Dir) -> None:
        self._numbers = count(ROOT + 1)
        top = Inode(ROOT, root, (), "", None)
        top.lookups = 1
        self._by_number: dict[int, Inode] = {ROOT: top}
        self.round = 0
        self._beyond = 1 << 62
        self._told: Callable[[], None] = lambda: None
        self._lock = threading.Lock()  # for a few instructions: of the listings, which threads make
        self._listings: dict[Inode, int] = {}  # directories of which one is remembered; in which round it was asked for
        self._of: dict[Any, dict[Inode, None]] = {}  # by the thing that an `Each` of a fixed directory found

    def __len__(self) -> int:
        return len(self._by_number)

    def __getitem__(self, number: int) -> Inode:
        try:
            return self._by_number[number]
        except KeyError:
            raise Stale(f"inode {number}") from None

    def enter(self, parent: Inode, name: str, node: Node, ids: Ids, before: Inode | None = None) -> Inode:
        """The inode of an entry, known, or the one of `before` if it is for the same, or new; the kernel can mean it by
        its number once it is held."""
        for inode in (parent.children.get(name) if parent.children else None, before):
            if inode is not None and inode.node is node and inode.ids == ids:
                return inode
        return Inode(pyfuse3.InodeT(next(self._numbers)), node, ids, name, parent)

    def listed(self, where: Inode, names: Iterable[tuple[str, Node, Ids]]) -> list[tuple[bytes, Inode]]:
        """An entry for each name. What was in the listing before is the same object: many listings of ten thousand
        domains, where some come and go meanwhile, take little more memory than one."""
        known = where.listing  # the loop may forget it meanwhile
        before = {entry[1].name: entry for entry in known.entries} if known else {}
        found = []
        for name, node, ids in names:
            entry = before.get(name)
            inode = self.enter(where, name, node, ids, entry[1] if entry else None)
            if entry is None or entry[1] is not inode:
                entry = (name.encode("utf-8", "surrogateescape"), inode)
            found.append(entry)
        free(before)
        return found

    def keep_listing(self, where: Inode, listing: Listing) -> None:
        """Remember what a directory had last, while it is asked for; said in the thread that has listed it."""
        where.listing = listing
        with self._lock:
            self._listings.pop(where, None)
            self._listings[where] = self.round  # the longest unused come first

    def drop_listings(self, before: int) -> None:
        """Forget those that nobody has asked for since before that round: a few in this turn of the loop, and the
        others in those that follow. Somebody may have listed thousands."""
        with self._lock:
            some = list(islice(self._listings.items(), _DROPPED))
        for where, asked in some:
            if asked >= before:
                return
            self._drop_listing(where)
        if len(some) == _DROPPED:
            trio.lowlevel.current_trio_token().run_sync_soon(self.drop_listings, before)

    def _drop_listing(self, where: Inode) -> None:
        if where.listing is not None:
            where.listing.end()
        where.listing = None
        with self._lock:
            self._listings.pop(where, None)

    def hold(self, inode: Inode) -> None:
        """Count a lookup: the kernel has this number now, and gives it back by `forget`."""
        if not inode.lookups:
            self._by_number[inode.number] = inode
            if len(self._by_number) > self._beyond:
                self._beyond = 1 << 62
                self._told()
            if inode.parent is not None:
                if inode.parent.children is None:
                    inode.parent.children = {}
                inode.parent.children[inode.name] = inode
                if inode.ids and not inode.parent.ids:
                    self._of.setdefault(inode.ids[0], {})[inode] = None
        elif inode.round != self.round:
            self._by_number[inode.number] = self._by_number.pop(inode.number)  # the longest unused come first
        inode.round = self.round
        inode.lookups += 1

    def call_beyond(self, many: int, told: Callable[[], None]) -> None:
        """Call this once as soon as there are more entries than so many."""
        self._beyond, self._told = many, told
        if len(self) > many:
            told()

    def unused(self, before: int, beyond: int, most: int) -> list[tuple[pyfuse3.InodeT, bytes]]:
        """(directory, name) of some entries that the kernel knows: those not looked up since round `before`, and the
        longest unused of all while there are more than `beyond`. Entries of fixed names are few, and stay.

        They count as looked up from now on: what is open, or somebody's working directory, cannot be forgotten.
        """
        found: list[tuple[pyfuse3.InodeT, bytes]] = []
        surplus = len(self._by_number) - beyond
        for inode in list(islice(self._by_number.values(), 4 * most)):
            if len(found) >= most or (inode.round >= before and surplus <= 0):
                break
            if inode.number != ROOT:
                self._by_number[inode.number] = self._by_number.pop(inode.number)
                inode.round = self.round
            if inode.ids:
                found += _entry(inode)
                surplus -= 1
        return found

    def names_of(self, thing: Any) -> list[tuple[pyfuse3.InodeT, bytes]]:
        """(directory, name) of every entry known to the kernel that is about this thing as a whole."""
        return [name for inode in self._of.get(thing, ()) for name in _entry(inode)]

    def names_within(self, inode: Inode) -> list[tuple[pyfuse3.InodeT, bytes]]:
        """(directory, name) of this entry and of those around it, up to the directory of the thing as a whole."""
        found = []
        while inode.parent is not None and inode.parent.ids:
            found += _entry(inode)
            inode = inode.parent
        return found

    def part(self, parent: Inode, name: str) -> None:
        """The kernel holds a removed name for dead: whatever has it next, or still, gets a new inode."""
        if parent.children:
            parent.children.pop(name, None)
        parent.listing = None
        parent.parted += 1

    def forget(self, number: int, lookups: int) -> None:
        """The kernel gives back `lookups` of its references; with the last one the number means nothing any more."""
        inode = self._by_number.get(number)
        if inode is None or number == ROOT:
            return
        inode.lookups -= lookups
        if inode.lookups <= 0:
            inode.join(_NONE)
            inode.lookups = 0
            self._drop_listing(inode)
            del self._by_number[number]
            if inode.ids and inode.parent is not None and not inode.parent.ids:
                self._unlist(inode)
            siblings = inode.parent.children if inode.parent else None
            if siblings and siblings.get(inode.name) is inode:
                del siblings[inode.name]

    def _unlist(self, inode: Inode) -> None:
        others = self._of.get(inode.ids[0], {})
        others.pop(inode, None)
        if not others:
            self._of.pop(inode.ids[0], None)


def _entry(inode: Inode) -> list[tuple[pyfuse3.InodeT, bytes]]:
    """(directory, name), if the kernel knows it."""
    if inode.parent is None or not inode.lookups:
        return []
    return [(inode.parent.number, inode.name.encode("utf-8", "surrogateescape"))]
