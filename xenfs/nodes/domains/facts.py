"""What getdomaininfo's numbers mean: state, kind, reason, and the line of domains/stat."""

from __future__ import annotations

from xenfs.abi.numbers import DomInf, ShutdownReason, X86Emulation
from xenfs.calls.domains import NO_VCPU, DomainInfo
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables import show

NO_LIMIT_PAGES = 0xFFFFFFFF  # what Xen keeps for "as much as it likes"
MOST_LIMIT_KIB = (NO_LIMIT_PAGES - 1) * 4
REASON_SHIFT = 16
# Plain integers: a host with ten thousand domains asks each of these ten thousand times for one file.
_HVM = int(DomInf.hvm_guest)
_SHUTDOWN = int(DomInf.shutdown)
_OVER = int(DomInf.dying | DomInf.shutdown)
_BOARD = int(X86Emulation.PM | X86Emulation.RTC | X86Emulation.PIC | X86Emulation.PIT | X86Emulation.VGA)
_REASONS = {int(reason): reason.name for reason in ShutdownReason}
# In the order of precedence; where none holds, a domain is runnable.
_STATES = tuple((int(DomInf[name]), name) for name in ("dying", "shutdown", "paused"))
_AT_WORK = tuple((int(DomInf[name]), name) for name in ("running", "blocked"))


def reason(info: DomainInfo) -> str:
    """Why a domain has shut down, by name; empty while it has not."""
    if not info.flags & _SHUTDOWN:
        return ""
    return reason_name(info.flags >> REASON_SHIFT & 0xFF)


def reason_name(number: int) -> str:
    """A shutdown code by name."""
    return _REASONS.get(number) or str(number)


def crashed(info: DomainInfo) -> bool:
    """Whether it has shut down because it crashed."""
    return bool(info.flags & _SHUTDOWN) and reason(info) == "crash"


def finished(info: DomainInfo) -> bool:
    """Whether it has shut down, crashed or is dying."""
    return bool(info.flags & _OVER)


def nr_vcpus(info: DomainInfo) -> int:
    """How many vCPUs it has, online or not."""
    return 0 if info.max_vcpu_id == NO_VCPU else info.max_vcpu_id + 1


def state(info: DomainInfo) -> str:
    """dying, crashed, shutdown, paused, offline, running, blocked or runnable: the first that holds."""
    flags = info.flags
    for flag, name in _STATES:
        if flags & flag:
            return "crashed" if name == "shutdown" and reason(info) == "crash" else name
    if not info.nr_online_vcpus:  # Xen calls such a one blocked, though nothing will wake it
        return "offline"
    for flag, name in _AT_WORK:
        if flags & flag:
            return name
    return "runnable"


def kind(xen: Hypervisor, info: DomainInfo) -> str:
    """pv, hvm or pvh: an HVM container without the emulated board of a PC is pvh, and on Arm all are."""
    if xen.abi.arch == "arm64":
        return "pvh"
    if not info.flags & _HVM:
        return "pv"
    return "hvm" if info.emulation_flags & _BOARD else "pvh"


def limit(pages: int) -> str:
    """A limit in pages as kB, or max for none."""
    return "max" if pages >= NO_LIMIT_PAGES else show.kib_of_pages(pages)


def stat_line(xen: Hypervisor, info: DomainInfo) -> str:
    """A domain's line in domains/stat: its single-value files by their names."""
    return (
        f"{info.domain} state={state(info)} type={kind(xen, info)} uuid={show.handle(info.handle)} "
        f"cpupool={info.cpupool} cpu_time_ns={info.cpu_time} nr_online_vcpus={info.nr_online_vcpus} "
        f"max_vcpu_id={vcpu_id(info.max_vcpu_id)} memory/current_kb={info.tot_pages * 4} "
        f"memory/max={limit(info.max_pages)} memory/shared_kb={info.shr_pages * 4} "
        f"memory/paged_kb={info.paged_pages * 4} shutdown_reason={reason(info) or '-'}"
    )


def vcpu_id(number: int) -> str:
    """The highest vCPU number; -1 for a domain that has none."""
    return "-1" if number == NO_VCPU else str(number)
