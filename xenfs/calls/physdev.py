"""physdev_op apic_read: registers of the machine's I/O APICs. Of a PV control domain only; x86."""

from __future__ import annotations

import errno

from xenfs.abi.numbers import PhysdevOp
from xenfs.abi.operations import operation
from xenfs.errors import answered_by
from xenfs.hypervisor.base import Hypervisor

APIC_READ = operation(PhysdevOp.apic_read)

_PLACES = range(0xFEC00000, 0xFED00000, 0x1000)  # chip sets put them there, one a page
_VERSION = 1
_FIRST_ENTRY = 0x10


def apic_read(xen: Hypervisor, address: int, register: int) -> int:
    """A register, 32 bits; EINVAL where no I/O APIC is at this physical address. physdev_op apic_read."""
    with xen.pool.take(xen.abi.sizeof("struct physdev_apic")) as buf:
        view = xen.abi.view("struct physdev_apic", buf)
        view.apic_physbase, view.reg = address, register
        xen.hypercall(APIC_READ, APIC_READ.cmd, buf)
        return int(view.value)


def apics(xen: Hypervisor) -> list[int]:
    """The physical addresses of those that Xen uses, of 0xfec00000 to 0xfecff000. Xen has no list: each is tried."""
    return [address for address in _PLACES if _there(xen, address)]


def _there(xen: Hypervisor, address: int) -> bool:
    with answered_by(errno.EINVAL):
        apic_read(xen, address, _VERSION)
        return True
    return False


def registers(xen: Hypervisor, address: int) -> list[int]:
    """The numbers of its registers: id, version, arbitration, and two for each line that devices interrupt by."""
    entries = (apic_read(xen, address, _VERSION) >> 16 & 0xFF) + 1
    return [0, 1, 2, *range(_FIRST_ENTRY, _FIRST_ENTRY + 2 * entries)]
