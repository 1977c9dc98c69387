"""domains/<d>/sched/: what the scheduler of the domain's cpupool holds for the domain."""

from __future__ import annotations

import errno
from typing import Any

from xenfs.abi.numbers import SchedId
from xenfs.calls import domains, scheduler
from xenfs.calls.domains import DomainInfo
from xenfs.calls.neighbours import info_recent
from xenfs.calls.sysctl import cpupool
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains import facts
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File


def _scheduler(xen: Hypervisor, domain: Domain) -> int:
    return cpupool(xen, domains.info(xen, domain).cpupool).sched_id


def scheduled_by(*kinds: SchedId) -> Any:
    """A condition for `only=`: one of these schedulers runs the domain's cpupool."""

    def only(xen: Hypervisor, domain: Domain, *_: object) -> bool:
        pool = info_recent(xen, domain).cpupool
        return xen.recent.answer(("scheduler", pool), lambda: cpupool(xen, pool).sched_id) in kinds

    return only


def require_fit(now: Any, member: str, value: int) -> None:
    """Refuse a budget that would be longer than its period, which Xen took for long."""
    if (value if member == "budget" else now.budget) > (value if member == "period" else now.period):
        raise BadInput("the budget must not be more than the period", word=str(value))


def _within_vcpus(known: DomainInfo, cap: int) -> None:
    """More than all vCPUs can use says nothing: the toolstack refuses it, and Xen takes it."""
    vcpus = facts.nr_vcpus(known)
    if cap > 100 * vcpus:
        raise BadInput(f"cap must be 0 to {100 * vcpus}: it has {vcpus} vCPUs", errno.ERANGE, word=str(cap), at=0)


def _parameter(name: str, help: str, member: str, low: int, high: int, *kinds: SchedId) -> File:
    def read(xen: Hypervisor, domain: Domain) -> int:
        return int(getattr(scheduler.parameters(xen, domain.domid, _scheduler(xen, domain)), member))

    def write(xen: Hypervisor, domain: Domain, value: int, known: DomainInfo) -> None:
        if member == "cap":
            _within_vcpus(known, value)
        if member in ("period", "budget"):
            require_fit(scheduler.parameters(xen, domain.domid, SchedId.RTDS), member, value)
        scheduler.set_parameters(xen, domain.domid, cpupool(xen, known.cpupool).sched_id, **{member: value})

    return File(
        name, help, read=read, write=write, knowing=True, show=show.dec, parse=parse.integer(low, high, name),
        only=scheduled_by(*kinds), call="domctl scheduler_op", tier="B" if SchedId.RTDS in kinds else "A",
    )  # fmt: skip


_SHARES = (SchedId.CREDIT, SchedId.CREDIT2)
_MOST_US = 2**32 - 1
_MOST_CAP = 65534  # credit takes 65535 for "leave it as it is"

SCHED = Dir(
    "sched",
    "Parameters that the scheduler holds for the domain",
    (
        _parameter("weight", "Share of CPU time beside other domains, 1 to 65535", "weight", 1, 65535, *_SHARES),
        _parameter("cap", "Most CPU time, percent of one CPU; 0 for no cap", "cap", 0, _MOST_CAP, *_SHARES),
        _parameter("period_us", "Period of vCPU 0, us; a write sets all", "period", 10, _MOST_US, SchedId.RTDS),
        _parameter("budget_us", "CPU time in it, us; likewise", "budget", 10, _MOST_US, SchedId.RTDS),
    ),
    only=scheduled_by(*_SHARES, SchedId.RTDS),
)
