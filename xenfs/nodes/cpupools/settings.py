"""cpupools/: what can be changed about a cpupool: its scheduler, with its parameters, and its granularity."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from xenfs.abi.numbers import Limit, SchedId
from xenfs.calls import hypfs, pools, sysctl
from xenfs.calls.sysctl import cpupool
from xenfs.errors import BadInput, HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.cpupools.cpus import domains_in
from xenfs.nodes.host import scheduler_name
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.conditions import answers, every, since
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.forms import formed

_MOST = 2**31 - 1
_LEAST_US, _MOST_US = Limit.XEN_SYSCTL_SCHED_RATELIMIT_MIN, Limit.XEN_SYSCTL_SCHED_RATELIMIT_MAX
_GRANULARITIES = ("cpu", "core", "socket")


def make_pool(xen: Hypervisor, name: str) -> None:
    """mkdir: a pool without CPUs, with Xen's default scheduler; its name is its id."""
    pool = parse.integer(0, _MOST, "cpupool id")(name)
    if name != str(pool):
        raise BadInput("the name of a cpupool is its id, a decimal number", word=name, at=0)
    pools.create(xen, pool, sysctl.sched_id(xen))


_SCHEDULERS = tuple(SchedId(number).name.lower() for number in SchedId)


def remove_pool(xen: Hypervisor, pool: int) -> None:
    """rmdir; EBUSY says which CPUs and domains keep it."""
    known = cpupool(xen, pool)
    reasons = [f"it has CPUs {show.ranges(known.cpus).strip()} (write nothing to cpus)"] if known.cpus else []
    reasons += [there] if (there := domains_in(xen, pool)) else []
    if pool == 0:
        raise BadInput("cpupool 0 is the one that every CPU comes back to", errno.EBUSY)
    if reasons:
        raise BadInput(f"cpupool {pool} cannot go: {', and '.join(reasons)}", errno.EBUSY)
    pools.destroy(xen, pool)


def _set_scheduler(xen: Hypervisor, pool: int, name: str) -> None:
    """Xen gives a pool its scheduler as it makes it: an empty one is made again, with the granularity that it had."""
    known, wanted = cpupool(xen, pool), SchedId[name.upper()]
    if wanted == known.sched_id:
        return
    if known.cpus or known.nr_domains:
        raise BadInput(
            f"a cpupool keeps its scheduler as long as it has CPUs: {show.ranges(known.cpus).strip()}",
            errno.EBUSY, at=0,
        )  # fmt: skip
    granularity = _granularity(xen, pool) if _tells_granularity(xen) else ""
    pools.destroy(xen, pool)
    try:
        pools.create(xen, pool, wanted)
    except HypercallError as problem:
        pools.create(xen, pool, known.sched_id)
        if problem.errno != errno.ENOENT:
            raise
        raise BadInput(f"this Xen was built without {name}", errno.ENOENT, word=name) from None
    finally:
        if granularity and granularity != _granularity(xen, pool):
            hypfs.write(xen, _path(pool), granularity.encode() + b"\0")


SCHEDULER = File(
    "scheduler", "Scheduler of the pool; write another while it has no CPUs",
    read=lambda xen, pool: cpupool(xen, pool).sched_id, show=scheduler_name, write=_set_scheduler,
    parse=parse.one_of(_SCHEDULERS), call="sysctl cpupool_op", errnos="EBUSY ENOENT", write_grows=Cost.WAITS,
    format="credit, credit2, rtds, arinc653 or null",
)  # fmt: skip


_tells_granularity = every(since(4, 15), answers(lambda xen: hypfs.entries(xen, "/cpupool")))


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
    when=_tells_granularity,
)  # fmt: skip


def _require_consistent(now: Any, name: str, value: int) -> None:
    """Say what Xen would refuse with EINVAL: a limit of the rate that is longer than the time slice."""
    slice_ms = value if name == "tslice_ms" else getattr(now, "tslice_ms", None)
    limit_us = value if name == "ratelimit_us" else now.ratelimit_us
    if slice_ms is not None and limit_us > 1000 * slice_ms:
        raise BadInput(
            f"ratelimit_us must not be more than tslice_ms: that would be {limit_us} us of {1000 * slice_ms} us",
            word=str(value), at=0,
        )  # fmt: skip


@formed(f"ratelimit_us, 0 or {_LEAST_US} to {_MOST_US}", ranged=True)
def ratelimit(text: str) -> int:
    """0 for none, or a time within Xen's bounds."""
    value = parse.integer(0, _MOST_US, "ratelimit_us")(text)
    if 0 < value < _LEAST_US:
        raise BadInput(f"the ratelimit must be 0, or {_LEAST_US} to {_MOST_US}", at=0)
    return value


def parameter(name: str, help: str, parse: Callable[[str], int], only: Callable[[Hypervisor, int], bool]) -> File:
    """A parameter of a pool's scheduler."""

    def read(xen: Hypervisor, pool: int) -> int:
        return int(getattr(sysctl.pool_parameters(xen, cpupool(xen, pool)), name))

    def write(xen: Hypervisor, pool: int, value: int) -> None:
        known = cpupool(xen, pool)
        now = sysctl.pool_parameters(xen, known)
        _require_consistent(now, name, value)
        pools.set_parameters(xen, known, now, **{name: value})

    return File(
        name, help, read=read, write=write, show=show.dec, parse=parse, only=only,
        call=sysctl.SCHEDULER_OP.name, tier="B",
    )  # fmt: skip
