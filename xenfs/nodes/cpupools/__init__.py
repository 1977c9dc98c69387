"""cpupools/: groups of CPUs, each with a scheduler of its own.

This file has the tables; cpus.py and settings.py have what is written and what it is checked for. Open this file first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from xenfs.abi.numbers import Limit, SchedId
from xenfs.calls import domains, sysctl
from xenfs.calls.rows import freed
from xenfs.calls.sysctl import cpupool
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.cpupools import names
from xenfs.nodes.cpupools.arinc653 import schedule
from xenfs.nodes.cpupools.cpus import CPUS
from xenfs.nodes.cpupools.settings import SCHED_GRAN, SCHEDULER, make_pool, parameter, ratelimit, remove_pool
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, Each, File, Link, field
from xenfs.nodes.tables.conditions import answers
from xenfs.nodes.tables.cost import Cost


def _pools(xen: Hypervisor) -> list[tuple[str, int]]:
    return [(str(pool.id), pool.id) for pool in sysctl.cpupools(xen)]


def _pool(xen: Hypervisor, name: str) -> int | None:
    return dict(_pools(xen)).get(name)


def _free_cpus(xen: Hypervisor) -> list[int]:
    return sysctl.free_cpus(xen, sysctl.nr_cpu_ids(xen))


def _domains(xen: Hypervisor, pool: int) -> Iterator[str]:
    return (str(info.domain) for info in freed(domains.infos(xen)) if info.cpupool == pool)


def _scheduled_by(*kinds: SchedId) -> Callable[..., bool]:
    return lambda xen, pool: cpupool(xen, pool).sched_id in kinds


_credit = _scheduled_by(SchedId.CREDIT)
_either = _scheduled_by(SchedId.CREDIT, SchedId.CREDIT2)
_arinc653 = _scheduled_by(SchedId.ARINC653)
_slice = parse.integer(Limit.XEN_SYSCTL_CSCHED_TSLICE_MIN, Limit.XEN_SYSCTL_CSCHED_TSLICE_MAX, "tslice_ms")
_delay = parse.integer(0, Limit.XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US, "vcpu_migr_delay_us")

POOL = Dir(
    "<p>",
    "A cpupool",
    (
        File(
            "name", "Name in xenstore, empty without one", read=names.name, grows=Cost.WAITS, format="text, or empty",
            call="(xenstore)",
        ),
        SCHEDULER,
        CPUS,
        File("domains", "Ids of the domains in the pool, one a line", read=_domains, show=show.many_lines,
             call="sysctl getdomaininfolist", grows=Cost.DOMAINS),
        field(cpupool, "nr_domains", show.dec, "How many domains are in the pool"),
        SCHED_GRAN,
        Dir(
            "sched",
            "Parameters of the pool's scheduler",
            (
                parameter("tslice_ms", "Time slice, ms", _slice, _credit),
                parameter("ratelimit_us", "Shortest time between two switches, us; 0 for none", ratelimit, _either),
                parameter("vcpu_migr_delay_us", "How long a vCPU counts as cache hot, us", _delay, _credit),
                schedule(_arinc653),
            ),
            only=_scheduled_by(SchedId.CREDIT, SchedId.CREDIT2, SchedId.ARINC653),
        ),
    ),
    remove=remove_pool,
    call="sysctl cpupool_op",
    make_option="",
)  # fmt: skip

CPUPOOLS = Dir(
    "cpupools",
    "Groups of CPUs, each with a scheduler of its own",
    (
        File(
            "free_cpus",
            "CPUs that are in no pool",
            read=_free_cpus,
            show=show.ranges,
            call="sysctl cpupool_op",
            grows=Cost.CPUS,
        ),
        Dir(
            "by-name",
            "Cpupools by their names in xenstore",
            (
                Each(
                    label="<name>",
                    list=names.by_name,
                    find=lambda xen, name: dict(names.by_name(xen)).get(name),
                    node=Link(
                        "<pool>",
                        "Where the cpupool's directory is",
                        target=lambda xen, pool: f"../{pool}",
                        to="cpupools/<p>",
                    ),
                ),
            ),
            volatile=True,
            grows=Cost.WAITS,
            find_grows=Cost.WAITS,
        ),
        Each(label="<p>", list=_pools, find=_pool, node=POOL),
    ),
    when=answers(lambda xen: sysctl.cpupools(xen)),
    make=make_pool,
    call="sysctl cpupool_op",
    make_option="",
    volatile=True,
)
