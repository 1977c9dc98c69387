"""cpupools/<p>/cpus: CPUs come to a cpupool and go, all that were written or none."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Mapping

from xenfs.calls import domains, hypfs, pools, sysctl
from xenfs.calls.sysctl import Cpupool, Topology, cpu_topology, cpupool, nr_cpu_ids
from xenfs.errors import BadInput, HypercallError, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.host.hazards import is_offline, require_lossless
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.cost import Cost

_MOST_NAMED = 8  # domains in a message


def _set_cpus(xen: Hypervisor, pool: int, asked: parse.Numbers) -> None:
    """CPUs come before others go, so that a pool with domains is never empty in between."""
    known, free, places = cpupool(xen, pool), _free(xen), cpu_topology(xen)
    now = frozenset(known.cpus)
    together = _together(xen, pool, places)
    every = now | frozenset(cpu for cpu in free if together(cpu) <= free)  # a core of which a part is free cannot come
    wanted = asked.applied(now, places, "CPU", nodes=lambda: sysctl.cpus_of_nodes(places), every=every)
    gone, new = (frozenset(cpu for cpu in cpus for cpu in together(cpu)) for cpus in (now - wanted, wanted - now))
    if asked.change != "-":
        gone -= frozenset(cpu for each in wanted for cpu in together(each))  # a part of a core keeps the whole of it
    if asked.parts and not (asked.change or asked.all or wanted):
        raise BadInput("no CPU would be left: write nothing at all to empty the pool", at=0)
    _refuse(xen, known, new - now, gone & now, free)
    try:
        for cpu in sorted(wanted - now):
            _add(xen, pool, cpu)
        for cpu in sorted(gone & now):
            _remove(xen, pool, cpu)
    except HypercallError as problem:
        _put_back(xen, pool, now, problem)
        raise


def _free(xen: Hypervisor) -> frozenset[int]:
    return frozenset(sysctl.free_cpus(xen, nr_cpu_ids(xen)))


def _refuse(xen: Hypervisor, pool: Cpupool, new: Collection[int], gone: Collection[int], free: Collection[int]) -> None:
    """Say what Xen would only give an errno for, and ask it for nothing that it does not survive.

    An offline CPU that is added to a pool of granularity core or socket ends the host with Xen 4.14 to 4.17.2 and
    4.18.0. No release has a use for it: it is refused everywhere.
    """
    elsewhere = {cpu: other.id for other in sysctl.cpupools(xen) if other.id != pool.id for cpu in other.cpus}
    for cpu in sorted(new):
        if cpu in elsewhere:
            raise BadInput(f"CPU {cpu} is in cpupool {elsewhere[cpu]}", errno.EBUSY, word=str(cpu))
        if cpu not in free or is_offline(xen, cpu):
            raise BadInput(f"CPU {cpu} is offline", errno.ENODEV, word=str(cpu))
    if pool.id == 0 and 0 in gone:
        raise BadInput("CPU 0 has booted the machine: it stays in cpupool 0", errno.EINVAL, word="0")
    if gone and set(pool.cpus) <= set(gone) and not new and (there := domains_in(xen, pool.id)):
        raise BadInput(f"cpupool {pool.id} keeps its last CPU: {there}", errno.EBUSY, at=0)
    require_lossless(xen, pool, gone)


def domains_in(xen: Hypervisor, pool: int) -> str:
    """Which domains that are not dying a pool has, in words; empty for none."""
    there = [info.domain for info in domains.infos(xen) if info.cpupool == pool and not info.dying]
    few = ", ".join(map(str, there[:_MOST_NAMED])) + (" and more" if len(there) > _MOST_NAMED else "")
    return f"it has domain{'s' if len(there) > 1 else ''} {few}" if there else ""


def _together(xen: Hypervisor, pool: int, places: Mapping[int, Topology]) -> Callable[[int], frozenset[int]]:
    """What gives the CPUs that come and go with one: its core or socket, where that is the pool's granularity.

    Before Xen 4.15, and without hypfs, nobody tells which it is: then each CPU is taken for itself, and what Xen does
    to its siblings is seen afterwards.
    """
    try:
        granularity = show.c_string(hypfs.content(xen, f"/cpupool/{pool}/sched-gran")[1])
    except XenfsError:
        granularity = "cpu"
    if granularity == "cpu" or xen.abi.arch == "arm64":  # Arm's CPUs are cores, whatever cputopoinfo says of them
        return lambda cpu: frozenset((cpu,))
    part = slice(0, 2) if granularity == "core" else slice(1, 2)  # of (core, socket, node)
    return lambda cpu: (
        frozenset(other for other, place in places.items() if place.known and place[part] == places[cpu][part]) | {cpu}
    )


def _add(xen: Hypervisor, pool: int, cpu: int) -> None:
    """Give a free CPU to the pool; one that came along with another is there already."""
    if cpu not in cpupool(xen, pool).cpus:
        pools.settle(xen, cpu)
        pools.add_cpu(xen, pool, cpu)


def _remove(xen: Hypervisor, pool: int, cpu: int) -> None:
    if cpu in cpupool(xen, pool).cpus:
        pools.remove_cpu(xen, pool, cpu)


def _put_back(xen: Hypervisor, pool: int, before: frozenset[int], problem: HypercallError) -> None:
    """What the pool had it is to have again; a CPU that can neither go nor come back is named."""
    try:
        for cpu in sorted(before - frozenset(cpupool(xen, pool).cpus)):
            _add(xen, pool, cpu)
        for cpu in sorted(frozenset(cpupool(xen, pool).cpus) - before):
            _remove(xen, pool, cpu)
    except HypercallError as stuck:
        left = show.ranges(before - frozenset(cpupool(xen, pool).cpus)).strip()
        raise BadInput(
            f"a vCPU cannot be moved away from CPU {left} yet: it is in no cpupool now. Write the list that you want "
            f"again; Xen said first: {problem}; and of the way back: {stuck}",
            stuck.errno, at=0,
        ) from None  # fmt: skip


CPUS = File(
    "cpus", 'CPUs of the pool; write a list, "+3", "-3", all for those that are free, or nothing to empty it',
    write=_set_cpus, read=lambda xen, pool: cpupool(xen, pool).cpus, show=show.ranges,
    parse=parse.number_list(empty=True), grows=Cost.CPUS, write_grows=Cost.CPUS | Cost.WAITS, call="sysctl cpupool_op",
    errnos="EADDRINUSE EADDRNOTAVAIL EAGAIN EBUSY ENODEV",
)  # fmt: skip
