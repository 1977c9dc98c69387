"""host/power/ and host/smt: saving power as a whole."""

from __future__ import annotations

import errno
from collections import Counter
from contextlib import suppress

from xenfs.calls import power, sysctl
from xenfs.calls.platform import is_online, pcpu_info
from xenfs.calls.sysctl import cpu_topology, physinfo
from xenfs.errors import BadInput, HypercallError, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.host.hazards import require_offline_lossless
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.conditions import answers, every
from xenfs.nodes.tables.cost import Cost

_limit = parse.or_word(parse.integer(0, power.UNLIMITED - 1, "C-state"), "unlimited", power.UNLIMITED)


def _shown(limit: int) -> str:
    return "unlimited" if limit == power.UNLIMITED else show.dec(limit)


def _c_limit(name: str, help: str, sub_state: bool, tier: str) -> File:
    return File(
        name, help, tier=tier, show=_shown, parse=_limit,
        read=lambda xen: power.max_cstate(xen, sub_state),
        write=lambda xen, limit: power.set_max_cstate(xen, sub_state, limit),
        when=answers(lambda xen: power.max_cstate(xen, sub_state)),
        call="sysctl pm_op get_max_cstate, sysctl pm_op set_max_cstate", format='decimal number, or "unlimited"',
    )  # fmt: skip


def _park(xen: Hypervisor, count: int) -> None:
    cpus = cpu_topology(xen)
    most = len(cpus) - 1
    if count > most:
        raise BadInput(f"one CPU has to stay: at most {most}", errno.ERANGE, word=str(count), at=0)
    require_offline_lossless(xen, cpus if count > power.parked_cpus(xen) else ())  # Xen chooses which
    power.park_cpus(xen, count)


POWER = Dir(
    "power",
    "What all CPUs may do to save power",
    (
        _c_limit("max_cstate", 'Deepest C-state that idle CPUs enter, or "unlimited"', False, "A"),
        _c_limit("max_csubstate", 'Deepest sub-state of the C-state max_cstate, or "unlimited"', True, "B"),
        File(
            "sched_smt", "1 to fill the threads of a core before the next core, 0 to spread; cannot be read back",
            write=power.set_sched_smt, parse=parse.switch, tier="B", call=power.SET_SCHED_SMT.name,
            when=answers(lambda xen: power.max_cstate(xen, False)),
        ),
        File(
            "parked_cpus", "How many CPUs Xen keeps out of use on the control domain's request",
            read=power.parked_cpus, show=show.dec, write=_park, parse=parse.integer(0, 4095, "number of CPUs"),
            write_grows=Cost.WAITS, write_option="debug", tier="B", errnos="EBUSY EEXIST ENODEV EPERM",
            call="platform_op core_parking GET, platform_op core_parking SET",
            when=answers(power.parked_cpus),
        ),
    ),
)  # fmt: skip


def smt_is_on(xen: Hypervisor) -> bool:
    """Whether any core has two threads that are online; cputopoinfo, and get_cpuinfo of each CPU that it places."""
    threads = Counter(place[:2] for cpu, place in cpu_topology(xen).items() if place.known and is_online(xen, cpu))
    return any(count > 1 for count in threads.values())


def _set_smt(xen: Hypervisor, word: str) -> None:
    topology = cpu_topology(xen)
    require_offline_lossless(xen, topology if word == "off" else ())
    before = frozenset(cpu for cpu in topology if is_online(xen, cpu))
    try:
        power.set_smt(xen, word == "on")
    except HypercallError as problem:
        _put_back(xen, before, word == "on")
        raise _why(xen, problem) from None


def _online(xen: Hypervisor) -> frozenset[int]:
    return frozenset(cpu for cpu in cpu_topology(xen) if is_online(xen, cpu))


def _put_back(xen: Hypervisor, before: frozenset[int], on: bool) -> None:
    """Xen stopped half-way: turn SMT back, then take down or bring up what that moved and was otherwise before."""
    if _online(xen) == before:
        return
    with suppress(HypercallError):
        power.set_smt(xen, not on)
    for cpu in _online(xen) ^ before:
        with suppress(HypercallError):
            sysctl.hotplug(xen, cpu, cpu in before)


def _why(xen: Hypervisor, problem: HypercallError) -> XenfsError:
    """Which CPU it stopped at, where that is one of a pool that Xen takes none from."""
    kept = [(cpu, pool.id) for pool in sysctl.cpupools(xen) if pool.id for cpu in pool.cpus]
    if problem.errno != errno.ENODEV or not kept:
        return problem
    cpu, pool = kept[0]
    return BadInput(f"CPU {cpu} is in cpupool {pool}: what it took down is back", errno.ENODEV, at=0)


SMT = File(
    "smt", "on where cores run two threads or more; write on or off for all cores", tier="B",
    read=smt_is_on, show=lambda on: "on" if on else "off", grows=Cost.CPUS, write_grows=Cost.WAITS,
    write=_set_smt, parse=parse.one_of(("on", "off")),
    call="sysctl cputopoinfo, platform_op get_cpuinfo, sysctl cpu_hotplug SMT_ENABLE, sysctl cpu_hotplug SMT_DISABLE",
    format="on or off", errnos="EBUSY ENODEV EPERM",
    when=every(answers(lambda xen: pcpu_info(xen, 0)), lambda xen: bool(physinfo(xen).threads_per_core > 1)),
)  # fmt: skip
