"""One domctl asked of many domains or vCPUs: the structs in one buffer, a multicall for each batch of them."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from xenfs.abi import Abi
from xenfs.abi.numbers import DomctlSched
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.calls.domctl import GETVCPUINFO
from xenfs.hypervisor.calls.multicall import in_a_row
from xenfs.hypervisor.calls.rows import Rows
from xenfs.hypervisor.calls.scheduler import PARAMETERS, SCHEDULER_OP
from xenfs.hypervisor.operation import Operation

_BATCH = 512
_STRUCT = "struct xen_domctl"
_GONE = frozenset({errno.ESRCH, errno.EINVAL, errno.ENOENT})  # the domain, the vCPU, or the domain from its pool

Row = tuple[Any, ...]


def vcpu_times(xen: Hypervisor, vcpus: Sequence[tuple[int, int]]) -> list[Row | None]:
    """(online, CPU time in ns) of each (domain, vCPU); None for one that is not there. domctl getvcpuinfo."""
    answers = _rows(xen.abi, "u.getvcpuinfo.online", "u.getvcpuinfo.cpu_time")
    return _asked(xen, GETVCPUINFO, [_vcpu_question(xen.abi, vcpu).about(domid) for domid, vcpu in vcpus], answers)


def parameters(xen: Hypervisor, domids: Sequence[int], sched_id: int) -> list[Row | None]:
    """What scheduler `sched_id` holds for each domain, in the order of PARAMETERS; None for one that is gone.

    Such as (weight, cap); domctl scheduler_op.
    """
    arm, names = PARAMETERS[sched_id]
    answers = _rows(xen.abi, *(f"u.scheduler_op.u.{arm}.{name}" for name in names))
    question = _sched_question(xen.abi, sched_id)
    return _asked(xen, SCHEDULER_OP, [question.about(domid) for domid in domids], answers)


class _Question:
    """A domctl with everything set but the domain."""

    def __init__(self, abi: Abi, op: Operation, arm: str, **given: int) -> None:
        at = abi.offsetof(_STRUCT, "domain")
        whole: Any = abi.ffi.new(f"{_STRUCT} *")
        whole.cmd, whole.interface_version = op.cmd, abi.domctl
        for name, value in given.items():
            setattr(getattr(whole.u, arm), name, value)
        raw = bytes(abi.ffi.buffer(whole))
        self._head, self._tail = raw[:at], raw[at + abi.sizeof("domid_t") :]
        self._width = abi.sizeof("domid_t")

    def about(self, domid: int) -> bytes:
        """The whole struct, about this domain."""
        return self._head + domid.to_bytes(self._width, "little") + self._tail


@cache
def _vcpu_question(abi: Abi, vcpu: int) -> _Question:
    return _Question(abi, GETVCPUINFO, "getvcpuinfo", vcpu=vcpu)


@cache
def _sched_question(abi: Abi, sched_id: int) -> _Question:
    return _Question(abi, SCHEDULER_OP, "scheduler_op", sched_id=sched_id, cmd=DomctlSched.getinfo)


@cache
def _rows(abi: Abi, *members: str) -> Rows:
    return Rows(abi, _STRUCT, members)


def _asked(xen: Hypervisor, op: Operation, questions: Sequence[bytes], answers: Rows) -> list[Row | None]:
    return [
        answer
        for first in range(0, len(questions), _BATCH)
        for answer in _batch(xen, op, questions[first : first + _BATCH], answers)
    ]


def _batch(xen: Hypervisor, op: Operation, questions: Sequence[bytes], answers: Rows) -> Iterator[Row | None]:
    count = len(questions)
    with xen.pool.take(answers.stride * count) as structs:
        structs.fill(b"".join(questions))
        results = in_a_row(xen, op, structs, answers.stride, count)
        found = bytes(structs)
    for result, answer in zip(results, answers(found, count), strict=True):
        if result < 0 and -result not in _GONE:
            raise HypercallError(op.name, -result, op.hint(-result, xen.abi))
        yield None if result < 0 else answer
