"""Which sort of open file an entry of the tables has."""

from __future__ import annotations

import errno

from xenfs.errors import XenfsError
from xenfs.filesystem.following import Follower
from xenfs.filesystem.gathering import Gathering
from xenfs.filesystem.handles import Handle, Place, Remembered, Transaction, Watched
from xenfs.filesystem.inodes import Inode
from xenfs.nodes.tables.base import Exchange, File, Stream
from xenfs.nodes.tables.payload import Payload
from xenfs.nodes.tables.region import Region


def open_file(inode: Inode, kept: bytes | None = None) -> Handle:
    """The handle for an open of this inode; `kept` is what is known of it to stay."""
    node = inode.node
    if type(node) is File:  # nearly all are
        if kept is not None:
            return Remembered(inode, node, kept)
        return Watched(inode, node) if node.wakes else Handle(inode, node)
    if isinstance(node, Stream):
        return Follower(inode, node)
    if isinstance(node, Exchange):
        return Transaction(inode, node)
    if isinstance(node, Region):
        return Place(inode, node)
    if isinstance(node, Payload):
        return Gathering(inode, node)
    if isinstance(node, File):
        return Handle(inode, node)
    raise XenfsError(f"{inode.path} is not a file", errno.EISDIR)
