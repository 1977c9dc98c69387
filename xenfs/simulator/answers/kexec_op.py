"""kexec_op: whether something is loaded to be booted next, and what memory is kept for a crash. A PV dom0's only."""

from __future__ import annotations

from errno import EADDRNOTAVAIL, EINVAL, ENOENT, ERANGE
from itertools import pairwise

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.physmap import PAGE

RANGE = "xen_kexec_range"
SEGMENT_MAX = 16
CRASH_AREA = (0x30000000, 256 << 20)
XEN_IMAGE = (0x2AC00000, 0x4A1000)
NOTES_BYTES, NOTES_START = 0x1A0, 0x83F000000
VMCOREINFO = (0x2B0C7000, 4096)


def kexec_status(xen: Machine, address: int) -> int:
    """1 after the first load or unload, 0 after the second: Xen's own word for whether an image is loaded."""
    (kind,) = xen.get(xen.struct(address, "xen_kexec_status"), "xen_kexec_status", "type")
    default, crash = xen.layouts.constants("KEXEC_TYPE_DEFAULT", "KEXEC_TYPE_CRASH")
    if kind not in (default, crash):
        return -EINVAL
    return int(kind in xen.world.host.kexec_turned)


def kexec_get_range(xen: Machine, address: int) -> int:
    """Where something lies; of x86-64 there are only four kinds."""
    op = xen.struct(address, RANGE)
    kind, number = xen.get(op, RANGE, "range", "nr")
    names = ("CRASH", "XEN", "CPU", "VMCOREINFO")
    crash, image, cpu, info = (xen.constant(f"KEXEC_RANGE_MA_{name}") for name in names)
    found = {crash: CRASH_AREA, image: XEN_IMAGE, info: VMCOREINFO}
    if kind == cpu:
        if number >= xen.world.host.nr_cpus:
            return -ERANGE
        found[cpu] = NOTES_START + number * NOTES_BYTES, NOTES_BYTES
    if kind not in found:
        return -EINVAL
    xen.put(op, RANGE, start=found[kind][0], size=found[kind][1])
    return 0


def kexec_load(xen: Machine, address: int) -> int:
    """Keep an image: of whole pages that do not overlap and, for a crash, in what is kept for that."""
    op = xen.struct(address, "xen_kexec_load")
    kind, count, entry = xen.get(op, "xen_kexec_load", "type", "nr_segments", "entry_maddr")
    (table,) = xen.get(op, "xen_kexec_load", "segments.h")
    if count >= SEGMENT_MAX or kind not in xen.layouts.constants("KEXEC_TYPE_DEFAULT", "KEXEC_TYPE_CRASH"):
        return -EINVAL
    size, found = xen.layouts.size("xen_kexec_segment"), []
    for index in range(count):
        memory = xen.at(table + index * size, size)
        start, nbytes = xen.get(memory, "xen_kexec_segment", "dest_maddr", "dest_size")
        given, source = (xen.get(memory, "xen_kexec_segment", name)[0] for name in ("buf_size", "buf.h"))
        if start % PAGE or nbytes % PAGE:
            return -EADDRNOTAVAIL
        if given > nbytes:
            return -EINVAL
        xen.at(source, given)
        found.append((start, start + nbytes))
    crash = kind == xen.constant("KEXEC_TYPE_CRASH")
    low, high = CRASH_AREA[0], sum(CRASH_AREA)
    if crash and (not low <= entry <= high or any(start < low or end > high for start, end in found)):
        return -EADDRNOTAVAIL
    found.sort()
    if any(after[0] < before[1] for before, after in pairwise(found)):
        return -EINVAL
    xen.world.host.kexec_loaded.add(kind)
    xen.world.host.kexec_turned ^= {kind}
    return 0


def kexec_unload(xen: Machine, address: int) -> int:
    """Forget an image."""
    (kind,) = xen.get(xen.struct(address, "xen_kexec_unload"), "xen_kexec_unload", "type")
    if kind not in xen.layouts.constants("KEXEC_TYPE_DEFAULT", "KEXEC_TYPE_CRASH"):
        return -EINVAL
    xen.world.host.kexec_loaded.discard(kind)
    xen.world.host.kexec_turned ^= {kind}
    return 0


def kexec(xen: Machine, address: int) -> int:
    """Boot an image, where there is one: the pretended host goes on."""
    (kind,) = xen.get(xen.struct(address, "xen_kexec_exec"), "xen_kexec_exec", "type")
    if kind not in xen.world.host.kexec_loaded:
        return -ENOENT
    xen.world.host.booted_into = kind
    return 0


OPERATIONS: Answers = {
    "KEXEC_CMD_kexec_status": kexec_status, "KEXEC_CMD_kexec_get_range": kexec_get_range,
    "KEXEC_CMD_kexec_load": kexec_load, "KEXEC_CMD_kexec_unload": kexec_unload, "KEXEC_CMD_kexec": kexec,
}  # fmt: skip
