"""console_io: text from the control domain to Xen's console."""

from __future__ import annotations

from xenfs.abi.numbers import ConsoleOp
from xenfs.abi.operations import operation
from xenfs.hypervisor.base import Hypervisor

WRITE = operation(ConsoleOp.write)


def write(xen: Hypervisor, data: bytes) -> None:
    """Send bytes to the console, as they are: a serial line takes a millisecond for ten of them. console_io write."""
    with xen.pool.take(len(data)) as buf:
        buf.fill(data)
        xen.hypercall(WRITE, WRITE.cmd, len(data), buf)
