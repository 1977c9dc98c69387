"""What getdomaininfo's numbers mean: state, kind, reason, and the line of domains/stat."""

from __future__ import annotations

from xenfs.abi.numbers import DomInf, ShutdownReason, X86Emulation
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.calls.domains import DomainInfo
from xenfs.nodes import show

NO_LIMIT_PAGES = 0xFFFFFFFF  # what Xen keeps for "as much as it likes"
NO_VCPU = 0xFFFFFFFF  # max_vcpu_id of a domain without vCPUs
_REASON_SHIFT = 16
_BOARD = X86Emulation.PM | X86Emulation.RTC | X86Emulation.PIC | X86Emulation.PIT | X86Emulation.VGA

# In the order of precedence; the last line holds where no other does.
_STATES = (
    (DomInf.dying, "dying"),
    (DomInf.shutdown, "shutdown"),
    (DomInf.paused, "paused"),
    (DomInf.running, "running"),
    (DomInf.blocked, "blocked"),
)


def reason(info: DomainInfo) -> str:
    """Why a domain has shut down, by name; empty while it has not."""
    if not info.flags & DomInf.shutdown:
        return ""
    number = info.flags >> _REASON_SHIFT & 0xFF
    return ShutdownReason(number).name if number in list(ShutdownReason) else str(number)


def state(info: DomainInfo) -> str:
    """dying, crashed, shutdown, paused, running, blocked or runnable: the first that holds."""
    flags = info.flags
    for flag, name in _STATES:
        if flags & flag:
            return "crashed" if name == "shutdown" and reason(info) == "crash" else name
    return "runnable"


def kind(xen: Hypervisor, info: DomainInfo) -> str:
    """pv, hvm or pvh: an HVM container without the emulated board of a PC is pvh, and on Arm all are."""
    if xen.abi.arch == "arm64":
        return "pvh"
    if not info.flags & DomInf.hvm_guest:
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
