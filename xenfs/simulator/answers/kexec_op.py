"""kexec_op: whether something is loaded to be booted next, and what memory is kept for a crash. A PV dom0's only."""

from __future__ import annotations

from errno import EINVAL, ERANGE

from xenfs.simulator.machine import Answers, Machine

RANGE = "xen_kexec_range"
CRASH_AREA = (0x30000000, 256 << 20)
XEN_IMAGE = (0x2AC00000, 0x4A1000)
NOTES_BYTES, NOTES_START = 0x1A0, 0x83F000000
VMCOREINFO = (0x2B0C7000, 4096)


def kexec_status(xen: Machine, address: int) -> int:
    """1 where an image is loaded. A crash kernel is, and nothing for an ordinary reboot."""
    (kind,) = xen.get(xen.struct(address, "xen_kexec_status"), "xen_kexec_status", "type")
    default, crash = xen.layouts.constants("KEXEC_TYPE_DEFAULT", "KEXEC_TYPE_CRASH")
    if kind not in (default, crash):
        return -EINVAL
    return int(kind == crash)


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


OPERATIONS: Answers = {"KEXEC_CMD_kexec_status": kexec_status, "KEXEC_CMD_kexec_get_range": kexec_get_range}
