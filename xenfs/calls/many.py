"""One operation asked of many domains, vCPUs or frames: the structs in one buffer, a multicall for each batch."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from xenfs.abi import Abi
from xenfs.abi.numbers import DomctlSched
from xenfs.abi.operations import Operation
from xenfs.calls.domctl import GETVCPUINFO
from xenfs.calls.lists import batches
from xenfs.calls.multicall import in_a_row
from xenfs.calls.plain import plain
from xenfs.calls.rows import Rows, repeated
from xenfs.calls.scheduler import PARAMETERS, SCHEDULER_OP
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.operation import refusal

BATCH = 512  # structs a multicall
_STRUCT = "struct xen_domctl"
_GONE = frozenset({errno.ESRCH, errno.EINVAL, errno.ENOENT})  # the domain, the vCPU, or the domain from its pool

Row = tuple[Any, ...]
VcpuTime = tuple[int, int]  # whether it is online, CPU time in ns


def vcpu_times(xen: Hypervisor, vcpus: Sequence[tuple[int, int]]) -> list[VcpuTime | None]:
    """Of each (domain, vCPU); None for one that is not there. domctl getvcpuinfo."""
    answers = answers_of(xen.abi, "u.getvcpuinfo.online", "u.getvcpuinfo.cpu_time")
    question, rows = Question(xen.abi, GETVCPUINFO, "getvcpuinfo"), list[VcpuTime | None]()
    for some in batches(vcpus, BATCH):
        domids, numbers = zip(*some, strict=True)
        rows += found(xen, GETVCPUINFO, question.about(domids, {"u.getvcpuinfo.vcpu": numbers}), answers)
    return rows


def parameters(xen: Hypervisor, domids: Sequence[int], sched_id: int) -> list[Row | None]:
    """What scheduler `sched_id` holds for each domain, in the order of PARAMETERS; None for one that is gone.

    Such as (weight, cap); domctl scheduler_op.
    """
    arm, names = PARAMETERS[sched_id]
    answers = answers_of(xen.abi, *(f"u.scheduler_op.u.{arm}.{name}" for name in names))
    question = Question(xen.abi, SCHEDULER_OP, "scheduler_op", sched_id=sched_id, cmd=DomctlSched.getinfo)
    rows = list[Row | None]()
    for some in batches(domids, BATCH):
        rows += found(xen, SCHEDULER_OP, question.about(some), answers)
    return rows


class Question:
    """A domctl with everything set but the domain; `given` are members of its part of the union."""

    def __init__(self, abi: Abi, op: Operation, arm: str, **given: int) -> None:
        form = plain(abi, _STRUCT, ("cmd", "interface_version"), f"u.{arm}", tuple(given))
        self._abi, self._base = abi, form.pack(op.cmd, abi.domctl, *given.values())

    def about(self, domids: Sequence[int], also: Mapping[str, Sequence[int]] | None = None) -> bytearray:
        """The whole struct about each domain, one behind the other; `also` are more members of each."""
        return repeated(self._abi, _STRUCT, self._base, {"domain": domids, **(also or {})})


@cache
def answers_of(abi: Abi, *members: str) -> Rows:
    """What unpacks these members of a domctl."""
    return Rows(abi, _STRUCT, members)


def found(xen: Hypervisor, op: Operation, questions: bytes | bytearray, answers: Rows) -> list[Row | None]:
    """Each answer, None where there is nothing that could be asked; other errnos are raised."""

    def there(result: int, answer: Row) -> Row | None:
        if result < 0 and -result not in _GONE:
            raise refusal(op, result, xen.abi)
        return None if result < 0 else answer

    rows: list[Row | None] = []
    for results, batch in _batches(xen, op, questions, answers):
        rows += batch if min(results) >= 0 else map(there, results, batch)  # nearly always all are there
    return rows


def asked_about(
    xen: Hypervisor, op: Operation, domids: Sequence[int], arm: str, *members: str, **given: int
) -> list[tuple[int, Row]]:
    """The result and these members of a domctl asked of each domain; `given` are members of its part of the union."""
    question = Question(xen.abi, op, arm, **given)
    return list(asked(xen, op, question.about(domids), answers_of(xen.abi, *members)))


def asked_all(xen: Hypervisor, op: Operation, questions: bytes | bytearray, answers: Rows, *before: int) -> list[Row]:
    """The answer to each question; where some failed, the errno with the highest number is raised."""
    both = list(asked(xen, op, questions, answers, *before))
    worst = min((result for result, _ in both), default=0)
    if worst < 0:
        raise refusal(op, worst, xen.abi)
    return [answer for _, answer in both]


def asked(
    xen: Hypervisor,
    op: Operation,
    questions: bytes | bytearray,
    answers: Rows,
    *before: int,
    after: tuple[int, ...] = (),
) -> Iterator[tuple[int, Row]]:
    """The result of each question, negative for an errno, and the answer, which is the question where there is none.

    The questions are structs, one behind the other; `before` and `after` are arguments that the operation has around
    its struct.
    """
    for results, rows in _batches(xen, op, questions, answers, *before, after=after):
        yield from zip(results, rows, strict=True)


def _batches(
    xen: Hypervisor,
    op: Operation,
    questions: bytes | bytearray,
    answers: Rows,
    *before: int,
    after: tuple[int, ...] = (),
) -> Iterator[tuple[list[int], Iterator[Row]]]:
    size = answers.stride
    for batch in batches(questions, size * BATCH):
        with xen.pool.take(len(batch)) as structs:
            structs.fill(batch)
            count = len(batch) // size
            results = in_a_row(xen, op, structs, size, count, *before, after=after)
            yield results, answers(bytes(structs), count)
