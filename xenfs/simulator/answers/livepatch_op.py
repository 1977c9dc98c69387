"""Sysctl livepatch_op: the live patches of a pretended Xen, uploaded, listed, asked for and acted on one by one."""

from __future__ import annotations

from errno import E2BIG, EAGAIN, EBUSY, EEXIST, EINVAL, ENOBUFS, ENOENT, EOPNOTSUPP

from xenfs.simulator.answers.livepatch_elf import parsed
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.livepatches import CHECKED, Livepatch, Livepatches

OP, LIST = "xen_sysctl_livepatch_op", "xen_sysctl_livepatch_list"
ACTION = "xen_sysctl_livepatch_action"
AT_ONCE = 1024
MAX_SIZE = 2 << 20
_DEEDS = {"APPLY": Livepatches.apply, "REVERT": Livepatches.revert, "REPLACE": Livepatches.replace}


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
    if cmd == xen.constant("XEN_SYSCTL_LIVEPATCH_UPLOAD"):
        return _upload(xen, body)
    return _get(xen, body) if cmd == xen.constant("XEN_SYSCTL_LIVEPATCH_GET") else -EOPNOTSUPP


def name_of(xen: Machine, op: memoryview) -> str:
    """What a record of calls has for it: nothing more of what only looks."""
    (cmd,) = xen.get(op, OP, "cmd")
    if cmd == xen.constant("XEN_SYSCTL_LIVEPATCH_ACTION"):
        (action,) = xen.get(op[xen.layouts.offset(OP, "u") :], ACTION, "cmd")
        words = {xen.constant(f"LIVEPATCH_ACTION_{word}"): word for word in ("UNLOAD", *_DEEDS)}
        return f"ACTION {words.get(action, action)}"
    return "UPLOAD" if cmd == xen.constant("XEN_SYSCTL_LIVEPATCH_UPLOAD") else ""


def _upload(xen: Machine, body: memoryview) -> int:
    name = _name(xen, body)
    if isinstance(name, int):
        return name
    size, payload = xen.get(body, "xen_sysctl_livepatch_upload", "size", "payload")
    if not 0 < size <= MAX_SIZE:
        return -EINVAL
    if xen.world.livepatches.find(name):
        return -EEXIST
    patches = xen.world.livepatches
    patches.upload(parsed(name, bytes(xen.at(payload, size)), patches.xen, x86=xen.x86))
    return 0


def _get(xen: Machine, body: memoryview) -> int:
    found = _found(xen, body)
    if isinstance(found, int):
        return found
    status = body[xen.layouts.offset("xen_sysctl_livepatch_get", "status") :]
    xen.world.livepatches.looked_at()
    xen.put(status, "xen_livepatch_status", state=found.state, rc=found.rc & 0xFFFFFFFF)
    return 0


def _act(xen: Machine, body: memoryview) -> int:
    """Unload, apply, revert or replace; what the state does not suit is left as it is, but for unload."""
    cmd, pad = xen.get(body, ACTION, "cmd", "pad")
    found = -EINVAL if pad else _found(xen, body)
    if isinstance(found, int):
        return found
    if found.rc == -EAGAIN:
        return -EBUSY
    patches = xen.world.livepatches
    if cmd == xen.constant("LIVEPATCH_ACTION_UNLOAD"):
        if found.state != CHECKED:
            return -EINVAL
        patches.unload(found.name)
        return 0
    for word, deed in _DEEDS.items():
        if cmd == xen.constant(f"LIVEPATCH_ACTION_{word}"):
            deed(patches, found)
            return 0
    return -EOPNOTSUPP


def _found(xen: Machine, body: memoryview) -> Livepatch | int:
    """The one whose name the struct begins with, or an errno."""
    name = _name(xen, body)
    return name if isinstance(name, int) else xen.world.livepatches.find(name) or -ENOENT


def _name(xen: Machine, body: memoryview) -> bytes | int:
    """The name that the struct begins with, or an errno."""
    struct = "xen_livepatch_name"
    address, size, pad = xen.get(body, struct, "name", "size", "pad")
    if not 0 < size <= xen.constant("XEN_LIVEPATCH_NAME_SIZE") or any(pad):
        return -EINVAL
    text = bytes(xen.at(address, size))
    return -EINVAL if text[-1] else text.split(b"\0", 1)[0]


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
