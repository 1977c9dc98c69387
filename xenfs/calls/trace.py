"""Xen's trace buffers, as xentrace(8) uses them: sysctl tbuf_op, and hvm_op xentrace for a record of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xenfs.abi.numbers import HvmOp, Sysctl
from xenfs.abi.operations import operation
from xenfs.calls.bitmaps import bitmap, nbytes
from xenfs.calls.control import sysctl
from xenfs.calls.lists import packed
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.sources import asks

GET_INFO = operation(Sysctl.tbuf_op, "get_info")
SET_CPU_MASK = operation(Sysctl.tbuf_op, "set_cpu_mask")
SET_EVT_MASK = operation(Sysctl.tbuf_op, "set_evt_mask")
SET_SIZE = operation(Sysctl.tbuf_op, "set_size")
ENABLE = operation(Sysctl.tbuf_op, "enable")
DISABLE = operation(Sysctl.tbuf_op, "disable")
XENTRACE = operation(HvmOp.xentrace)


@asks(GET_INFO)
def buffers(xen: Hypervisor) -> Any:
    """struct xen_sysctl_tbuf_op: evt_mask, and buffer_mfn and size in bytes of the page that tells where the buffers
    are, both 0 while there are none; tbuf_op get_info. ENOSYS where Xen was built without them."""
    return sysctl(xen, GET_INFO)


def set_event_mask(xen: Hypervisor, mask: int) -> None:
    """Note events of these classes and subclasses from now on; tbuf_op set_evt_mask."""
    sysctl(xen, SET_EVT_MASK, evt_mask=mask)


def set_cpu_mask(xen: Hypervisor, cpus: frozenset[int], nr_cpus: int) -> None:
    """Note events of these CPUs from now on; tbuf_op set_cpu_mask."""
    with xen.pool.take(nbytes(nr_cpus)) as bits:
        bits.fill(bitmap(cpus, nr_cpus))
        mask = {"bitmap": bits, "nr_bits": nr_cpus}
        sysctl(xen, SET_CPU_MASK, cpu_mask=mask)


def set_size(xen: Hypervisor, pages: int) -> None:
    """Make a buffer of so many pages for each CPU, once; Xen takes fewer where it cannot count so far.

    EBUSY or EINVAL where there are buffers, ENOMEM where there is not so much. tbuf_op set_size.
    """
    sysctl(xen, SET_SIZE, size=pages)


def enable(xen: Hypervisor) -> None:
    """Begin to note events; EINVAL without buffers. tbuf_op enable."""
    sysctl(xen, ENABLE)


def disable(xen: Hypervisor) -> None:
    """Note nothing more; what is in the buffers stays. tbuf_op disable."""
    sysctl(xen, DISABLE)


def mark(xen: Hypervisor, event: int, words: Sequence[int]) -> None:
    """Note an event of the guests' own, of up to 0xfff, with up to seven words of 32 bits; hvm_op xentrace (x86)."""
    with xen.pool.take(xen.abi.sizeof("struct xen_hvm_xentrace")) as buf:
        view = xen.abi.view("struct xen_hvm_xentrace", buf)
        view.event, view.extra_bytes = event, 4 * len(words)
        data = packed(words, 4)
        xen.abi.ffi.memmove(view.extra, data, len(data))
        xen.hypercall(XENTRACE, XENTRACE.cmd, buf)
