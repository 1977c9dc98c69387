"""What all requests share: the tree, who may what, the lanes and turns, and what an entry's attributes are."""

from __future__ import annotations

import errno
from contextlib import suppress
from itertools import count
from typing import Any

import trio

from xenfs.errors import XenfsError
from xenfs.filesystem.attributes import Attributes
from xenfs.filesystem.departed import Departed
from xenfs.filesystem.filling import Filling
from xenfs.filesystem.fixed_names import FixedNames
from xenfs.filesystem.inodes import Inode, Inodes
from xenfs.filesystem.keeping import Keeping
from xenfs.filesystem.lanes import Lanes
from xenfs.filesystem.record import Record
from xenfs.filesystem.rights import Rights
from xenfs.filesystem.shares import Shares
from xenfs.filesystem.turns import REQUEST_S, Turns
from xenfs.filesystem.witness import Witness
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables.base import Dir, Node
from xenfs.nodes.tables.refusals import Refusals
from xenfs.options import Options


class Served(FixedNames):
    """One tree on one hypervisor."""

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
        self.lanes, self.turns = Lanes(), Turns()
        self.departed = Departed(self.inodes, xen.lives)
        xen.departed = self.departed.gone
        xen.names.waiting = xen.listings.waiting = self.lanes.computing.waiting
        xen.entries = lambda: len(self.inodes)
        self.keeping = Keeping(xen, self.inodes)
        self.shares = Shares(options.open_max)
        self.filling = Filling()
        self._numbers: Any = count(1)  # of open files and directories
        self.attributes = Attributes(xen, options, self.rights)

    async def _turn(self, uid: int, cost_s: float = REQUEST_S, writes: Node | None = None) -> None:
        """Let others come first who have asked for less; who writes to this entry has a place that is no reader's."""
        if wait := self.turns.due(uid, cost_s):
            await self._waited(uid, wait, writes)

    async def _waited(self, uid: int, wait_s: float, writes: Node | None = None) -> None:
        with self.lanes.place(uid) if writes is None else self.lanes.own_place(uid, writes):
            await trio.sleep(wait_s)

    async def _pace(self, uid: int, cost_s: float) -> None:
        """The same before an answer that is there already: where too many wait, it is given at once."""
        with suppress(XenfsError):
            await self._turn(uid, cost_s)


def directory_of(inode: Inode) -> Dir:
    """The directory that this inode is; ENOTDIR where it is none."""
    if not isinstance(inode.node, Dir):
        raise XenfsError(f"{inode.path} is not a directory", errno.ENOTDIR)
    return inode.node
