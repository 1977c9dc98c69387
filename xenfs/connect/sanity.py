"""Is it plausible? A Xen that xenfs does not know may accept a version and still lay out its structs differently.

Everything here compares what versioned calls say with what cannot be misread: the stable calls, and each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from xenfs.abi.numbers import Domid, DomInf, Xenver
from xenfs.abi.operations import operation
from xenfs.calls import domains, memory, sysctl
from xenfs.calls.domains import DomainInfo
from xenfs.errors import XenfsError
from xenfs.hypervisor.base import Hypervisor

_GUEST_HANDLE = operation(Xenver.guest_handle)
_MOST_CPUS, _MOST_NODES, _MOST_VCPUS = 16384, 1024, 8192
_COMPARED = 8  # domains whose entry in the list is compared with what is said of each alone
_IDLE = DomInf.dying | DomInf.shutdown | DomInf.paused

Fact = tuple[bool, str]


def doubts(xen: Hypervisor) -> dict[str, str]:
    """For "sysctl" and "domctl", unless it is unusable anyway, what is implausible in its answers; empty if nothing."""
    found: dict[str, str] = {}
    if "domctl" not in xen.unusable:
        found["domctl"] = _first_wrong(lambda: _domain(xen))
    if "sysctl" not in xen.unusable:
        compare = found.get("domctl") == ""
        found["sysctl"] = _first_wrong(lambda: _host(xen, compare))
    return {name: why for name, why in found.items() if why}


def _first_wrong(facts: Callable[[], Iterable[Fact]]) -> str:
    try:
        return next((what for holds, what in facts() if not holds), "")
    except (XenfsError, ValueError, OverflowError) as problem:
        return str(problem)


def _host(xen: Hypervisor, compare: bool) -> Iterable[Fact]:
    info = sysctl.physinfo(xen)
    cpus = info.max_cpu_id + 1
    yield 1 <= info.nr_cpus <= cpus <= _MOST_CPUS, f"physinfo has {info.nr_cpus} CPUs online of {cpus}"
    yield 1 <= info.nr_nodes <= info.max_node_id + 1 <= _MOST_NODES, f"physinfo has {info.nr_nodes} NUMA nodes"
    yield from _pages(info, memory.maximum_ram_page(xen))
    known = len(sysctl.cpu_idle_ns(xen, cpus))
    yield known == cpus, f"getcpuinfo knows {known} CPUs, physinfo {cpus}"
    if compare:
        yield from _list(xen)


def _pages(info: Any, top: int) -> Iterable[Fact]:
    """Page counters, against each other and against the highest page, which memory_op tells without a version."""
    total = info.total_pages
    yield 0 < total <= info.max_mfn + 1, f"physinfo has {total} pages below frame {info.max_mfn}"
    yield info.free_pages <= total, f"physinfo has {info.free_pages} of {total} pages free"
    yield info.outstanding_pages <= total, f"physinfo has {info.outstanding_pages} of {total} pages claimed"
    yield abs(info.max_mfn - top) <= 1, f"physinfo has {info.max_mfn} as the last frame, memory_op {top}"


def _list(xen: Hypervisor) -> Iterable[Fact]:
    listed = domains.infos(xen)
    ids = [info.domain for info in listed]
    yield ids == sorted(set(ids)), "getdomaininfolist is not in the order of ids"
    yield not ids or ids[-1] < Domid.FIRST_RESERVED, f"getdomaininfolist has a domain {ids[-1] if ids else 0}"
    for info in listed[:_COMPARED]:
        alone = domains.info_now(xen, info.domain)
        same = alone is None or (alone.handle, alone.max_vcpu_id) == (info.handle, info.max_vcpu_id)
        yield same, f"getdomaininfolist and getdomaininfo disagree about domain {info.domain}"


def _domain(xen: Hypervisor) -> Iterable[Fact]:
    """What getdomaininfo says of the domain that asks, which is running, and knows its own UUID without a version."""
    found = own(xen)
    yield found is not None, "getdomaininfo does not know the domain that xenfs runs in"
    if found is None:
        return
    vcpus = found.max_vcpu_id + 1
    yield not found.flags & _IDLE, f"domain {found.domain}, which asks, is said not to run (flags {found.flags:#x})"
    yield 1 <= found.nr_online_vcpus <= vcpus <= _MOST_VCPUS, f"{found.nr_online_vcpus} of {vcpus} vCPUs are online"
    yield found.gpaddr_bits == 0 or 32 <= found.gpaddr_bits <= 64, f"guest addresses of {found.gpaddr_bits} bits"
    yield 0 < found.tot_pages <= memory.maximum_ram_page(xen) + 1, f"domain {found.domain} has {found.tot_pages} pages"


def own(xen: Hypervisor) -> DomainInfo | None:
    """What Xen says of the domain that asks, which it knows by its UUID."""
    handle = _own_handle(xen)
    first = domains.info_now(xen, 0)
    if first is not None and first.handle == handle:
        return first
    if "sysctl" in xen.unusable:
        return None
    listed = next((info.domain for info in domains.infos(xen) if info.handle == handle), 0)
    found = domains.info_now(xen, listed)
    return found if found is not None and found.handle == handle else None


def _own_handle(xen: Hypervisor) -> bytes:
    """The UUID of the domain that asks; xen_version guest_handle."""
    with xen.pool.take(16) as buf:
        xen.hypercall(_GUEST_HANDLE, Xenver.guest_handle, buf)
        return bytes(buf)
