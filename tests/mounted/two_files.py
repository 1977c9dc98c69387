"""A filesystem of two files for tests of pyfuse3's workers: `slow` is answered once `quick` has been read.

Says on stdout what became of the workers' lock when it was unmounted: how many turnstiles, whether they were told who
waits, and how often a worker had to wait for one.
"""

from __future__ import annotations

import errno
import json
import stat
import sys
from contextlib import nullcontext
from typing import Any

import pyfuse3
import trio

from xenfs.filesystem.turnstile import Turnstile, turnstile

NAMES = {b"slow": 2, b"quick": 3}


parked = 0
_park = trio.lowlevel.ParkingLot.park


async def _counted(lot: trio.lowlevel.ParkingLot) -> None:
    global parked
    parked += 1
    await _park(lot)


class Two(pyfuse3.Operations):
    def __init__(self) -> None:
        super().__init__()
        self.read_once = trio.Event()

    async def getattr(self, inode: int, ctx: Any = None) -> pyfuse3.EntryAttributes:
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = pyfuse3.InodeT(inode)
        entry.st_mode = stat.S_IFDIR | 0o755 if inode == 1 else stat.S_IFREG | 0o444
        entry.st_nlink = 1
        return entry

    async def lookup(self, parent_inode: int, name: bytes, ctx: Any = None) -> pyfuse3.EntryAttributes:
        if name not in NAMES:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return await self.getattr(NAMES[name])

    async def open(self, inode: int, flags: int, ctx: Any) -> pyfuse3.FileInfo:
        return pyfuse3.FileInfo(fh=pyfuse3.FileHandleT(inode), direct_io=True)

    async def read(self, fh: int, off: int, size: int) -> bytes:
        if fh == NAMES[b"slow"]:
            await self.read_once.wait()
        else:
            self.read_once.set()
        return b"1\n"[off:]


async def main(mountpoint: str, own_lock: bool) -> None:
    """Serve until it is unmounted."""
    pyfuse3.init(Two(), mountpoint, {"fsname=two"})
    print("READY", flush=True)
    try:
        with nullcontext() if own_lock else turnstile() as stand:
            await pyfuse3.main()
    finally:
        pyfuse3.close(unmount=False)
    found = stand.turnstiles if stand else []
    told = all(isinstance(each, Turnstile) and each.told for each in found)
    print(json.dumps({"turnstiles": len(found), "told": told, "parked": parked, "back": pyfuse3.trio is trio}))


if __name__ == "__main__":
    trio.lowlevel.ParkingLot.park = _counted  # type: ignore[method-assign]
    trio.run(main, sys.argv[1], sys.argv[2:] == ["own"])
