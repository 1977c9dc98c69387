"""What a tree of fixed names does not do: each request for it gets the errno that Linux's sysfs gives."""

from __future__ import annotations

import errno
from typing import Any

import pyfuse3

from xenfs.errors import XenfsError
from xenfs.filesystem.boundary import answered


class FixedNames(pyfuse3.Operations):
    """Refuses to make, remove or rename files and links."""

    async def _turn(self, uid: int) -> None:
        """Let others come first who have asked for less."""
        raise NotImplementedError

    @answered
    async def mknod(self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: Any) -> Any:
        await self._turn(ctx.uid)
        raise XenfsError("files cannot be made here", errno.EPERM)

    @answered
    async def unlink(self, parent_inode: int, name: bytes, ctx: Any) -> None:
        await self._turn(ctx.uid)
        raise XenfsError("files cannot be removed here", errno.EPERM)

    @answered
    async def symlink(self, parent_inode: int, name: bytes, target: bytes, ctx: Any) -> Any:
        await self._turn(ctx.uid)
        raise XenfsError("links cannot be made here", errno.EPERM)

    @answered
    async def link(self, inode: int, new_parent_inode: int, new_name: bytes, ctx: Any) -> Any:
        await self._turn(ctx.uid)
        raise XenfsError("links cannot be made here", errno.EPERM)

    @answered
    async def rename(self, *args: Any) -> None:
        await self._turn(args[-1].uid)
        raise XenfsError("nothing can be renamed here", errno.EPERM)
