"""Loading microcode while Xen runs: platform_op microcode_update, with flags microcode_update2 (4.20 and later)."""

from __future__ import annotations

from xenfs.abi.numbers import MicrocodeFlag, Platform
from xenfs.abi.operations import operation
from xenfs.calls.control import platform
from xenfs.hypervisor.base import Hypervisor

UPDATE, UPDATE2 = operation(Platform.microcode_update), operation(Platform.microcode_update2)


def load(xen: Hypervisor, blob: bytes) -> None:
    """Load what a vendor's file has for these CPUs: all CPUs stop until each has it. EINVAL of another file, ENOENT
    where it has nothing for them, EEXIST where it has nothing newer, EPERM while CPU 0 is offline. platform_op
    microcode_update."""
    with xen.pool.take(len(blob)) as data:
        data.fill(blob)
        platform(xen, UPDATE, "microcode", length=len(blob), data=data)


def load_forced(xen: Hypervisor, blob: bytes) -> None:
    """The same where what it has is no newer, or even older; 4.20 and later. platform_op microcode_update2."""
    with xen.pool.take(len(blob)) as data:
        data.fill(blob)
        platform(xen, UPDATE2, "microcode2", length=len(blob), data=data, flags=MicrocodeFlag.FORCE)
