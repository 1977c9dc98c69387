"""physdev_op: the registers of two pretended I/O APICs, which a PV control domain may read."""

from __future__ import annotations

from errno import EINVAL

from xenfs.simulator.machine import Answers, Machine

APICS = {0xFEC00000: 24, 0xFEC20000: 32}  # how many lines each has
_ID, _VERSION, _FIRST = 0, 1, 0x10
_CHIP, _MASKED = 0x20, 1 << 16


def apic_read(xen: Machine, address: int) -> int:
    """A register; nothing behind the last one."""
    op = xen.struct(address, "physdev_apic")
    base, register = xen.get(op, "physdev_apic", "apic_physbase", "reg")
    lines = APICS.get(base)
    if lines is None:
        return -EINVAL
    line, high = divmod(register - _FIRST, 2)
    value = 0
    if register == _ID:
        value = list(APICS).index(base) + 8 << 24
    elif register == _VERSION:
        value = lines - 1 << 16 | _CHIP
    elif 0 <= line < lines:
        value = 0 if high else 0x30 + line | (_MASKED if line > 20 else 0)
    xen.put(op, "physdev_apic", value=value)
    return 0


OPERATIONS: Answers = {"PHYSDEVOP_apic_read": apic_read}
