"""The sysctl with what CPUs spent their time in."""

from __future__ import annotations

from collections.abc import Callable
from errno import EINVAL, ENODATA, ENODEV, ENOSYS, EOPNOTSUPP

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.drivers import CPPC, EPP, HWP
from xenfs.simulator.world.host import Cpu
from xenfs.simulator.world.idle import CORE, PACKAGE

STRUCT, PX, PX_VALUE, CX = "xen_sysctl_get_pmstat", "pm_px_stat", "pm_px_val", "pm_cx_stat"
Body = memoryview


def get_pmstat(xen: Machine, op: memoryview) -> int:
    """A CPU that is online, then whether there are states of the kind, then what is asked of them."""
    kind, number = xen.get(op, STRUCT, "type", "cpuid")
    cpus = xen.world.host.cpus
    if number >= len(cpus) or not cpus[number].online:
        return -EINVAL
    category = kind & xen.constant("PMSTAT_CATEGORY_MASK")
    if category not in xen.layouts.constants("PMSTAT_CX", "PMSTAT_PX"):
        return -ENODEV
    if category == xen.constant("PMSTAT_PX") and (refused := _without_p_states(xen)):
        return -refused
    operation = next((what for name, what in _OPERATIONS.items() if xen.constant(name) == kind), None)
    return operation(xen, cpus[number], op[xen.layouts.offset(STRUCT, "u") :]) if operation else -ENOSYS


def _without_p_states(xen: Machine) -> int:
    driver = xen.world.power.driver
    if driver in ("", CPPC, EPP):
        return ENODEV
    return EOPNOTSUPP if driver == HWP and xen.release >= (4, 19) else 0


def honours_total(xen: Machine) -> bool:
    """Whether Xen looks at how much room there is: 4.19.3, 4.20.1 and everything from 4.21 on."""
    first = {(4, 19): 3, (4, 20): 1}.get(xen.release, 0)
    return xen.release >= (4, 19) and xen.settings.point >= first


def _max_px(xen: Machine, cpu: Cpu, body: Body) -> int:
    xen.put(body, PX, total=len(xen.world.power.traits.p_states))
    return 0


def _pxstat(xen: Machine, cpu: Cpu, body: Body) -> int:
    found = xen.world.power.frequency(cpu)
    if found is None:
        return -ENODATA
    room, table, states = xen.get(body, PX, "total", "trans_pt", "pt")
    count = total = len(found.states)
    if honours_total(xen) and count > room:
        count = room
    else:
        xen.copy_out(table, b"".join(n.to_bytes(8, "little") for row in found.changes for n in row))
    packer = xen.layouts.array(PX_VALUE, "freq", "residency", "count")
    rows = zip(found.traits.p_states, found.residency, found.entered, strict=True)
    xen.copy_out(states, b"".join(packer.pack(*row) for row in list(rows)[:count]))
    xen.put(body, PX, total=total, usable=total, last=found.last, cur=found.current)
    return 0


def _reset_pxstat(xen: Machine, cpu: Cpu, body: Body) -> int:
    found = xen.world.power.frequency(cpu)
    if found is not None:
        found.reset()
    return 0


def _max_cx(xen: Machine, cpu: Cpu, body: Body) -> int:
    xen.put(body, CX, nr=max(2, 1 + len(xen.world.power.traits.c_states)))
    return 0


def _cxstat(xen: Machine, cpu: Cpu, body: Body) -> int:
    power = xen.world.power
    room, counts, times, nr_pc, nr_cc, package, core = xen.get(
        body, CX, "nr", "triggers", "residencies", "nr_pc", "nr_cc", "pc", "cc"
    )
    sleep = power.idle(cpu)
    ticks = xen.world.clock.ticks()
    idle, wall = cpu.idle(ticks), ticks << 10
    if power.traits.c_states:
        usage, time = list(sleep.usage), list(sleep.time)
        given = {"nr_pc": _slots(xen, package, nr_pc, {n: sleep.package(n) for n in PACKAGE}),
                 "nr_cc": _slots(xen, core, nr_cc, {n: sleep.core(n) for n in CORE})}  # fmt: skip
    else:  # the kernel has told nothing: Xen makes up a halt
        usage, time, given = [0, 1], [0, idle], {"nr_pc": 0, "nr_cc": 0}
    usage[0], time[0] = sum(usage[1:]), wall - sum(time[1:])
    for address, words in ((counts, usage), (times, time)):
        xen.copy_out(address, b"".join(word.to_bytes(8, "little") for word in words[:room]))
    xen.put(body, CX, nr=len(usage), last=0, idle_time=idle, **given)
    return 0


def _slots(xen: Machine, address: int, room: int, values: dict[int, int]) -> int:
    """Fill the slots of these states as far as there are any; the number of the last that is not zero."""
    for number, ns in values.items():
        if number <= room:
            xen.copy_out(address + 8 * (number - 1), ns.to_bytes(8, "little"))
    return max((number for number, ns in values.items() if ns), default=0)


def _reset_cxstat(xen: Machine, cpu: Cpu, body: Body) -> int:
    """Xen says yes and does nothing."""
    return 0


_OPERATIONS: dict[str, Callable[[Machine, Cpu, Body], int]] = {
    "PMSTAT_get_max_px": _max_px,
    "PMSTAT_get_pxstat": _pxstat,
    "PMSTAT_reset_pxstat": _reset_pxstat,
    "PMSTAT_get_max_cx": _max_cx,
    "PMSTAT_get_cxstat": _cxstat,
    "PMSTAT_reset_cxstat": _reset_cxstat,
}
OPERATIONS_X86: Answers = {"XEN_SYSCTL_get_pmstat": get_pmstat}


def name_of(xen: Machine, op: memoryview) -> str:
    """What a record of calls has for it."""
    (kind,) = xen.get(op, STRUCT, "type")
    name = next((name for name in _OPERATIONS if xen.constant(name) == kind), str(kind))
    return name.removeprefix("PMSTAT_")
