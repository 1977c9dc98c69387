"""cpupools/<p>/sched/arinc653_schedule: which vCPU runs when, for how long, again and again."""

from __future__ import annotations

from collections.abc import Callable

from xenfs.abi.numbers import Limit
from xenfs.calls import arinc653, domains, domctl
from xenfs.calls.arinc653 import Schedule, Slot
from xenfs.connect.own import own_domid
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.domains import facts
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.forms import formed

_MOST_SLOTS = int(Limit.ARINC653_MAX_DOMAINS_PER_SCHEDULE)
_LONGEST_NS = 2**63 - 1
_MOST_VCPU = 8191  # of any domain
_LINES = 'major frame in ns, then "UUID VCPU NS" lines, whose times fit into it'

_frame = parse.integer(1, _LONGEST_NS, "major frame in ns")
_slot = parse.fields(
    ("UUID", parse.handle),
    ("VCPU", parse.integer(0, _MOST_VCPU, "vCPU")),
    ("NS", parse.integer(1, _LONGEST_NS, "time in ns")),
)


@formed(_LINES)
def shown(found: Schedule) -> str:
    """The lines that can be written."""
    slots = (f"{show.handle(slot.handle)} {slot.vcpu} {slot.runtime_ns}" for slot in found.slots)
    return show.lines([found.major_frame_ns, *slots])


@formed(_LINES, ranged=True)
def parse_schedule(text: str) -> Schedule:
    """Such lines again; EINVAL for other text, and for more lines or time than there can be, ERANGE."""
    frame, *lines = [each.strip(" \t") for each in text.split("\n")]
    slots: list[Slot] = []
    left = found = _frame(frame)
    for line in filter(None, lines):
        slot = _read(line)
        left -= slot.runtime_ns
        if left < 0:
            raise BadInput(f"up to here that is {found - left} ns, and the major frame has {found} ns", word=line)
        slots.append(slot)
    if not 1 <= len(slots) <= _MOST_SLOTS:
        raise BadInput(f"a schedule has 1 to {_MOST_SLOTS} lines below its first, not {len(slots)}", at=0)
    return Schedule(found, tuple(slots))


def _read(line: str) -> Slot:
    try:
        return Slot(*_slot(line))  # type: ignore[arg-type]
    except BadInput as problem:
        raise BadInput(problem.why, problem.errno, word=problem.word or line) from None


def _set(xen: Hypervisor, pool: int, wanted: Schedule) -> None:
    _require_own(xen, pool, wanted)
    arinc653.set_schedule(xen, pool, wanted)


def _require_own(xen: Hypervisor, pool: int, wanted: Schedule) -> None:
    """Who would never run again could not take it back either: each vCPU of xenfs' own domain has to be in it."""
    own = domains.info_now(xen, own_domid(xen))
    if own is None or own.cpupool != pool:
        return
    infos = domctl.vcpu_infos(xen, own.domain, facts.nr_vcpus(own))
    scheduled = {slot.vcpu for slot in wanted.slots if slot.handle == own.handle}
    for vcpu, info in enumerate(infos):
        if info is not None and info.online and vcpu not in scheduled:
            name = f"{show.handle(own.handle)} {vcpu}"
            raise BadInput(f"vCPU {vcpu} of the domain that xenfs runs in is not in it ({name}): it would stop", at=0)


def schedule(only: Callable[[Hypervisor, int], bool]) -> File:
    """The file, of pools of which this holds."""
    return File(
        "arinc653_schedule",
        "Which vCPUs run in each major frame, and for how long; a vCPU that is not in it does not run",
        read=arinc653.schedule, show=shown, write=_set, parse=parse_schedule, only=only, write_option="debug", tier="C",
        call=f"{arinc653.GET_SCHEDULE.name}, {arinc653.SET_SCHEDULE.name}, domctl getvcpuinfo",
    )  # fmt: skip
