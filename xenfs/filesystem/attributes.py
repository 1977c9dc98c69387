"""What stat(2) says of an entry, and what of it may be asked for by chmod, chown and truncate."""

from __future__ import annotations

import errno
import stat
import time
from contextlib import suppress
from typing import Any

import pyfuse3
import trio

from xenfs.errors import XenfsError
from xenfs.filesystem.inodes import Inode, Kept
from xenfs.filesystem.rights import Rights
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables.base import PAGE, Dir, File, Stream
from xenfs.nodes.tables.region import Region
from xenfs.options import Options

_LASTING_S = 300.0  # names that are fixed for the life of the mount
_PASSING_S = 0.5  # names that come and go with domains, CPUs and pools
# How much programs are told to ask for at once. C's stdio goes by it, and with a page would look like sendfile(2): see
# `shown`. So does opendir(3), of which each request has a quarter as many names with the 32 KiB that it takes else.
_AT_ONCE, _MUCH_AT_ONCE = 2 * PAGE, 32 * PAGE


class Attributes:
    """Modes and owners by the mount's options, sizes by the tables, and when something was written last."""

    def __init__(self, xen: Hypervisor, options: Options, rights: Rights) -> None:
        self._xen, self._options, self._rights = xen, options, rights
        self._since_ns = time.time_ns()

    def of(self, inode: Inode) -> pyfuse3.EntryAttributes:
        """Everything at once; for how long the kernel may remember it as well."""
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = inode.number
        entry.st_mode = self._rights.mode(inode)
        entry.st_nlink = 2 if isinstance(inode.node, Dir) else 1
        entry.st_uid, entry.st_gid = self._owner(inode), self._options.gid
        size = inode.node.size if isinstance(inode.node, File) else 0
        entry.st_size, entry.st_blksize = size, _AT_ONCE if size else _MUCH_AT_ONCE
        if (kept := self.kept(inode)) is not None:  # the kernel reads it from its own memory, as far as it is long
            entry.st_size = len(kept)
        entry.st_atime_ns = entry.st_mtime_ns = entry.st_ctime_ns = inode.changed_ns or self._since_ns
        entry.entry_timeout = entry.attr_timeout = _LASTING_S if inode.lasting else _PASSING_S
        if isinstance(inode.node, Stream):
            entry.attr_timeout = 0  # it may have grown
        if getattr(inode.node, "fresh", False):
            entry.st_atime_ns = entry.st_mtime_ns = entry.st_ctime_ns = time.time_ns()
            entry.attr_timeout = 0
        if isinstance(inode.node, Region):
            entry.st_size, entry.attr_timeout = inode.node.nbytes(self._xen, inode.ids), 0
        inode.unsure = False
        return entry

    def _owner(self, inode: Inode) -> int:
        owner = inode.node.owner(inode.ids)
        return self._options.uid if owner is None else owner

    def written(self, inode: Inode) -> None:
        """Its time moves, for programs that look whether a file has changed."""
        inode.changed_ns = time.time_ns()

    def shown(self, inode: Inode, nbytes: int) -> None:
        """So much came of a page that was asked for, perhaps by sendfile(2) or splice(2), through the page cache.

        Linux takes that for the size from then on, and would cut what the next one finds. Told after the answer, it
        asks for the size anew; before, it would give the rest of the page as well.
        """
        if nbytes < PAGE and not inode.unsure and isinstance(inode.node, File) and inode.node.size:
            inode.unsure = True
            trio.lowlevel.current_trio_token().run_sync_soon(_forget, inode.number)

    def kept(self, inode: Inode) -> bytes | None:
        """The content of what stays, where it is known and xenfs has had nothing done since."""
        kept = inode.kept
        if kept is None or kept.done != self._xen.recent.forgotten or time.monotonic() > kept.until:
            return None
        return kept.content

    def keep(self, inode: Inode, content: bytes, done: int) -> None:
        """Let the kernel keep what stays from the next open on, so that the second read of it never comes here.

        It asks for the size anew first: of what it takes for empty it would read nothing.
        """
        if self.kept(inode) is None:
            found = Kept(content, done, time.monotonic() + _LASTING_S)
            trio.lowlevel.current_trio_token().run_sync_soon(_keep, inode, found)

    def allow(self, inode: Inode, wanted: Any, fields: Any) -> None:
        """XenfsError where something is to be different from what it is; `cp -p` asks for what is there already."""
        if (
            (fields.update_mode and stat.S_IMODE(wanted.st_mode) != stat.S_IMODE(self._rights.mode(inode)))
            or (fields.update_uid and wanted.st_uid != self._owner(inode))
            or (fields.update_gid and wanted.st_gid != self._options.gid)
        ):
            raise XenfsError("modes and owners are those of the mount options", errno.EPERM)
        if fields.update_size and not stat.S_IMODE(inode.node.mode) & 0o222:
            raise XenfsError(f"{inode.path} cannot be written", errno.EACCES)


def _keep(inode: Inode, found: Kept) -> None:
    inode.kept = found
    _forget(inode.number)


def _forget(number: pyfuse3.InodeT) -> None:
    with suppress(OSError):  # the kernel has forgotten by itself, or nothing is mounted any more
        pyfuse3.invalidate_inode(number, attr_only=True)
