"""The least that pyfuse3 can do: files that answer a constant, and directories that are empty.

What xenfs is measured against. Same mount options, same time-outs, direct I/O, no hypercall, no tree, no locks,
nothing caught. `host/memory/free_kb` and `domains/<d>/memory/current_kb` are where xenfs has them, so that the
kernel walks the same way to both; a name in `bytes/` is the size of the file that it opens.
"""

from __future__ import annotations

import argparse
import errno
import os
import signal
import stat
from collections.abc import Sequence
from typing import Any

import pyfuse3
import trio

OPTIONS = {"fsname=bare", "subtype=bare", "default_permissions", "nosuid", "nodev", "noexec"}
CONSTANT = b"28394804\n"
LASTING_S, PASSING_S = 300.0, 1.0

# Inodes by number: the fixed ones, then a block for each kind that there are many of.
ROOT, HOST, HOST_MEMORY, FREE_KB, DOMAINS, BYTES = range(1, 7)
BLOCK = 1 << 24
DOMAIN, MEMORY, CURRENT_KB, SIZED = (BLOCK * n for n in range(1, 5))
FIXED = {
    (ROOT, b"host"): HOST,
    (ROOT, b"domains"): DOMAINS,
    (ROOT, b"bytes"): BYTES,
    (HOST, b"memory"): HOST_MEMORY,
    (HOST_MEMORY, b"free_kb"): FREE_KB,
}


class Bare(pyfuse3.Operations):
    """So many domains, each an empty directory when listed."""

    def __init__(self, domains: int) -> None:
        super().__init__()
        self.names = [b"%d" % number for number in range(domains)]
        self.content = b""

    def child(self, parent: int, name: bytes) -> int:
        """The inode of a name."""
        kind = parent // BLOCK * BLOCK
        if parent == DOMAINS and int(name) < len(self.names):
            return DOMAIN + int(name)
        if parent == BYTES:
            return SIZED + int(name)
        if kind == DOMAIN and name == b"memory":
            return MEMORY + parent - DOMAIN
        if kind == MEMORY and name == b"current_kb":
            return CURRENT_KB + parent - MEMORY
        try:
            return FIXED[parent, name]
        except KeyError:
            raise pyfuse3.FUSEError(errno.ENOENT) from None

    def attributes(self, inode: int) -> pyfuse3.EntryAttributes:
        """Attributes, with the time-outs that xenfs gives to such an entry."""
        entry = pyfuse3.EntryAttributes()
        file = inode == FREE_KB or inode >= CURRENT_KB
        entry.st_ino = pyfuse3.InodeT(inode)
        entry.st_mode = stat.S_IFREG | 0o444 if file else stat.S_IFDIR | 0o555
        entry.st_nlink = 1 if file else 2
        entry.st_uid, entry.st_gid = os.getuid(), os.getgid()
        entry.st_size = 0
        entry.entry_timeout = entry.attr_timeout = LASTING_S if inode < BLOCK else PASSING_S
        return entry

    async def lookup(self, parent_inode: int, name: bytes, ctx: Any = None) -> pyfuse3.EntryAttributes:
        return self.attributes(self.child(parent_inode, name))

    async def getattr(self, inode: int, ctx: Any = None) -> pyfuse3.EntryAttributes:
        return self.attributes(inode)

    async def open(self, inode: int, flags: int, ctx: Any) -> pyfuse3.FileInfo:
        if inode - SIZED > len(self.content):
            self.content = b"x" * (inode - SIZED)
        return pyfuse3.FileInfo(fh=pyfuse3.FileHandleT(inode), direct_io=True, keep_cache=False)

    async def read(self, fh: int, off: int, size: int) -> bytes:
        if fh >= SIZED:
            return self.content[off : min(off + size, fh - SIZED)]
        return CONSTANT[off : off + size]

    async def release(self, fh: int) -> None:
        pass

    async def opendir(self, inode: int, ctx: Any) -> pyfuse3.FileHandleT:
        return pyfuse3.FileHandleT(inode)

    async def readdir(self, fh: int, start_id: int, token: Any) -> None:
        if fh != DOMAINS:
            return
        entry: Any = self.attributes(DOMAIN)
        for number in range(start_id, len(self.names)):
            entry.st_ino = DOMAIN + number
            if not pyfuse3.readdir_reply(token, self.names[number], entry, number + 1):
                return

    async def releasedir(self, fh: int) -> None:
        pass

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        pass


async def serve(operations: Bare, mountpoint: str, ready_fd: int) -> None:
    """Mount, say so, and serve until a signal."""
    pyfuse3.init(operations, mountpoint, OPTIONS)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_terminate_on_signal)
            nursery.start_soon(_main, nursery.cancel_scope)
            os.write(ready_fd, b"READY\n")
            os.close(ready_fd)
    finally:
        pyfuse3.close()


async def _main(scope: trio.CancelScope) -> None:
    await pyfuse3.main()
    scope.cancel()


async def _terminate_on_signal() -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            pyfuse3.terminate()
            return


def main() -> None:
    """Serve from the command line, as scripts/bench does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mountpoint")
    parser.add_argument("--domains", type=int, default=1000)
    parser.add_argument("--ready-fd", type=int, required=True)
    args = parser.parse_args()
    trio.run(serve, Bare(args.domains), args.mountpoint, args.ready_fd)


if __name__ == "__main__":
    main()
