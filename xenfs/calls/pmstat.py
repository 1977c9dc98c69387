"""What CPUs spent their time in: sysctl get_pmstat.

EINVAL of a CPU that is offline or of which Xen knows no states. ENODEV where Xen does not look after states of the
kind. EOPNOTSUPP of P-states with HWP from 4.19 on.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from typing import Any, NamedTuple

from xenfs.abi import Abi
from xenfs.abi.numbers import PmStat, Sysctl
from xenfs.abi.operations import operation
from xenfs.calls.control import sysctl
from xenfs.calls.lists import batches
from xenfs.calls.many import BATCH
from xenfs.calls.multicall import in_a_row
from xenfs.calls.rows import Rows
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.operation import refusal
from xenfs.hypervisor.sources import asks

STAT = {what: operation(Sysctl.get_pmstat, what.name) for what in PmStat}
UNTOUCHED = 2**64 - 1  # what is in a slot that Xen has no C-state for
_GETCX = ("u", "get_pmstat", "u", "getcx")
MAX_PACKAGE, MAX_CORE = 12, 8  # slots for residencies of packages and cores: PC10 and CC7 are the last that Xen has


class PState(NamedTuple):
    """A P-state: its frequency, how long the CPU was busy in it and how often it was entered."""

    khz: int
    residency_ns: int
    entered: int


class PStates(NamedTuple):
    """P-states of a CPU from the fastest on, and how often each was left (row) for each (column)."""

    states: list[PState]
    changes: list[list[int]]
    usable: int
    last: int
    cur: int


class CStates(NamedTuple):
    """(count, ns) of each idle state from C0 on, and ns of the hardware's own by number, of package and core."""

    states: list[tuple[int, int]]
    package: dict[int, int]
    core: dict[int, int]


@asks(STAT[PmStat.get_max_px])
def max_px(xen: Hypervisor, cpu: int) -> int:
    """How many P-states a CPU has; get_pmstat get_max_px."""
    arm = _stat(xen, PmStat.get_max_px, cpu)
    return int(arm.u.getpx.total)


@asks(STAT[PmStat.get_pxstat])
def pxstat(xen: Hypervisor, cpu: int) -> PStates:
    """Statistics of a CPU's P-states; ENODATA while its driver has none. get_pmstat get_pxstat.

    Up to 4.19.2 and in 4.20.0 Xen writes as many states as there are. Later it writes no more than `total` says there
    is room for, and then without the table. The room is what get_max_px says, and `total` says so.
    """
    count = max_px(xen, cpu)
    with xen.pool.take(max(1, 24 * count)) as states, xen.pool.take(max(1, 8 * count * count)) as table:
        arm = _stat(xen, PmStat.get_pxstat, cpu, getpx={"total": count, "pt": states, "trans_pt": table})
        words = states.memory[: 24 * count].cast("Q").tolist()
        cells = table.memory[: 8 * count * count].cast("Q").tolist()
    rows = zip(*[iter(words)] * 3, strict=True)
    return PStates(
        [PState(mhz * 1000, ns, times) for mhz, ns, times in rows],
        [cells[at : at + count] for at in range(0, count * count, count)],
        int(arm.u.getpx.usable), int(arm.u.getpx.last), int(arm.u.getpx.cur),
    )  # fmt: skip


def reset_pxstat(xen: Hypervisor, cpu: int) -> None:
    """Set a CPU's P-state statistics to zero; get_pmstat reset_pxstat."""
    _stat(xen, PmStat.reset_pxstat, cpu)


@asks(STAT[PmStat.get_max_cx])
def max_cx(xen: Hypervisor, cpu: int) -> int:
    """How many C-states a CPU has, C0 among them; 0 where Xen knows of none. get_pmstat get_max_cx."""
    arm = _stat(xen, PmStat.get_max_cx, cpu)
    return int(arm.u.getcx.nr)


