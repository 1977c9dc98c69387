"""FUSE requests for attributes and open files, one short method each."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from functools import partial
from typing import Any

import pyfuse3

from xenfs.errors import XenfsError
from xenfs.filesystem.boundary import answered, at_once
from xenfs.filesystem.callers import Caller, caller
from xenfs.filesystem.directories import Directories
from xenfs.filesystem.following import Follower
from xenfs.filesystem.gathering import Gathering
from xenfs.filesystem.handles import Handle, Remembered, Watched
from xenfs.filesystem.inodes import Inode
from xenfs.filesystem.opening import open_file
from xenfs.filesystem.record import LONG
from xenfs.filesystem.shares import NOTHING_MUCH, SMALL
from xenfs.filesystem.turns import BYTE_S, REQUEST_S
from xenfs.filesystem.waiting import ALWAYS, Bell, Waiting
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables.base import PAGE, Dir, Stream
from xenfs.nodes.tables.cost import NOTHING, Cost
from xenfs.nodes.tables.payload import gathers
from xenfs.nodes.tables.region import Clearable, Region

_WAITING = (Follower, Watched)  # what can be waited for
_FEW = 16  # parts, which may as well be freed at once


class Operations(Directories):
    """Serves one tree. access and the extended attributes are left out on purpose: the kernel hears ENOSYS of each once
    and never asks again. So it is with flush, where there is no file that hands something over when it is closed."""

    def __init__(self, xen: Hypervisor, root: Dir, *args: Any, **more: Any) -> None:
        super().__init__(xen, root, *args, **more)
        self.waiting = Waiting(self.xen)
        self.handles: dict[int, Handle] = {}
        self._gathers = gathers(root)

    # Attributes

    @answered
    async def getattr(self, inode: int, ctx: Any) -> pyfuse3.EntryAttributes:
        await self._turn(ctx.uid)
        where = self.inodes[inode]
        where.node.require_recent(self.xen, where.ids)
        if isinstance(where.node, Stream):
            return await self._grown(where, where.node, ctx)
        return self.attributes.of(where)

    async def _grown(self, where: Inode, node: Stream, ctx: Any) -> pyfuse3.EntryAttributes:
        """Who has a growing file open is told how long it is from there on; to all others it has 0 bytes.

        `tail -f` asks each second, and reads as much as the size has grown by.
        """
        followers = self.waiting.followers(where, ctx.pid)
        for each in followers:
            if await self.lanes.run(ctx.uid, node, node.grows, each.grown, self.xen):
                self.attributes.written(where)
                if self.waiting.follows(each):  # it may have been closed meanwhile
                    each.keep()
        attributes = self.attributes.of(where)
        attributes.st_size = max((each.length for each in followers), default=0)
        return attributes

    @answered
    async def setattr(self, inode: int, attr: Any, fields: Any, fh: int | None, ctx: Any) -> pyfuse3.EntryAttributes:
        where = self.inodes[inode]
        await self._turn(ctx.uid, writes=where.node)
        if fields.update_size and fh is None:  # an open file was asked for when it was opened
            self._require_writing("truncate", caller(ctx, named=True), where, os.O_WRONLY)
        if self.filling.begins(where, ctx.pid, self.rights.mode(where), attr, fields):
            if isinstance(where.node, Dir) and where.node.fill is not None:
                where.node.fill(self.xen, *where.ids)
            return self.attributes.of(where)
        self.attributes.allow(where, attr, fields)
        if fields.update_size and isinstance(where.node, Region):
            await self._cut(where, where.node, attr.st_size, ctx)
        elif fields.update_size and isinstance(where.node, Clearable) and not attr.st_size:
            await self._clear(where, where.node, ctx)
        return self.attributes.of(where)  # any other file has nothing to cut

    async def _cut(self, where: Inode, node: Region, size: int, ctx: Any) -> None:
        cut = node.cut
        if cut is None:
            if size != node.nbytes(self.xen, where.ids):
                raise XenfsError(f"{where.path} keeps its length", errno.EPERM)
            return
        await self._act(
            "truncate", caller(ctx, named=True), where.path, node, where.ids, lambda: cut(self.xen, *where.ids, size)
        )

    async def _emptied(self, where: Inode, ctx: Any) -> None:
        """What a shell's ">" asks for: libfuse has the kernel say so with the open, and no truncate comes."""
        if isinstance(where.node, Clearable):
            await self._clear(where, where.node, ctx)
        elif isinstance(where.node, Region) and where.node.cut is not None:
            await self._cut(where, where.node, 0, ctx)

    async def _clear(self, where: Inode, node: Clearable, ctx: Any) -> None:
        asking = caller(ctx, named=True)
        await self._act("truncate", asking, where.path, node, where.ids, lambda: node.clear(self.xen, where.ids))

    @answered
    async def statfs(self, ctx: Any) -> pyfuse3.StatvfsData:
        await self._turn(ctx.uid)
        answer = pyfuse3.StatvfsData()
        answer.f_bsize = answer.f_frsize = 4096
        answer.f_namemax = 255
        # No inode counts: df -i says "-", as of cgroup v2. What there is goes on and on.
        return answer

    # Open files

    @answered
    async def create(self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: Any) -> Any:
        await self._turn(ctx.uid, 2 * REQUEST_S)
        parent, text = self.inodes[parent_inode], os.fsdecode(name)
        inode = await self._filled(parent, text, ctx)
        if inode is None:
            raise XenfsError("files cannot be made here", errno.EACCES)
        try:
            return await self.open(inode.number, flags & ~(os.O_CREAT | os.O_EXCL), ctx), self.attributes.of(inode)
        except BaseException:
            self.inodes.forget(inode.number, 1)
            raise

    @answered
    async def open(self, inode: int, flags: int, ctx: Any) -> pyfuse3.FileInfo:
        if wait := self.turns.due(ctx.uid, 2 * REQUEST_S):  # and the release, which nobody waits for
            await self._waited(ctx.uid, wait)
        share = self.shares.take(ctx.uid)
        try:
            handle = self._opened(self.inodes[inode], flags, ctx)
            if flags & os.O_TRUNC:
                await self._emptied(self.inodes[inode], ctx)
            if isinstance(handle, Follower):
                await self.lanes.run(ctx.uid, handle.node, handle.node.grows, handle.begin, self.xen)
                self.waiting.opened(handle)
        except BaseException:
            self.shares.give_back(share, NOTHING_MUCH)
            raise
        handle.share = share
        number = next(self._numbers)
        self.handles[number] = handle
        kept = isinstance(handle, Remembered)
        return pyfuse3.FileInfo(fh=number, direct_io=not kept, keep_cache=kept)

    def _opened(self, where: Inode, flags: int, ctx: Any) -> Handle:
        handle = open_file(where, where.kept and self.attributes.kept(where))
        writing = flags & os.O_ACCMODE != os.O_RDONLY
        handle.caller = caller(ctx, named=writing)
        if writing:
            self._require_writing("open", handle.caller, where, flags)
        else:
            self.rights.require_open(handle.caller, where, flags)
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
        uid = handle.caller.uid
        if wait := self.turns.due(uid):  # as in open: a coroutine for those who need not wait takes as long as a call
            await self._waited(uid, wait)
        done = self.xen.recent.forgotten
        cost = handle.cost(off)
        if cost is NOTHING:
            found = handle.read(self.xen, off, size)
        else:
            found = await self._asked(handle, off, size)
        if len(found) > SMALL:  # many may have waited for the same, and each will close and open it at once
            await self._pace(uid, (1 if cost is NOTHING else 4) * REQUEST_S + len(found) * BYTE_S)
        if handle.node.stays:
            asked = not off and not isinstance(handle, Remembered)
            if asked and handle.content is not None:
                self.attributes.keep(handle.inode, bytes(handle.content), done)
        elif size == PAGE and not off:
            self.attributes.shown(handle.inode, len(found))
        content = handle.content
        if handle.weighed.bytes or (content is not None and len(content) > SMALL):
            handle.weigh()
        return found

    async def _asked(self, handle: Handle, off: int, size: int) -> bytes:
        """Of what takes work, all who ask for the same have the same snapshot."""
        node, uid = handle.node, handle.caller.uid
        if not handle.shared:
            return await self.lanes.run(uid, node, node.grows, handle.read, self.xen, off, size)
        ids = handle.inode.ids
        make = partial(self.lanes.lasting, node.content)
        handle.content = await self.lanes.run(uid, node, node.grows, make, self.xen, ids, key=(node, ids))
        return handle.content[off : off + size]

    @answered
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        handle = self.handles[fh]
        node, data = handle.node, bytes(buf)
        await self._turn(handle.caller.uid, writes=node)
        if isinstance(handle, Gathering):
            return self._gather(handle, data, off)
        await self._write(handle, data, partial(handle.write, self.xen, data, off))
        self.attributes.written(handle.inode)
        if handle.content is not None:
            handle.keep()
        return len(buf)

    async def _write(self, handle: Handle, data: bytes, work: Callable[[], object]) -> None:
        """Carry it out; in a thread where it is so long that to read it, or to make its digest, takes milliseconds."""
        node, uid = handle.node, handle.caller.uid
        with self.witness.seeing("write", handle.caller, handle.inode.path, node, data) as act:
            if len(data) <= LONG:
                await self.lanes.run(uid, node, node.write_cost(data), work, writes=True)
                return

            def sealed() -> None:
                act.seal()
                work()

            await self.lanes.run(uid, node, node.write_cost(data) | Cost.LENGTH, sealed, writes=True)

    def _gather(self, handle: Gathering, data: bytes, off: int) -> int:
        try:
            handle.gather(data, off)
        except XenfsError as problem:
            self.witness.refused("write", handle.caller, handle.inode.path, problem)
            raise
        return len(data)

    async def _hand_over(self, handle: Gathering) -> None:
        if handle.under_way:  # whoever began it is told how it ends
            return
        node = handle.node
        with handle.handing_over():
            try:
                data = await self.lanes.run(handle.caller.uid, node, handle.taking, handle.taken, writes=True)
            except XenfsError as problem:
                self.witness.refused("write", handle.caller, handle.inode.path, problem)
                raise
            if not data:
                return
            await self._write(handle, data, partial(node.apply, self.xen, handle.inode.ids, data))
            self._drop(handle)
        self.attributes.written(handle.inode)

    def _drop(self, handle: Gathering) -> None:
        if len(parts := handle.drop()) > _FEW:
            self.lanes.free(parts)

    @answered
    async def flush(self, fh: int) -> None:
        """A close(2), which says how the handing over ended."""
        if not self._gathers:
            raise pyfuse3.FUSEError(errno.ENOSYS)
        handle = self.handles[fh]
        if not isinstance(handle, Gathering):
            return
        await self._turn(handle.caller.uid, writes=handle.node)
        if handle.torn:
            problem = XenfsError("its writer was killed: what he has written is dropped", errno.EINTR)
            self.witness.refused("write", handle.caller, handle.inode.path, problem)
            self._drop(handle)
        await self._hand_over(handle)

    @at_once
    def release(self, fh: int) -> None:
        handle = self.handles.pop(fh, None)
        if isinstance(handle, Gathering):
            self._drop(handle)
        if handle is not None:
            self.shares.give_back(handle.share, handle.weighed)
            self.departed.closed(handle.inode)
        if isinstance(handle, _WAITING):
            self.waiting.released(fh, handle)

    @answered
    async def poll(self, inode: int, fh: int, poll_handle: Bell | None, ctx: Any) -> int:
        """Asked by the kernel where pyfuse3 is 3.5 or newer; with an older one it takes every file for ready."""
        handle = self.handles[fh]
        await self._turn(ctx.uid)
        if isinstance(handle, _WAITING):
            return self.waiting.poll(fh, handle, poll_handle)
        return ALWAYS

    @answered
    async def fsync(self, fh: int, datasync: bool) -> None:
        handle = self.handles[fh]
        await self._turn(handle.caller.uid)
        if isinstance(handle, Gathering):  # the result of each write elsewhere was known when it returned
            await self._hand_over(handle)
