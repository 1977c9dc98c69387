"""cpupools/: groups of CPUs, each with a scheduler of its own."""

from __future__ import annotations

from collections.abc import Callable

from xenfs.abi.numbers import SchedId
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.calls import domains, hypfs, sysctl
from xenfs.hypervisor.calls.sysctl import cpupool, physinfo
from xenfs.nodes import show
from xenfs.nodes.base import Dir, Each, File, field
from xenfs.nodes.conditions import answers, every, since
from xenfs.nodes.host import scheduler_name


def _pools(xen: Hypervisor) -> list[tuple[str, int]]:
    return [(str(pool.id), pool.id) for pool in sysctl.cpupools(xen)]


def _pool(xen: Hypervisor, name: str) -> int | None:
    return dict(_pools(xen)).get(name)


def _free_cpus(xen: Hypervisor) -> list[int]:
    return sysctl.free_cpus(xen, physinfo(xen).max_cpu_id + 1)


def _domains(xen: Hypervisor, pool: int) -> str:
    return show.lines(info.domain for info in domains.infos(xen) if info.cpupool == pool)


def _granularity(xen: Hypervisor, pool: int) -> bytes:
    return hypfs.content(xen, f"/cpupool/{pool}/sched-gran")[1].rstrip(b"\0")


def _scheduled_by(*kinds: SchedId) -> Callable[..., bool]:
    return lambda xen, pool: cpupool(xen, pool).sched_id in kinds


def _parameters(xen: Hypervisor, pool: int) -> object:
    return sysctl.pool_parameters(xen, cpupool(xen, pool))


_parameters.call = sysctl.SCHEDULER_OP.name  # type: ignore[attr-defined]
_credit = _scheduled_by(SchedId.CREDIT)
_either = _scheduled_by(SchedId.CREDIT, SchedId.CREDIT2)

POOL = Dir(
    "<p>",
    "A cpupool",
    (
        field(cpupool, "scheduler", scheduler_name, "Scheduler of the pool", of="sched_id"),
        field(cpupool, "cpus", show.ranges, "CPUs of the pool"),
        File("domains", "Ids of the domains in the pool, one a line", read=_domains, call="sysctl getdomaininfolist"),
        field(cpupool, "nr_domains", show.dec, "How many domains are in the pool"),
        File(
            "sched_gran", "What is scheduled as one: cpu, core or socket", read=_granularity, call="hypfs_op read",
            when=every(since(4, 15), answers(lambda xen: hypfs.entries(xen, "/cpupool"))),
        ),
        Dir(
            "sched",
            "Parameters of the pool's scheduler",
            (
                field(_parameters, "tslice_ms", show.dec, "Time slice, ms", tier="B", only=_credit),
                field(_parameters, "ratelimit_us", show.dec, "Shortest time between two switches, us", tier="B"),
                field(
                    _parameters, "vcpu_migr_delay_us", show.dec, "How long a vCPU counts as cache hot, us",
                    tier="B", only=_credit,
                ),
            ),
            only=_either,
        ),
    ),
)  # fmt: skip

CPUPOOLS = Dir(
    "cpupools",
    "Groups of CPUs, each with a scheduler of its own",
    (
        File("free_cpus", "CPUs that are in no pool", read=_free_cpus, show=show.ranges, call="sysctl cpupool_op"),
        Each(label="<p>", list=_pools, find=_pool, node=POOL),
    ),
    when=answers(lambda xen: sysctl.cpupools(xen)),
    volatile=True,
)
