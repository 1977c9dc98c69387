"""FUSE requests, one short method each."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pyfuse3

from xenfs.errors import NotThere, XenfsError
from xenfs.filesystem.attributes import Attributes
from xenfs.filesystem.boundary import answered
from xenfs.filesystem.callers import Caller, caller
from xenfs.filesystem.departed import Departed
from xenfs.filesystem.fixed_names import FixedNames
from xenfs.filesystem.handles import Follower, Handle, open_file
from xenfs.filesystem.inodes import Inode, Inodes, Listing
from xenfs.filesystem.lanes import Lanes
from xenfs.filesystem.record import Record
from xenfs.filesystem.rights import Rights
from xenfs.filesystem.shares import SMALL, Share, Shares
from xenfs.filesystem.waiting import ALWAYS, Bell, Waiting
from xenfs.filesystem.witness import Witness
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables.base import PAGE, Dir, File, Ids, Link, Node
from xenfs.nodes.tables.refusals import Refusals
from xenfs.nodes.tables.region import Region
from xenfs.options import Options


class Operations(FixedNames):
    """Serves one tree. flush, access and the extended attributes are left out on purpose: the kernel hears
    ENOSYS of each once and never asks again."""

    def __init__(
        self,
        xen: Hypervisor,
        root: Dir,
        options: Options,
        refusals: Refusals,
        rights: Rights | None = None,
        record: Record | None = None,
    ) -> None:
        super().__init__()
        self.xen, self.options = xen, options
        self.rights = rights or Rights(options)
        self.witness = Witness(refusals, record or Record())
        self.inodes = Inodes(root)
        self.lanes = Lanes()
        self.departed = Departed(self.inodes, xen.lives)
        xen.departed = self.departed.over
        self.waiting = Waiting(xen)
        self.shares = Shares(options.open_max)
        self.handles: dict[int, Handle] = {}
        self._listings: dict[int, tuple[Inode, list[tuple[bytes, Inode]], Share]] = {}
        self._numbers = count(1)
        self.attributes = Attributes(xen, options, self.rights)

    # Names

    @answered
    async def lookup(self, parent_inode: int, name: bytes, ctx: Any = None) -> pyfuse3.EntryAttributes:
        parent = self.inodes[parent_inode]
        directory = _directory(parent)
        text = os.fsdecode(name)
        if text in (".", ".."):
            return self.attributes.of(parent if text == "." or parent.parent is None else parent.parent)
        if directory.private and ctx is not None:
            self.rights.require_look(caller(ctx), parent)
        found = await self.lanes.run(directory, directory.slow, self._child, parent, directory, text)
        inode = self.inodes.enter(parent, text, *found)
        self.inodes.hold(inode)
        return self.attributes.of(inode)

    def _child(self, parent: Inode, directory: Dir, name: str) -> tuple[Node, Ids]:
        directory.glance(self.xen, parent.ids)
        found = directory.child(self.xen, parent.ids, name)
        if found is None:
            raise NotThere(f"entry {name!r} in {parent.path or '/'}")
        return found

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        for number, lookups in inode_list:
            self.inodes.forget(number, lookups)

    @answered
    async def opendir(self, inode: int, ctx: Any) -> pyfuse3.FileHandleT:
        where = self.inodes[inode]
        directory = _directory(where)
        self.rights.require_list(caller(ctx), where)
        share = self.shares.take(ctx.uid)
        try:
            listing = await self.lanes.run(directory, directory.slow, self._listing, where, directory)
        except BaseException:
            self.shares.give_back(share, 0)
            raise
        number = next(self._numbers)
        self._listings[number] = where, listing.entries, share
        return pyfuse3.FileHandleT(number)

    def _listing(self, where: Inode, directory: Dir) -> Listing:
        directory.glance(self.xen, where.ids)
        found = directory.found(self.xen, where.ids)
        if where.listing is None or not where.listing.fits(found):
            where.listing = Listing(found, self.inodes.listed(where, directory.bound(found, where.ids)))
        return where.listing

    @answered
    async def readdir(self, fh: int, start_id: int, token: Any) -> None:
        entries = self._listings[fh][1]
        attributes, hold, reply = self.attributes.of, self.inodes.hold, pyfuse3.readdir_reply
        alike = not self.rights.by_path
        entry: pyfuse3.EntryAttributes | None = None
        shape: Node | None = None
        for position in range(start_id, len(entries)):
            name, inode = entries[position]
            if entry is None or inode.node is not shape:
                entry = attributes(inode)
                alone = isinstance(inode.node, File) or inode.node.owner(inode.ids) is not None
                shape = inode.node if alike and not alone else None
            else:
                # Equal but for the number; to make each anew is half of the cost of a listing.
                entry.st_ino = inode.number
            if not reply(token, name, entry, position + 1):
                break
            hold(inode)

    @answered
    async def releasedir(self, fh: int) -> None:
        where, _, share = self._listings.pop(fh)
        self.shares.give_back(share, 0)
        self.departed.closed(where)

    @answered
    async def mkdir(self, parent_inode: int, name: bytes, mode: int, ctx: Any) -> pyfuse3.EntryAttributes:
        parent = self.inodes[parent_inode]
        make = _directory(parent).make
        if make is None:
            raise XenfsError(f"nothing can be made in {parent.path or '/'}", errno.EPERM)
        text = os.fsdecode(name)
        await self._act(
            "mkdir", caller(ctx, named=True), _below(parent, text), parent.node, parent.ids,
            lambda: make(self.xen, *parent.ids, text),
        )  # fmt: skip
        return await self.lookup(parent_inode, name, ctx)

    @answered
    async def rmdir(self, parent_inode: int, name: bytes, ctx: Any) -> None:
        parent = self.inodes[parent_inode]
        text = os.fsdecode(name)
        node, ids = self._child(parent, _directory(parent), text)
        remove = node.remove if isinstance(node, Dir) else None
        if remove is None:
            raise XenfsError(f"{_below(parent, text)} cannot be removed", errno.EPERM)
        await self._act(
            "rmdir", caller(ctx, named=True), _below(parent, text), node, ids, lambda: remove(self.xen, *ids)
        )
        # A dying domain is there still.
        self.inodes.part(parent, text)

    async def _act(self, what: str, asking: Caller, path: str, node: Node, ids: Ids, work: Callable[[], Any]) -> None:
        def guarded() -> None:
            node.require_alive(self.xen, ids)
            work()
            node.require_same(self.xen, ids)

        with self.witness.seeing(what, asking, path, node):
            self.rights.require_change(asking, path, node, node.owner(ids))
            await self.lanes.run(node, True, guarded)

    # Attributes

    @answered
    async def getattr(self, inode: int, ctx: Any = None) -> pyfuse3.EntryAttributes:
        where = self.inodes[inode]
        where.node.glance(self.xen, where.ids)
        return self.attributes.of(where)

    @answered
    async def setattr(self, inode: int, attr: Any, fields: Any, fh: int | None, ctx: Any) -> pyfuse3.EntryAttributes:
        where = self.inodes[inode]
        if fields.update_size and fh is None:  # an open file was asked for when it was opened
            self._require_writing("truncate", caller(ctx, named=True), where, os.O_WRONLY)
        self.attributes.allow(where, attr, fields)
        if fields.update_size and isinstance(where.node, Region):
            await self._cut(where, where.node, attr.st_size, ctx)
        return self.attributes.of(where)  # a shell's ">" truncates first, and there is nothing to cut

    async def _cut(self, where: Inode, node: Region, size: int, ctx: Any) -> None:
        cut = node.cut
        if cut is None:
            if size != node.nbytes(self.xen, where.ids):
                raise XenfsError(f"{where.path} keeps its length", errno.EPERM)
            return
        await self._act(
            "truncate", caller(ctx, named=True), where.path, node, where.ids, lambda: cut(self.xen, *where.ids, size)
        )

    @answered
    async def readlink(self, inode: int, ctx: Any) -> bytes:
        where = self.inodes[inode]
        if not isinstance(where.node, Link):
            raise XenfsError(f"{where.path} is not a link", errno.EINVAL)
        self.rights.require_link(caller(ctx), where)
        where.node.require_alive(
            self.xen, where.ids
        )  # the kernel remembers the name a little longer than the domain lives
        return os.fsencode(where.node.target(self.xen, *where.ids))

    @answered
    async def statfs(self, ctx: Any) -> pyfuse3.StatvfsData:
        answer = pyfuse3.StatvfsData()
        answer.f_bsize = answer.f_frsize = 4096
        answer.f_namemax = 255
        # No inode counts: df -i says "-", as of cgroup v2. What there is goes on and on.
        return answer

    # Open files

    @answered
    async def open(self, inode: int, flags: int, ctx: Any) -> pyfuse3.FileInfo:
        share = self.shares.take(ctx.uid)
        try:
            handle = self._opened(self.inodes[inode], flags, ctx)
        except BaseException:
            self.shares.give_back(share, 0)
            raise
        handle.share = share
        number = next(self._numbers)
        self.handles[number] = handle
        return pyfuse3.FileInfo(fh=pyfuse3.FileHandleT(number), direct_io=True, keep_cache=False)

    def _opened(self, where: Inode, flags: int, ctx: Any) -> Handle:
        handle = open_file(where)
        writing = flags & os.O_ACCMODE != os.O_RDONLY
        handle.caller = caller(ctx, named=writing)
        if writing:
            self._require_writing("open", handle.caller, where, flags)
        else:
            self.rights.require_open(handle.caller, where, flags)
        if isinstance(handle, Follower):
            handle.begin(self.xen)
            self.waiting.opened(handle)
        return handle

    def _require_writing(self, what: str, asking: Caller, where: Inode, flags: int) -> None:
        """EACCES where they may not, which is recorded: whoever tries to write is to be found."""
        try:
            if not stat.S_IMODE(where.node.mode) & 0o222:
                raise XenfsError(f"{where.path} cannot be written", errno.EACCES)
            self.rights.require_open(asking, where, flags)
        except XenfsError as problem:
            self.witness.refused(what, asking, where.path, problem)
            raise

    @answered
    async def read(self, fh: int, off: int, size: int) -> bytes:
        handle = self.handles[fh]
        if handle.node.slow_read and handle.slow(off):
            found = await self.lanes.run(handle.node, True, handle.read, self.xen, off, size)
        else:
            found = handle.read(self.xen, off, size)
        if size == PAGE and not off:
            self.attributes.shown(handle.inode, len(found))
        content = handle.content
        if handle.weighed or (content is not None and len(content) > SMALL):
            handle.weigh()
        return found

    @answered
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        handle = self.handles[fh]
        with self.witness.seeing("write", handle.caller, handle.inode.path, handle.node, buf):
            await self.lanes.run(handle.node, handle.node.slow_write, handle.write, self.xen, bytes(buf), off)
        self.attributes.written(handle.inode)
        if handle.content is not None:
            handle.keep()
        return len(buf)

    @answered
    async def release(self, fh: int) -> None:
        handle = self.handles.pop(fh, None)
        if handle is not None:
            self.shares.give_back(handle.share, handle.weighed)
            self.departed.closed(handle.inode)
        if isinstance(handle, Follower):
            self.waiting.released(fh, handle)

    @answered
    async def poll(self, inode: int, fh: int, poll_handle: Bell | None, ctx: Any) -> int:
        """Asked by the kernel where pyfuse3 is 3.5 or newer; with an older one it takes every file for ready."""
        handle = self.handles[fh]
        return self.waiting.poll(fh, handle, poll_handle) if isinstance(handle, Follower) else ALWAYS

    @answered
    async def fsync(self, fh: int, datasync: bool) -> None:
        pass  # the result of each write was known when it returned


def _below(parent: Inode, name: str) -> str:
    return f"{parent.path}/{name}" if parent.path else name


def _directory(inode: Inode) -> Dir:
    if not isinstance(inode.node, Dir):
        raise XenfsError(f"{inode.path} is not a directory", errno.ENOTDIR)
    return inode.node
