"""Sysctl livepatch_op: the live patches of a pretended Xen, listed and asked for one by one."""

from __future__ import annotations

from errno import E2BIG, EAGAIN, EBUSY, EINVAL, ENOBUFS, ENOENT, EOPNOTSUPP

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.livepatches import CHECKED, Livepatch

OP, LIST = "xen_sysctl_livepatch_op", "xen_sysctl_livepatch_list"
AT_ONCE = 1024


def livepatch_op(xen: Machine, op: memoryview) -> int:
    """What is asked for; the word after the command must be zero, and from 4.19 may have the one flag."""
    second = "flags" if xen.layouts.has(OP, "flags") else "pad"
    cmd, word = xen.get(op, OP, "cmd", second)
    if word & ~(xen.constant("LIVEPATCH_FLAG_FORCE") if second == "flags" else 0):
        return -EINVAL
    body = op[xen.layouts.offset(OP, "u") :]
    if cmd == xen.constant("XEN_SYSCTL_LIVEPATCH_LIST"):
        return _list(xen, body)
    if cmd == xen.constant("XEN_SYSCTL_LIVEPATCH_ACTION"):
        return _act(xen, body)
    return _get(xen, body) if cmd == xen.constant("XEN_SYSCTL_LIVEPATCH_GET") else -EOPNOTSUPP


def _get(xen: Machine, body: memoryview) -> int:
    found = _found(xen, body)
    if isinstance(found, int):
        return found
    status = body[xen.layouts.offset("xen_sysctl_livepatch_get", "status") :]
    xen.put(status, "xen_livepatch_status", state=found.state, rc=found.rc & 0xFFFFFFFF)
    return 0


def _act(xen: Machine, body: memoryview) -> int:
    """Unload one that is checked. What it would take to patch this Xen it has not."""
    cmd, pad = xen.get(body, "xen_sysctl_livepatch_action", "cmd", "pad")
    found = -EINVAL if pad else _found(xen, body)
    if isinstance(found, int):
        return found
    if found.rc == -EAGAIN:
        return -EBUSY
    if cmd != xen.constant("LIVEPATCH_ACTION_UNLOAD"):
        return -EOPNOTSUPP
    if found.state != CHECKED:
        return -EINVAL
    xen.world.livepatches.unload(found.name)
    return 0


def _found(xen: Machine, body: memoryview) -> Livepatch | int:
    """The one whose name the struct begins with, or an errno."""
    struct = "xen_livepatch_name"
    address, size, pad = xen.get(body, struct, "name", "size", "pad")
    if not 0 < size <= xen.constant("XEN_LIVEPATCH_NAME_SIZE") or any(pad):
        return -EINVAL
    text = bytes(xen.at(address, size))
    if text[-1]:
        return -EINVAL
    wanted = text.split(b"\0", 1)[0]
    return next((patch for patch in xen.world.livepatches.loaded if patch.name == wanted), -ENOENT)


def _list(xen: Machine, body: memoryview) -> int:
    """As many as fit; with no room at all, how much room all of them would take. The result is how many were given."""
    patches = xen.world.livepatches
    first, room, pad = xen.get(body, LIST, "idx", "nr", "pad")
    if room > AT_ONCE:
        return -E2BIG
    if pad or (patches.loaded and first >= len(patches.loaded)):
        return -EINVAL
    if not room:
        given, result = 0, 0
        names = sum(len(patch.name) + 1 for patch in patches.loaded)
        metadata = sum(len(patch.metadata) for patch in patches.loaded)
        left = len(patches.loaded)
    else:
        given, result, names, metadata = _copied(xen, body, patches.loaded[first : first + room])
        left = len(patches.loaded) - first - given - (1 if result else 0)
    xen.put(body, LIST, version=patches.version, nr=left & 0xFFFFFFFF)
    xen.put(body, LIST, name_total_size=names, metadata_total_size=metadata)
    return result or given


def _copied(xen: Machine, body: memoryview, patches: list[Livepatch]) -> tuple[int, int, int, int]:
    """(how many, 0 or -ENOBUFS, bytes of names, bytes of metadata); only from 4.21 on does Xen look at the room."""
    members = ("name_total_size", "metadata_total_size", "status", "name", "len", "metadata", "metadata_len")
    name_room, metadata_room, status, name, length, metadata, metadata_length = xen.get(body, LIST, *members)
    bounded = xen.release >= (4, 21)
    names = more = 0
    for index, patch in enumerate(patches):
        text = patch.name + b"\0"
        if bounded and (names + len(text) > name_room or more + len(patch.metadata) > metadata_room):
            return index, -ENOBUFS, names, more
        packer = xen.layouts.array("xen_livepatch_status", "state", "rc")
        xen.copy_out(name + names, text)
        xen.copy_out(status + index * packer.size, packer.pack(patch.state, patch.rc & 0xFFFFFFFF))
        xen.copy_out(length + index * 4, len(text).to_bytes(4, "little"))
        xen.copy_out(metadata + more, patch.metadata)
        xen.copy_out(metadata_length + index * 4, len(patch.metadata).to_bytes(4, "little"))
        names, more = names + len(text), more + len(patch.metadata)
    return len(patches), 0, names, more


OPERATIONS: Answers = {"XEN_SYSCTL_livepatch_op": livepatch_op}
"""Of a Xen that was built with it."""
