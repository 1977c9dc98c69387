"""kexec_op: what Xen would boot next, and what it keeps for that. Of a PV control domain only; x86."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from xenfs.abi.numbers import KexecOp, KexecRange, KexecType
from xenfs.abi.operations import operation
from xenfs.calls.control import fill
from xenfs.calls.multicall import multicall
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.operation import refusal

STATUS = operation(KexecOp.kexec_status)
GET_RANGE = operation(KexecOp.kexec_get_range)
LOAD, UNLOAD = operation(KexecOp.kexec_load), operation(KexecOp.kexec_unload)
KEXEC = operation(KexecOp.kexec)

_STRUCT = "struct xen_kexec_range"
_BATCH = 32  # CPUs a multicall
_NONE = frozenset({errno.EINVAL, errno.ERANGE})


class Range(NamedTuple):
    """Machine memory: where it begins and how many bytes it has, both 0 for none."""

    start: int
    size: int


def loaded(xen: Hypervisor, which: KexecType) -> bool:
    """Whether an image for this occasion is loaded; kexec_op kexec_status. ENOSYS for a control domain that is PVH.

    Xen's word turns with each load and each unload. It is true as long as nobody loads twice, or unloads nothing.
    """
    with xen.pool.take(xen.abi.sizeof("struct xen_kexec_status")) as buf:
        xen.abi.view("struct xen_kexec_status", buf).type = which
        return bool(xen.hypercall(STATUS, STATUS.cmd, buf))


def memory(xen: Hypervisor, which: KexecRange) -> Range | None:
    """One of the ranges, None for one that this Xen has not; kexec_op kexec_get_range."""
    return _ranges(xen, which, range(1))[0]


def crash_notes(xen: Hypervisor, nr_cpus: int) -> list[Range | None]:
    """Where each CPU would leave its notes in a crash, None where nothing is prepared for one; in batches."""
    found: list[Range | None] = []
    for first in range(0, nr_cpus, _BATCH):
        found += _ranges(xen, KexecRange.CPU, range(first, min(first + _BATCH, nr_cpus)))
    return found


def _ranges(xen: Hypervisor, which: KexecRange, numbers: range) -> list[Range | None]:
    with ExitStack() as loans:
        bufs = [loans.enter_context(xen.pool.take(xen.abi.sizeof(_STRUCT))) for _ in numbers]
        views: list[Any] = [xen.abi.view(_STRUCT, buf) for buf in bufs]
        for number, view in zip(numbers, views, strict=True):
            view.range, view.nr = which, number
        results = multicall(xen, [(GET_RANGE, (GET_RANGE.cmd, buf)) for buf in bufs])
        return [_found(xen, result, view) for result, view in zip(results, views, strict=True)]


def _found(xen: Hypervisor, result: int, view: Any) -> Range | None:
    if -result in _NONE:
        return None
    if result < 0:
        raise refusal(GET_RANGE, result, xen.abi)
    return Range(int(view.start), int(view.size))


class Segment(NamedTuple):
    """What lies at a page of the machine's memory: its bytes, and how many there are to be, zeros behind them."""

    start: int
    data: bytes
    size: int


def load(xen: Hypervisor, which: KexecType, machine: int, entry: int, segments: Sequence[Segment]) -> None:
    """Have Xen keep an image to be booted on this occasion, in place of the one that is loaded; `machine` is ELF's.

    EADDRNOTAVAIL for memory that is not to be had, or not kept for a crash; EINVAL where segments overlap, ENOMEM.
    kexec_op kexec_load.
    """
    name = "struct xen_kexec_segment"
    nbytes = xen.abi.sizeof(name) * len(segments)
    with xen.pool.take(xen.abi.sizeof("struct xen_kexec_load")) as buf, ExitStack() as loans:
        table = loans.enter_context(xen.pool.take(nbytes))
        for place, segment in zip(xen.abi.array(name, len(segments), table), segments, strict=True):
            data = loans.enter_context(xen.pool.take(len(segment.data)))
            data.fill(segment.data)
            given = {"buf_size": len(segment.data), "dest_maddr": segment.start, "dest_size": segment.size}
            fill(xen.abi, table, place, {**given, "buf": {"h": (data, len(segment.data))}})
        view = xen.abi.view("struct xen_kexec_load", buf)
        whole = {"type": which, "arch": machine, "nr_segments": len(segments), "entry_maddr": entry}
        fill(xen.abi, buf, view, {**whole, "segments": {"h": (table, nbytes)}})
        xen.hypercall(LOAD, LOAD.cmd, buf)
        if not loaded(xen, which):  # it has taken another one's place: once more, and Xen says that it is there
            xen.hypercall(LOAD, LOAD.cmd, buf)


def unload(xen: Hypervisor, which: KexecType) -> None:
    """Forget the image for this occasion, if there is one; kexec_op kexec_unload."""
    if not loaded(xen, which):
        return  # Xen would say from then on that there is one
    with xen.pool.take(xen.abi.sizeof("struct xen_kexec_unload")) as buf:
        xen.abi.view("struct xen_kexec_unload", buf).type = which
        xen.hypercall(UNLOAD, UNLOAD.cmd, buf)


def execute(xen: Hypervisor, which: KexecType) -> None:
    """Boot it now: this does not return. ENOENT where none is loaded. kexec_op kexec."""
    with xen.pool.take(xen.abi.sizeof("struct xen_kexec_exec")) as buf:
        xen.abi.view("struct xen_kexec_exec", buf).type = which
        xen.hypercall(KEXEC, KEXEC.cmd, buf)
