"""cpupools/: what can be changed about a cpupool: its CPUs, its granularity, its scheduler's parameters."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

from xenfs.calls import hypfs, pools, sysctl
from xenfs.calls.sysctl import cpu_topology, cpupool
from xenfs.errors import BadInput, HypercallError, NotThere
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.host.hazards import require_lossless
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.conditions import answers, every, since
from xenfs.nodes.tables.cost import Cost

_MOST = 2**31 - 1
_GRANULARITIES = ("cpu", "core", "socket")
_Step = tuple[Callable[[Hypervisor, int, int], None], int]


def make_pool(xen: Hypervisor, name: str) -> None:
    """mkdir: a pool without CPUs, with Xen's default scheduler; its name is its id."""
    pool = parse.integer(0, _MOST, "cpupool id")(name)
    if name != str(pool):
        raise BadInput("the name of a cpupool is its id, a decimal number", word=name, at=0)
    pools.create(xen, pool, sysctl.sched_id(xen))


def _set_cpus(xen: Hypervisor, pool: int, asked: parse.Numbers) -> None:
    """CPUs come before others go, so that a pool with domains is never empty in between."""
    pools_now = {each.id: each for each in sysctl.cpupools(xen)}
    known = pools_now.pop(pool, None)
    if known is None:
        raise NotThere(f"cpupool: {pool}")
    now = frozenset(known.cpus)
    elsewhere = {cpu: other.id for other in pools_now.values() for cpu in other.cpus}
    present = list(cpu_topology(xen))
    possible = [cpu for cpu in present if cpu not in elsewhere] if asked.all else present
    wanted = asked.applied(now, possible, "CPU")
    taken = sorted((wanted - now) & elsewhere.keys())
    if taken:
        raise BadInput(f"CPU {taken[0]} is in cpupool {elsewhere[taken[0]]}", errno.EBUSY, word=str(taken[0]))
    require_lossless(xen, known, now - wanted)
    steps: list[_Step] = [(pools.add_cpu, cpu) for cpu in sorted(wanted - now)]
    steps += [(pools.remove_cpu, cpu) for cpu in sorted(now - wanted)]
    _all_or_nothing(xen, pool, steps)


def _all_or_nothing(xen: Hypervisor, pool: int, steps: Sequence[_Step]) -> None:
    back: dict[Callable[..., None], Callable[..., None]] = {
        pools.add_cpu: pools.remove_cpu,
        pools.remove_cpu: pools.add_cpu,
    }
    for done, (step, cpu) in enumerate(steps):
        try:
            step(xen, pool, cpu)
        except HypercallError:
            for undo, changed in reversed(steps[:done]):
                back[undo](xen, pool, changed)
            raise


CPUS = File(
    "cpus", 'CPUs of the pool; write a list, "+3", "-3", or all for those that are free', write=_set_cpus,
    read=lambda xen, pool: cpupool(xen, pool).cpus, show=show.ranges, parse=parse.number_list(), grows=Cost.CPUS,
    write_grows=Cost.WAITS,
    call="sysctl cpupool_op", errnos="EBUSY",
)  # fmt: skip


def _path(pool: int) -> str:
    return f"/cpupool/{pool}/sched-gran"


def _granularity(xen: Hypervisor, pool: int) -> str:
    return show.c_string(hypfs.content(xen, _path(pool))[1])


def _set_granularity(xen: Hypervisor, pool: int, name: str) -> None:
    if name == _granularity(xen, pool):
        return
    if cpupool(xen, pool).cpus:
        raise BadInput("a cpupool keeps its granularity as long as it has CPUs", errno.EBUSY, at=0)
    hypfs.write(xen, _path(pool), name.encode() + b"\0")


SCHED_GRAN = File(
    "sched_gran", "What is scheduled as one: cpu, core or socket", format="cpu or core or socket",
    read=_granularity, write=_set_granularity,
    parse=parse.one_of(_GRANULARITIES), call="hypfs_op read, write_contents", since="4.15",
    errnos="EBUSY",
    when=every(since(4, 15), answers(lambda xen: hypfs.entries(xen, "/cpupool"))),
)  # fmt: skip


def parameter(name: str, help: str, low: int, high: int, only: Callable[[Hypervisor, int], bool] | None = None) -> File:
    """A parameter of a pool's scheduler."""

    def read(xen: Hypervisor, pool: int) -> int:
        return int(getattr(sysctl.pool_parameters(xen, cpupool(xen, pool)), name))

    def write(xen: Hypervisor, pool: int, value: int) -> None:
        pools.set_parameters(xen, cpupool(xen, pool), **{name: value})

    return File(
        name, help, read=read, write=write, show=show.dec, parse=parse.integer(low, high, name), only=only,
        call=sysctl.SCHEDULER_OP.name, tier="B",
    )  # fmt: skip
