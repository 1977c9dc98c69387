"""hypfs_op: Xen's own tree of settings and build information."""

from __future__ import annotations

import errno
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from xenfs.abi.numbers import HypfsOp, HypfsType
from xenfs.abi.operations import operation
from xenfs.errors import HypercallError, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.pool import Buffer

READ = operation(HypfsOp.read)
WRITE = operation(HypfsOp.write_contents)
GET_VERSION = operation(HypfsOp.get_version)

_NUMBERS = (HypfsType.UINT, HypfsType.INT, HypfsType.BOOL)
_FIRST_TRY = 4096
_LONGEST = 1 << 24
_GZIP = 1  # XEN_HYPFS_ENC_GZIP


class Entry(NamedTuple):
    """An entry of hypfs: its name, its type (HypfsType), whether it can be written, and how it is encoded.

    `size` is how many bytes a number or a boolean takes; 0 for what may change its length.
    """

    name: str
    type: int
    writable: bool
    encoding: int
    size: int = 0

    @property
    def is_dir(self) -> bool:
        """True for a directory."""
        return self.type == HypfsType.DIR


def version(xen: Hypervisor) -> int:
    """The highest version of the interface that Xen speaks; hypfs_op get_version (Xen 4.14)."""
    return xen.hypercall(GET_VERSION, HypfsOp.get_version, 0, 0, 0, 0)


def path_of(entries: tuple[Entry, ...]) -> str:
    """The absolute path that a chain of entries spells."""
    return "/" + "/".join(entry.name for entry in entries)


def read(xen: Hypervisor, path: str) -> tuple[Entry, bytes]:
    """What is at a path: the entry, and its content as Xen has it (see `entries` for a directory's).

    ENOENT for a path that is not there. hypfs_op read.
    """
    size = _FIRST_TRY
    while True:
        with _path(xen, path) as where, xen.pool.take(size) as data:
            try:
                xen.hypercall(READ, HypfsOp.read, where, where.nbytes, data, size)
            except HypercallError as problem:
                if problem.errno != errno.ENOBUFS or size > _LONGEST:
                    raise
                size = max(2 * size, _header(xen) + xen.abi.view("struct xen_hypfs_direntry", data).content_len)
                continue
            found = xen.abi.view("struct xen_hypfs_direntry", data)
            entry = _entry(path.rsplit("/", 1)[-1], found)
            return entry, bytes(data.memory[_header(xen) : _header(xen) + found.content_len])


def content(xen: Hypervisor, path: str) -> tuple[Entry, bytes]:
    """The same, with a compressed content inflated."""
    entry, data = read(xen, path)
    if entry.encoding == _GZIP:
        try:
            data = zlib.decompress(data, wbits=zlib.MAX_WBITS | 16)
        except zlib.error as problem:
            raise XenfsError(f"{path}: not the gzip data that Xen says it is ({problem})", errno.EIO) from None
    return entry, data


def _entry(name: str, found: Any) -> Entry:
    size = found.content_len if found.type in _NUMBERS else 0
    return Entry(name, found.type, found.max_write_len > 0, found.encoding, size)


def entries(xen: Hypervisor, path: str) -> list[Entry]:
    """What is in a directory; ENOTDIR for a path that is none."""
    where, data = read(xen, path)
    if not where.is_dir:
        raise XenfsError(f"{path} is not a directory of hypfs", errno.ENOTDIR)
    return list(_listed(xen, data))


def _listed(xen: Hypervisor, data: bytes) -> Iterator[Entry]:
    names = xen.abi.offsetof("struct xen_hypfs_dirlistentry", "name")
    at = 0
    while at + names < len(data):
        item: Any = xen.abi.ffi.cast("struct xen_hypfs_dirlistentry *", xen.abi.ffi.from_buffer(data) + at)
        name = data[at + names : data.index(b"\0", at + names)].decode("utf-8", "replace")
        yield _entry(name, item.e)
        if not item.off_next:
            return
        at += item.off_next


def write(xen: Hypervisor, path: str, value: bytes) -> None:
    """Set an entry; E2BIG or ENOSPC beyond its length, EACCES where it is read-only. hypfs_op write_contents."""
    with _path(xen, path) as where, xen.pool.take(max(1, len(value))) as data:
        data.fill(value)
        xen.hypercall(WRITE, HypfsOp.write_contents, where, where.nbytes, data, len(value))


def _path(xen: Hypervisor, path: str) -> Buffer:
    text = path.encode() + b"\0"
    buf = xen.pool.take(len(text))
    buf.fill(text)
    return buf


def _header(xen: Hypervisor) -> int:
    return xen.abi.sizeof("struct xen_hypfs_direntry")
