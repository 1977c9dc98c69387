"""One operation asked of many domains, vCPUs or frames: the structs in one buffer, a multicall for each batch."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from xenfs.abi import Abi
from xenfs.abi.numbers import DomctlSched
from xenfs.abi.operations import Operation
from xenfs.calls.domctl import GETVCPUINFO
from xenfs.calls.multicall import in_a_row
from xenfs.calls.plain import plain
from xenfs.calls.rows import Rows
from xenfs.calls.scheduler import PARAMETERS, SCHEDULER_OP
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.operation import hint

_BATCH = 512
_STRUCT = "struct xen_domctl"
_GONE = frozenset({errno.ESRCH, errno.EINVAL, errno.ENOENT})  # the domain, the vCPU, or the domain from its pool

Row = tuple[Any, ...]


def vcpu_times(xen: Hypervisor, vcpus: Sequence[tuple[int, int]]) -> list[Row | None]:
    """(online, CPU time in ns) of each (domain, vCPU); None for one that is not there. domctl getvcpuinfo."""
    answers = answers_of(xen.abi, "u.getvcpuinfo.online", "u.getvcpuinfo.cpu_time")
    about = {vcpu: _vcpu_question(xen.abi, vcpu).about for vcpu in {vcpu for _, vcpu in vcpus}}
    return found(xen, GETVCPUINFO, [about[vcpu](domid) for domid, vcpu in vcpus], answers)


def parameters(xen: Hypervisor, domids: Sequence[int], sched_id: int) -> list[Row | None]:
    """What scheduler `sched_id` holds for each domain, in the order of PARAMETERS; None for one that is gone.

    Such as (weight, cap); domctl scheduler_op.
    """
    arm, names = PARAMETERS[sched_id]
    answers = answers_of(xen.abi, *(f"u.scheduler_op.u.{arm}.{name}" for name in names))
    question = _sched_question(xen.abi, sched_id)
    return found(xen, SCHEDULER_OP, [question.about(domid) for domid in domids], answers)


class Question:
    """A domctl with everything set but the domain; `given` are members of its part of the union."""

    def __init__(self, abi: Abi, op: Operation, arm: str, **given: int) -> None:
        form = plain(abi, _STRUCT, ("cmd", "interface_version"), f"u.{arm}", tuple(given))
        raw = form.pack(op.cmd, abi.domctl, *given.values())
        at, self._width = abi.offsetof(_STRUCT, "domain"), abi.sizeof("domid_t")
        self._head, self._tail = raw[:at], raw[at + self._width :]

    def about(self, domid: int) -> bytes:
        """The whole struct, about this domain."""
        return b"%b%b%b" % (self._head, domid.to_bytes(self._width, "little"), self._tail)


@cache
def _vcpu_question(abi: Abi, vcpu: int) -> Question:
    return Question(abi, GETVCPUINFO, "getvcpuinfo", vcpu=vcpu)


@cache
def _sched_question(abi: Abi, sched_id: int) -> Question:
    return Question(abi, SCHEDULER_OP, "scheduler_op", sched_id=sched_id, cmd=DomctlSched.getinfo)


@cache
def answers_of(abi: Abi, *members: str) -> Rows:
    """What unpacks these members of a domctl."""
    return Rows(abi, _STRUCT, members)


def found(xen: Hypervisor, op: Operation, questions: Sequence[bytes], answers: Rows) -> list[Row | None]:
    """Each answer, None where there is nothing that could be asked; other errnos are raised."""

    def rows() -> Iterator[Row | None]:
        for result, answer in asked(xen, op, questions, answers):
            if result < 0 and -result not in _GONE:
                raise HypercallError(op.name, -result, hint(op, -result, xen.abi))
            yield None if result < 0 else answer

    return list(rows())


def asked_about(
    xen: Hypervisor, op: Operation, domids: Sequence[int], arm: str, *members: str, **given: int
) -> list[tuple[int, Row]]:
    """The result and these members of a domctl asked of each domain; `given` are members of its part of the union."""
    question = Question(xen.abi, op, arm, **given)
    return list(asked(xen, op, [question.about(domid) for domid in domids], answers_of(xen.abi, *members)))


def asked_all(xen: Hypervisor, op: Operation, questions: Sequence[bytes], answers: Rows, *before: int) -> list[Row]:
    """The answer to each question; where some failed, the errno with the highest number is raised."""
    both = list(asked(xen, op, questions, answers, *before))
    worst = min((result for result, _ in both), default=0)
    if worst < 0:
        raise HypercallError(op.name, -worst, hint(op, -worst, xen.abi))
    return [answer for _, answer in both]


def asked(
    xen: Hypervisor, op: Operation, questions: Sequence[bytes], answers: Rows, *before: int
) -> Iterator[tuple[int, Row]]:
    """The result of each question, negative for an errno, and the answer, which is the question where there is none.

    `before` are arguments that the operation has before its struct.
    """
    for first in range(0, len(questions), _BATCH):
        batch = questions[first : first + _BATCH]
        with xen.pool.take(answers.stride * len(batch)) as structs:
            structs.fill(b"".join(batch))
            results = in_a_row(xen, op, structs, answers.stride, len(batch), *before)
            yield from zip(results, answers(bytes(structs), len(batch)), strict=True)
