"""domains/<d>/debug/ and vcpus/<v>/debug/: what a debugger of a guest sets, as gdbsx does."""

from __future__ import annotations

import errno
from typing import Any

from xenfs.calls import monitor
from xenfs.calls.domains import DomainInfo
from xenfs.connect.own import own_domid
from xenfs.errors import BadInput, answered_by
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.own import is_other, is_other_hvm, require_paused
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File, consuming
from xenfs.nodes.tables.conditions import answers, every, x86

_NONE = 0xFFFFFFFF
_C: dict[str, Any] = {"tier": "C", "option": "debug"}


for_gdbsx = every(x86, answers(lambda xen: monitor.debug_status(xen, own_domid(xen))))  # some builds lack it


def _status(xen: Hypervisor, domain: Domain) -> str:
    found = monitor.debug_status(xen, domain.domid)
    event = found.vcpu_id != _NONE
    rows = {"paused": show.flag(found.paused), "vcpu": found.vcpu_id if event else "-"}
    return show.flat({**rows, "event": found.vcpu_ev if event else "-"})


DEBUG = Dir(
    "debug",
    "For a debugger of the guest",
    (
        File(
            "attached", "Write 1: a breakpoint or trap pauses it for a debugger; 0 ends that. Xen does not tell",
            write=lambda xen, domain, wanted: monitor.attach(xen, domain.domid, wanted), parse=parse.switch,
            call=monitor.SETDEBUGGING.name, **_C,
        ),
        consuming(
            "status", "Write 1, then read: whether it is paused, and the vCPU whose event paused it, which Xen forgets",
            read=_status, format='"key value" lines', call=monitor.DOMSTATUS.name, option="debug", tier="C",
            when=for_gdbsx,
        ),
    ),
    option="debug",
    only=is_other,
)  # fmt: skip


def _pause(xen: Hypervisor, domain: Domain, vcpu: int, wanted: bool, known: DomainInfo) -> None:
    require_paused(known)
    if wanted:
        monitor.pause_vcpu(xen, domain.domid, vcpu)
        return
    with answered_by(errno.EINVAL):
        monitor.unpause_vcpu(xen, domain.domid, vcpu)
        return
    raise BadInput("no pause of this vCPU is left to take back", at=0)


VCPU_DEBUG = Dir(
    "debug",
    "For a debugger of the guest",
    (
        File(
            "paused", "Write 1 to stop it, 0 to take one such stop back, while its domain is paused. Xen does not tell",
            write=_pause, knowing=True, parse=parse.switch, errnos="EBUSY",
            when=for_gdbsx,
            call=f"domctl getdomaininfo, {monitor.PAUSEVCPU.name}, {monitor.UNPAUSEVCPU.name}", **_C,
        ),
        File(
            "single_step", "Write 1: it stops after each instruction, which monitor tells of; Intel's CPUs only",
            write=lambda xen, domain, vcpu, wanted: monitor.single_step(xen, domain.domid, vcpu, wanted),
            parse=parse.switch, only=is_other_hvm, call=", ".join(op.name for op in monitor.SINGLE_STEP.values()), **_C,
        ),
    ),
    option="debug",
    when=x86,
    only=is_other,
)  # fmt: skip
