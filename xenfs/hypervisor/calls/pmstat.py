"""What CPUs spent their time in: sysctl get_pmstat. EINVAL of a CPU that is offline or of which Xen knows no states,
ENODEV where it does not look after states of the kind, EOPNOTSUPP of P-states with HWP from 4.19 on."""

from __future__ import annotations

from typing import Any, NamedTuple

from xenfs.abi.numbers import Hypercall, PmStat, Sysctl
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.calls.control import sysctl
from xenfs.hypervisor.operation import Operation

STAT = {
    what: Operation(Hypercall.sysctl, Sysctl.get_pmstat, f"get_pmstat {what.name}", repeatable=True) for what in PmStat
}
UNTOUCHED = 2**64 - 1  # what is in a slot that Xen has no C-state for
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


def max_px(xen: Hypervisor, cpu: int) -> int:
    """How many P-states a CPU has; get_pmstat get_max_px."""
    arm = _stat(xen, PmStat.get_max_px, cpu)
    return int(arm.u.getpx.total)


def pxstat(xen: Hypervisor, cpu: int) -> PStates:
    """Statistics of a CPU's P-states; ENODATA while its driver has none. get_pmstat get_pxstat.

    Up to 4.19.2 and in 4.20.0 Xen writes as many states as there are, later no more than `total` says there is room
    for, and then without the table: the room is what get_max_px says, and `total` says so.
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


def max_cx(xen: Hypervisor, cpu: int) -> int:
    """How many C-states a CPU has, C0 among them; 0 where Xen knows of none. get_pmstat get_max_cx."""
    arm = _stat(xen, PmStat.get_max_cx, cpu)
    return int(arm.u.getcx.nr)


def cxstat(xen: Hypervisor, cpu: int, room: int | None = None) -> CStates:
    """Statistics of a CPU's C-states, of `room` of them or of all; get_pmstat get_cxstat.

    Xen fills the slots of those package and core states that it knows on any hardware, and says the number of the last
    that counted anything; the others keep what they had before.
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


def _filled(slots: Any, count: int) -> dict[int, int]:
    words = slots.memory[: 8 * count].cast("Q").tolist()
    return {number: ns for number, ns in enumerate(words, 1) if ns != UNTOUCHED}


def reset_cxstat(xen: Hypervisor, cpu: int) -> None:
    """Accepted by every release, none of which has ever done anything for it; get_pmstat reset_cxstat."""
    _stat(xen, PmStat.reset_cxstat, cpu)


def _stat(xen: Hypervisor, what: PmStat, cpu: int, **arms: Any) -> Any:
    """The struct as it came back; it has to be held as long as anything within it is looked at."""
    return sysctl(xen, STAT[what], "get_pmstat", type=what, cpuid=cpu, u=arms)
