"""FUSE requests for names: looking them up, listing them, following links, making and removing directories."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pyfuse3
import trio

from xenfs.calls.rows import free_parts
from xenfs.errors import NotThere, XenfsError
from xenfs.filesystem.boundary import answered, at_once
from xenfs.filesystem.callers import Caller, caller
from xenfs.filesystem.inodes import Inode
from xenfs.filesystem.listings import Bundle, Listing
from xenfs.filesystem.served import Served, directory_of
from xenfs.filesystem.shares import NOTHING_MUCH, Share
from xenfs.nodes.tables.base import Dir, File, Ids, Link, Node
from xenfs.nodes.tables.cost import NOTHING, Cost

_PATIENCE_S = 2.0  # the kernel lets nobody else list, make or remove in this directory meanwhile
_FREED_AT_ONCE = 1_000  # names of a listing: in 0.2 ms; a thread has to be woken for more
_FORGOTTEN_AT_ONCE = 64  # names: 5 us each, so that others wait a third of a millisecond


class Directories(Served):
    """Everything but files."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._listings: dict[int, tuple[Inode, Listing, Share]] = {}

    @answered
    async def lookup(self, parent_inode: int, name: bytes, ctx: Any) -> pyfuse3.EntryAttributes:
        await self._turn(ctx.uid)
        parent = self.inodes[parent_inode]
        directory = directory_of(parent)
        text = os.fsdecode(name)
        if text in (".", ".."):
            return self.attributes.of(parent if text == "." or parent.parent is None else parent.parent)
        if directory.private and ctx is not None:
            self.rights.require_look(caller(ctx), parent)
        if ctx is not None and self.filling.hides(parent, text, ctx.pid):
            raise NotThere(f"{_below(parent, text)}, which is yet to be made")
        return self.attributes.of(await self._entered(ctx.uid, parent, text))

    async def _entered(self, uid: int, parent: Inode, name: str) -> Inode:
        """The inode of a name, which the kernel has from now on."""
        inode = self.inodes.enter(parent, name, *await self._found(uid, parent, directory_of(parent), name))
        self.inodes.hold(inode)
        return inode

    async def _filled(self, parent: Inode, name: str, ctx: Any) -> Inode | None:
        """What is made in a directory that is being filled; None where it is not."""
        if not self.filling.takes(parent, name, ctx.pid):
            return None
        try:
            return await self._entered(ctx.uid, parent, name)
        except BaseException:
            self.filling.drops(parent, name)
            raise

    async def _found(self, uid: int, parent: Inode, directory: Dir, name: str) -> tuple[Node, Ids]:
        if directory.find_grows is not NOTHING:
            self.keeping.listed()
        return await self.lanes.run(
            uid, directory, directory.find_grows, self._child, parent, directory, name, key=(parent.number, name)
        )

    def _child(self, parent: Inode, directory: Dir, name: str) -> tuple[Node, Ids]:
        directory.require_recent(self.xen, parent.ids)
        found = directory.child(self.xen, parent.ids, name)
        if found is None:
            raise NotThere(f"entry {name!r} in {parent.path or '/'}")
        return found

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        for done, (number, lookups) in enumerate(inode_list, 1):
            self.inodes.forget(number, lookups)
            if not done % _FORGOTTEN_AT_ONCE:  # thousands come at a time where memory is short
                await trio.lowlevel.checkpoint()

    @answered
    async def opendir(self, inode: int, ctx: Any) -> pyfuse3.FileHandleT:
        await self._turn(ctx.uid)
        where = self.inodes[inode]
        directory = directory_of(where)
        self.rights.require_list(caller(ctx), where)
        share = self.shares.take(ctx.uid)
        try:
            listing = await self._listed(ctx.uid, where, directory)
            share.weigh(NOTHING_MUCH, listing.weight)
        except BaseException:
            self.shares.give_back(share, NOTHING_MUCH)
            raise
        number = next(self._numbers)
        self._listings[number] = where, listing, share
        return pyfuse3.FileHandleT(number)

    async def _listed(self, uid: int, where: Inode, directory: Dir) -> Listing:
        """One listing for all who ask for it together; anew where a name was removed meanwhile."""
        self.keeping.listed()
        while True:
            parted = where.parted
            found = await self.lanes.run(
                uid, directory, directory.grows, self._listing, where, directory, key=where.number
            )
            if where.parted == parted:
                return found
            where.listing = None

    def _listing(self, where: Inode, directory: Dir) -> Listing:
        directory.require_recent(self.xen, where.ids)
        found = directory.found(self.xen, where.ids)
        listing = where.listing
        if listing is None or not listing.holds(found):
            listing = Listing(found, self.inodes.listed(where, directory.bound(found, where.ids)))
            if len(listing.entries) > _FREED_AT_ONCE:
                self.lanes.free_after(listing, listing.parts, free_parts)
        self.inodes.keep_listing(where, listing)
        return listing

    @answered
    async def readdir(self, fh: int, start_id: int, token: Any) -> None:
        _, listing, share = self._listings[fh]
        await self._turn(share.uid)
        while (bundle := listing.bundle(start_id, self.inodes.round)) is not None:
            told = self._tell_again(bundle, start_id, token)
            if told < len(bundle):
                return
            start_id += told
        self._tell(listing, start_id, token)

    def _tell_again(self, bundle: Bundle, start_id: int, token: Any) -> int:
        """Tell the kernel of what it was told of together before; of how many there was room for."""
        entry, reply = self.attributes.of(bundle.inodes[0]), pyfuse3.readdir_reply
        for name, number, next_id in zip(bundle.names, bundle.numbers, count(start_id + 1), strict=False):
            entry.st_ino = number
            if not reply(token, name, entry, next_id):
                told = next_id - 1 - start_id
                for inode in bundle.inodes[:told]:
                    self.inodes.hold(inode)
                return told
        bundle.lookups += 1
        return len(bundle)

    def _tell(self, listing: Listing, start_id: int, token: Any) -> None:
        """Tell it of as many from this one on as there is room for. If all are of one shape, together from then on."""
        attributes, hold, reply, entries = self.attributes.of, self.inodes.hold, pyfuse3.readdir_reply, listing.entries
        alike = not self.rights.by_path
        entry: pyfuse3.EntryAttributes | None = None
        shape: Node | None = None
        shapes, end = 0, len(entries)
        for position in range(start_id, len(entries)):
            name, inode = entries[position]
            if entry is None or inode.node is not shape:
                entry = attributes(inode)
                alone = isinstance(inode.node, File) or inode.node.owner(inode.ids) is not None
                shape, shapes = inode.node if alike and not alone else None, shapes + 1
            else:
                # Equal but for the number; to make each anew is half of the cost of a listing.
                entry.st_ino = inode.number
            if not reply(token, name, entry, position + 1):
                end = position
                break
            hold(inode)
        if shapes == 1 and shape is not None:
            listing.bind(start_id, end, self.inodes.round)

    @at_once
    def releasedir(self, fh: int) -> None:
        where, listing, share = self._listings.pop(fh)
        self.shares.give_back(share, listing.weight)
        self.departed.closed(where)

    @answered
    async def readlink(self, inode: int, ctx: Any) -> bytes:
        await self._turn(ctx.uid)
        where = self.inodes[inode]
        if not isinstance(where.node, Link):
            raise XenfsError(f"{where.path} is not a link", errno.EINVAL)
        self.rights.require_link(caller(ctx), where)
        # The kernel remembers the name a little longer than the domain lives.
        where.node.require_alive(self.xen, where.ids)
        return os.fsencode(where.node.target(self.xen, *where.ids))

    @answered
    async def mkdir(self, parent_inode: int, name: bytes, mode: int, ctx: Any) -> pyfuse3.EntryAttributes:
        parent = self.inodes[parent_inode]
        await self._turn(ctx.uid, writes=parent.node)
        make, text = directory_of(parent).make, os.fsdecode(name)
        if (filled := await self._filled(parent, text, ctx)) is not None:
            return self.attributes.of(filled)
        if make is None:
            raise XenfsError(f"nothing can be made in {parent.path or '/'}", errno.EPERM)
        await self._act(
            "mkdir", caller(ctx, named=True), _below(parent, text), parent.node, parent.ids,
            lambda: make(self.xen, *parent.ids, text),
        )  # fmt: skip
        inode = await self._entered(ctx.uid, parent, text)
        self.filling.made(inode, ctx.pid)
        return self.attributes.of(inode)

    @answered
    async def rmdir(self, parent_inode: int, name: bytes, ctx: Any) -> None:
        parent = self.inodes[parent_inode]
        await self._turn(ctx.uid, writes=parent.node)
        text = os.fsdecode(name)
        node, ids = await self._found(ctx.uid, parent, directory_of(parent), text)
        remove = node.remove if isinstance(node, Dir) else None
        if remove is None:
            raise XenfsError(f"{_below(parent, text)} cannot be removed", errno.EPERM)
        await self._act(
            "rmdir", caller(ctx, named=True), _below(parent, text), node, ids, lambda: remove(self.xen, *ids)
        )
        # A dying domain is there still.
        self.inodes.part(parent, text)

    async def _act(
        self,
        what: str,
        asking: Caller,
        path: str,
        node: Node,
        ids: Ids,
        work: Callable[[], Any],
    ) -> None:
        """Have something done; of a part that may take long, which it gives back, return when that has begun."""

        def guarded(part: Callable[[], Any]) -> Any:
            node.require_alive(self.xen, ids)
            rest = part()
            node.require_same(self.xen, ids)
            return rest

        with self.witness.seeing(what, asking, path, node):
            self.rights.require_change(asking, path, node, node.owner(ids))
            rest = await self.lanes.run(
                asking.uid, node, Cost.WAITS, guarded, work, writes=True, patience_s=_PATIENCE_S
            )
            if callable(rest):
                await self.lanes.begin(asking.uid, node, lambda: guarded(rest), _PATIENCE_S)


def _below(parent: Inode, name: str) -> str:
    return f"{parent.path}/{name}" if parent.path else name
