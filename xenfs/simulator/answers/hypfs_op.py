"""The hypercall that reads and writes Xen's own small filesystem."""

from __future__ import annotations

from errno import EINVAL, ENOBUFS

from xenfs.simulator.answers import hypfs_tree
from xenfs.simulator.answers.hypfs_entries import LONGEST_PARAMETER, Directory, Entry
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.refused import Refused

DIRENTRY = ("type", "encoding", "pad", "content_len", "max_write_len")


def get_version(xen: Machine, *args: int) -> int:
    """The version of the interface, as the result; every argument must be 0."""
    return -EINVAL if any(args) else xen.constant("XEN_HYPFS_VERSION")


def read(xen: Machine, path: int, path_bytes: int, address: int, room: int) -> int:
    """An entry's description and then its content; ENOBUFS, with only the description, where there is no room."""
    entry = _entry(xen, path, path_bytes)
    content = _listing(xen, entry) if isinstance(entry, Directory) else entry.content
    described = _described(xen, entry, len(content))
    if room < len(described):
        return -EINVAL
    xen.copy_out(address, described)
    if room < len(described) + len(content):
        return -ENOBUFS
    xen.copy_out(address + len(described), content)
    return 0


def write_contents(xen: Machine, path: int, path_bytes: int, address: int, nbytes: int) -> int:
    """Change a value, all of it."""
    entry = _entry(xen, path, path_bytes)
    if not entry.room or nbytes > LONGEST_PARAMETER:
        entry.write(bytes(min(nbytes, LONGEST_PARAMETER + 1)))  # refused without a look at the bytes
    entry.write(bytes(xen.at(address, nbytes)))
    return 0


def _entry(xen: Machine, address: int, nbytes: int) -> Entry:
    if nbytes > xen.constant("XEN_HYPFS_MAX_PATHLEN"):
        raise Refused(EINVAL)
    path = bytes(xen.at(address, nbytes))
    if not path or path.find(0) != len(path) - 1:
        raise Refused(EINVAL)
    if xen.hypfs is None:
        xen.hypfs = hypfs_tree.tree(xen)
    return hypfs_tree.entry_at(xen.hypfs, path[:-1].decode("latin-1"))


def _described(xen: Machine, entry: Entry, nbytes: int) -> bytes:
    packer = xen.layouts.array("xen_hypfs_direntry", *DIRENTRY)
    return packer.pack(entry.type, entry.encoding, 0, nbytes, entry.room)


def _listing(xen: Machine, directory: Directory) -> bytes:
    """The entries one after another, each with the distance to the next; 0 in the last."""
    listing, entries = b"", list(directory.entries.items())
    name_at = xen.layouts.offset("xen_hypfs_dirlistentry", "name")
    for index, (name, entry) in enumerate(entries):
        # A name is padded to a multiple of four as if it began at one, which it does not.
        padded = name.encode().ljust((len(name) + 4) // 4 * 4, b"\0")
        content = len(_listing(xen, entry)) if isinstance(entry, Directory) else len(entry.content)
        last = index == len(entries) - 1
        distance = 0 if last else name_at + len(padded)
        listing += _described(xen, entry, content) + distance.to_bytes(2, "little") + padded
    return listing


OPERATIONS: Answers = {
    "XEN_HYPFS_OP_get_version": get_version,
    "XEN_HYPFS_OP_read": read,
    "XEN_HYPFS_OP_write_contents": write_contents,
}
