"""domains/<d>/vcpus/<v>/sched/: what the real-time scheduler holds for a vCPU."""

from __future__ import annotations

from collections.abc import Callable

from xenfs.abi.numbers import RtdsFlag, SchedId
from xenfs.calls import scheduler
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.sched import require_fit, scheduled_by
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File

_us = parse.integer(10, 2**32 - 1, "number of us")


def _reader(member: str) -> Callable[[Hypervisor, Domain, int], int]:
    return lambda xen, domain, vcpu: int(getattr(scheduler.vcpu_parameters(xen, domain.domid, vcpu), member))


def _writer(member: str) -> Callable[[Hypervisor, Domain, int, int], None]:
    def write(xen: Hypervisor, domain: Domain, vcpu: int, value: int) -> None:
        now = scheduler.vcpu_parameters(xen, domain.domid, vcpu)
        wanted = {name: int(getattr(now, name)) for name in ("period", "budget", "flags")} | {member: value}
        require_fit(now, member, value)
        scheduler.set_vcpu_parameters(xen, domain.domid, vcpu, **wanted)

    return write


def _time(name: str, member: str, help: str) -> File:
    return File(
        name, help, read=_reader(member), write=_writer(member), show=show.dec, parse=_us, tier="B",
        call=scheduler.SCHEDULER_OP.name,
    )  # fmt: skip


VCPU_SCHED = Dir(
    "sched",
    "Parameters that the scheduler holds for the vCPU",
    (
        _time("period_us", "period", "Length of a period, us"),
        _time("budget_us", "budget", "CPU time in each period, us"),
        File(
            "extratime", "Whether it may have idle time beyond its budget; write 0 or 1", parse=parse.switch,
            read=lambda xen, domain, vcpu: _reader("flags")(xen, domain, vcpu) & RtdsFlag.extra, show=show.flag,
            write=lambda xen, domain, vcpu, on: _writer("flags")(xen, domain, vcpu, RtdsFlag.extra if on else 0),
            call=scheduler.SCHEDULER_OP.name, tier="B",
        ),
    ),
    only=scheduled_by(SchedId.RTDS),
)  # fmt: skip