@asks(STAT[PmStat.get_cxstat])
def cxstat(xen: Hypervisor, cpu: int, room: int | None = None) -> CStates:
    """Statistics of a CPU's C-states, of `room` of them or of all; get_pmstat get_cxstat.

    Xen fills the slots of the package and core states that it knows on any hardware; the others keep what they had. It
    says the number of the last state that counted anything.
    """
    room = max_cx(xen, cpu) if room is None else room
    with (
        xen.pool.take(8 * max(1, room)) as counts,
        xen.pool.take(8 * max(1, room)) as times,
        xen.pool.take(8 * MAX_PACKAGE) as package,
        xen.pool.take(8 * MAX_CORE) as core,
    ):
        for slots in (package, core):
            slots.fill(b"\xff" * slots.nbytes)
        arm = _stat(xen, PmStat.get_cxstat, cpu, getcx={
            "nr": room, "nr_pc": MAX_PACKAGE, "nr_cc": MAX_CORE,
            "triggers": counts, "residencies": times, "pc": package, "cc": core,
        })  # fmt: skip
        told = arm.u.getcx
        nr = min(room, int(told.nr))
        pairs = zip(counts.memory[: 8 * nr].cast("Q").tolist(), times.memory[: 8 * nr].cast("Q").tolist(), strict=True)
        return CStates(list(pairs), _filled(package, int(told.nr_pc)), _filled(core, int(told.nr_cc)))


def cxstats(xen: Hypervisor, cpus: Sequence[int], room: int) -> dict[int, CStates]:
    """The same of many CPUs, without those that are offline, a multicall for each 512. get_pmstat get_cxstat."""
    found: dict[int, CStates] = {}
    for batch in batches(cpus, BATCH):
        found.update(_cx_batch(xen, batch, room))
    return found


def _cx_batch(xen: Hypervisor, cpus: Sequence[int], room: int) -> Iterator[tuple[int, CStates]]:
    op, count, answers = STAT[PmStat.get_cxstat], len(cpus), _cx_answers(xen.abi)
    sizes = {"triggers": 8 * room, "residencies": 8 * room, "pc": 8 * MAX_PACKAGE, "cc": 8 * MAX_CORE}
    with ExitStack() as stack:
        structs = stack.enter_context(xen.pool.take(answers.stride * count))
        structs.fill(_cx_questions(xen.abi, cpus, room))
        slots = {name: stack.enter_context(xen.pool.take(size * count)) for name, size in sizes.items()}
        for name, each in slots.items():
            if name in ("pc", "cc"):
                each.fill(b"\xff" * each.nbytes)
            at = xen.abi.offsetof("struct xen_sysctl", *_GETCX, name)
            structs.attach_each(at, answers.stride, each, sizes[name], count)
        results = in_a_row(xen, op, structs, answers.stride, count)
        rows = list(answers(bytes(structs), count))
        words = {name: each.memory.cast("Q").tolist() for name, each in slots.items()}
    for index, (cpu, result, (nr, nr_pc, nr_cc)) in enumerate(zip(cpus, results, rows, strict=True)):
        if result < 0 and result != -errno.EINVAL:
            raise refusal(op, result, xen.abi)
        if result >= 0:
            own = {name: of[index * sizes[name] // 8 :] for name, of in words.items()}
            pairs = zip(own["triggers"][: min(room, nr)], own["residencies"], strict=False)
            yield cpu, CStates(list(pairs), _told(own["pc"][:nr_pc]), _told(own["cc"][:nr_cc]))


def _cx_questions(abi: Abi, cpus: Sequence[int], room: int) -> bytes:
    whole: Any = abi.ffi.new("struct xen_sysctl *")
    whole.cmd, whole.interface_version = Sysctl.get_pmstat, abi.sysctl
    asked = whole.u.get_pmstat
    asked.type = PmStat.get_cxstat
    asked.u.getcx.nr, asked.u.getcx.nr_pc, asked.u.getcx.nr_cc = room, MAX_PACKAGE, MAX_CORE
    questions = []
    for cpu in cpus:
        asked.cpuid = cpu
        questions.append(bytes(abi.ffi.buffer(whole)))
    return b"".join(questions)


@cache
def _cx_answers(abi: Abi) -> Rows:
    return Rows(abi, "struct xen_sysctl", tuple(".".join((*_GETCX, name)) for name in ("nr", "nr_pc", "nr_cc")))


def _filled(slots: Any, count: int) -> dict[int, int]:
    return _told(slots.memory[: 8 * count].cast("Q").tolist())


def _told(words: Sequence[int]) -> dict[int, int]:
    return {number: ns for number, ns in enumerate(words, 1) if ns != UNTOUCHED}


def reset_cxstat(xen: Hypervisor, cpu: int) -> None:
    """Accepted by every release, none of which has ever done anything for it; get_pmstat reset_cxstat."""
    _stat(xen, PmStat.reset_cxstat, cpu)


def _stat(xen: Hypervisor, what: PmStat, cpu: int, **arms: Any) -> Any:
    """The struct as it came back; it has to be held as long as anything within it is looked at."""
    return sysctl(xen, STAT[what], "get_pmstat", type=what, cpuid=cpu, u=arms)
