"""physdev_op apic_read: registers of the machine's I/O APICs. Of a PV control domain only; x86."""

from __future__ import annotations

import errno

from xenfs.abi.numbers import PhysdevOp
from xenfs.abi.operations import operation
from xenfs.calls.control import numbered
from xenfs.calls.many import asked
from xenfs.calls.plain import plain
from xenfs.calls.rows import Rows
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor

APIC_READ = operation(PhysdevOp.apic_read)

_PLACES = range(0xFEC00000, 0xFED00000, 0x1000)  # chip sets put them there, one a page
_VERSION = 1
_STRUCT = "struct physdev_apic"
_FIRST_ENTRY = 0x10


def apic_read(xen: Hypervisor, address: int, register: int) -> int:
    """A register, 32 bits; EINVAL where no I/O APIC is at this physical address. physdev_op apic_read."""
    return int(numbered(xen, APIC_READ, apic_physbase=address, reg=register).value)


def apics(xen: Hypervisor) -> list[int]:
    """The physical addresses of those that Xen uses, of 0xfec00000 to 0xfecff000. Xen has no list: each is tried."""
    pack = plain(xen.abi, _STRUCT, ("apic_physbase", "reg")).pack
    questions = b"".join(pack(address, _VERSION) for address in _PLACES)
    answers = Rows(xen.abi, _STRUCT, ("value",))
    results = [result for result, _ in asked(xen, APIC_READ, questions, answers, APIC_READ.cmd)]
    strange = next((result for result in results if result not in (0, -errno.EINVAL)), 0)
    if strange:
        raise HypercallError(APIC_READ.name, -strange)
    return [address for address, result in zip(_PLACES, results, strict=True) if not result]


def registers(xen: Hypervisor, address: int) -> list[int]:
    """The numbers of its registers: id, version, arbitration, and two for each line that devices interrupt by."""
    entries = (apic_read(xen, address, _VERSION) >> 16 & 0xFF) + 1
    return [0, 1, 2, *range(_FIRST_ENTRY, _FIRST_ENTRY + 2 * entries)]
