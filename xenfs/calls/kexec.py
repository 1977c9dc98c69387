"""kexec_op: what Xen would boot next, and what it keeps for that. Of a PV control domain only; x86."""

from __future__ import annotations

import errno
from contextlib import ExitStack
from typing import Any, NamedTuple

from xenfs.abi.numbers import KexecOp, KexecRange, KexecType
from xenfs.abi.operations import operation
from xenfs.calls.multicall import multicall
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.operation import hint

STATUS = operation(KexecOp.kexec_status)
GET_RANGE = operation(KexecOp.kexec_get_range)

_STRUCT = "struct xen_kexec_range"
_BATCH = 32  # CPUs a multicall
_NONE = frozenset({errno.EINVAL, errno.ERANGE})


class Range(NamedTuple):
    """Machine memory: where it begins and how many bytes it has, both 0 for none."""

    start: int
    size: int


def loaded(xen: Hypervisor, which: KexecType) -> bool:
    """Whether an image for this occasion is loaded; kexec_op kexec_status. ENOSYS for a control domain that is PVH."""
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
        raise HypercallError(GET_RANGE.name, -result, hint(GET_RANGE, -result, xen.abi))
    return Range(int(view.start), int(view.size))
