"""What getdomaininfo's numbers mean: state, kind, reason, and the line of domains/stat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

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
_NOBODY = DomainInfo._make((*[0] * 12, b"", 0, 0, 0))
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
    return kind_on(xen.abi.arch, info)


def kind_on(arch: str, info: DomainInfo) -> str:
    """The same on an architecture."""
    if arch == "arm64":
        return "pvh"
    if not info.flags & _HVM:
        return "pv"
    return "hvm" if info.emulation_flags & _BOARD else "pvh"


def limit(pages: int) -> str:
    """A limit in pages as kB, or max for none."""
    return "max" if pages >= NO_LIMIT_PAGES else show.kib_of_pages(pages)


def stat_lines(xen: Hypervisor, rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    """A line in domains/stat for each row of getdomaininfolist: a domain's single-value files by their names.

    Rows are taken apart once. What lies between the numbers that differ from domain to domain is made once for all that
    have it: half of the time of ten thousand lines.
    """
    arch = xen.abi.arch
    for row in rows:
        domain, flags, tot, most, _, shared, paged, _, time, online, highest, _, handle, cpupool, _, emulation = row
        kind, pool, vcpus, why = _between(arch, flags, emulation, cpupool, online, highest)
        uuid = handle.hex()
        yield (
            f"{domain}{kind}{uuid[:8]}-{uuid[8:12]}-{uuid[12:16]}-{uuid[16:20]}-{uuid[20:]}{pool}{time}{vcpus}{tot * 4}"
            f" memory/max={most * 4 if most < NO_LIMIT_PAGES else 'max'} memory/shared_kb={shared * 4} "
            f"memory/paged_kb={paged * 4}{why}"
        )


@lru_cache(maxsize=1024)
def _between(arch: str, flags: int, emulation: int, cpupool: int, online: int, highest: int) -> tuple[str, ...]:
    """What the line of whatever domain has these says before its UUID, CPU time and memory, and in the end."""
    like = _NOBODY._replace(flags=flags, emulation_flags=emulation, nr_online_vcpus=online)
    return (
        f" state={state(like)} type={kind_on(arch, like)} uuid=",
        f" cpupool={cpupool} cpu_time_ns=",
        f" nr_online_vcpus={online} max_vcpu_id={vcpu_id(highest)} memory/current_kb=",
        f" shutdown_reason={reason(like) or '-'}",
    )


def vcpu_id(number: int) -> str:
    """The highest vCPU number; -1 for a domain that has none."""
    return "-1" if number == NO_VCPU else str(number)
