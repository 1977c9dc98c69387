"""domctl: one domain. Most of these take one lock for all domains; a domain that is gone answers ESRCH."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from xenfs.abi.numbers import Affinity, Domctl
from xenfs.abi.operations import operation
from xenfs.calls.bitmaps import bitmap, members, nbytes
from xenfs.calls.control import domctl
from xenfs.calls.multicall import multicall
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.operation import refusal
from xenfs.hypervisor.sources import asks

GETVCPUINFO = operation(Domctl.getvcpuinfo)
GETVCPUAFFINITY = operation(Domctl.getvcpuaffinity)
SETVCPUAFFINITY = operation(Domctl.setvcpuaffinity)
GETNODEAFFINITY = operation(Domctl.getnodeaffinity)
SETNODEAFFINITY = operation(Domctl.setnodeaffinity)
MAX_MEM = operation(Domctl.max_mem)
PAUSEDOMAIN = operation(Domctl.pausedomain)
UNPAUSEDOMAIN = operation(Domctl.unpausedomain)
_BATCH = 32
_NO_VCPU = frozenset({errno.EINVAL, errno.ESRCH, errno.ENOENT})
DESTROYDOMAIN = operation(Domctl.destroydomain)


@asks(GETVCPUINFO)
def vcpuinfo(xen: Hypervisor, domid: int, vcpu: int) -> Any:
    """struct xen_domctl_getvcpuinfo: online, blocked, running, cpu_time in ns, cpu; domctl getvcpuinfo.

    A vCPU that was never made is ESRCH or EINVAL, from Xen 4.22 ENOENT.
    """
    return domctl(xen, GETVCPUINFO, domid, vcpu=vcpu)


def vcpu_infos(xen: Hypervisor, domid: int, count: int) -> list[Any]:
    """The same of vCPUs 0 to count - 1, None for a number without one; in batches, by multicall."""
    return [
        info
        for first in range(0, count, _BATCH)
        for info in _batch(xen, domid, range(first, min(count, first + _BATCH)))
    ]


def _batch(xen: Hypervisor, domid: int, vcpus: range) -> Iterator[Any]:
    with ExitStack() as loans:
        views = []
        for vcpu in vcpus:
            buf = loans.enter_context(xen.pool.take(xen.abi.sizeof("struct xen_domctl")))
            view = xen.abi.view("struct xen_domctl", buf)
            view.cmd, view.interface_version, view.domain = GETVCPUINFO.cmd, xen.abi.domctl, domid
            view.u.getvcpuinfo.vcpu = vcpu
            views.append((view, buf))
        results = multicall(xen, [(GETVCPUINFO, (buf,)) for _, buf in views], domid)
        for result, (view, _) in zip(results, views, strict=True):
            if result < 0 and -result not in _NO_VCPU:
                raise refusal(GETVCPUINFO, result, xen.abi)
            yield None if result < 0 else xen.abi.copy(view.u.getvcpuinfo)


def vcpu_affinity(xen: Hypervisor, domid: int, vcpu: int, which: Affinity, nr_cpus: int) -> list[int]:
    """The CPUs that a vCPU may run on (HARD) or prefers (SOFT); domctl getvcpuaffinity."""
    name = "cpumap_hard" if which == Affinity.HARD else "cpumap_soft"
    with xen.pool.take(nbytes(nr_cpus)) as cpus:
        cpumap: dict[str, Any] = {name: {"bitmap": cpus, "nr_bits": nr_cpus}}
        domctl(xen, GETVCPUAFFINITY, domid, "vcpuaffinity", vcpu=vcpu, flags=which, **cpumap)
        return members(cpus.memory, nr_cpus)


def set_vcpu_affinity(
    xen: Hypervisor, domid: int, vcpu: int, which: Affinity, chosen: Iterable[int], nr_cpus: int
) -> list[int]:
    """Set the CPUs, and return those that take effect; EINVAL where none would. domctl setvcpuaffinity."""
    name = "cpumap_hard" if which == Affinity.HARD else "cpumap_soft"
    with xen.pool.take(nbytes(nr_cpus)) as cpus:
        cpus.fill(bitmap(chosen, nr_cpus))
        cpumap: dict[str, Any] = {name: {"bitmap": cpus, "nr_bits": nr_cpus}}
        domctl(xen, SETVCPUAFFINITY, domid, "vcpuaffinity", vcpu=vcpu, flags=which, **cpumap)
        return members(cpus.memory, nr_cpus)


def node_affinity(xen: Hypervisor, domid: int, nr_nodes: int) -> list[int]:
    """The NUMA nodes that a domain's memory comes from by preference; domctl getnodeaffinity."""
    with xen.pool.take(nbytes(nr_nodes)) as nodes:
        domctl(xen, GETNODEAFFINITY, domid, "nodeaffinity", nodemap={"bitmap": nodes, "nr_bits": nr_nodes})
        return members(nodes.memory, nr_nodes)


def set_node_affinity(xen: Hypervisor, domid: int, chosen: frozenset[int], nr_nodes: int) -> None:
    """Set those nodes; EINVAL for none. domctl setnodeaffinity."""
    with xen.pool.take(nbytes(nr_nodes)) as nodes:
        nodes.fill(bitmap(chosen, nr_nodes))
        domctl(xen, SETNODEAFFINITY, domid, "nodeaffinity", nodemap={"bitmap": nodes, "nr_bits": nr_nodes})


def set_max_mem(xen: Hypervisor, domid: int, kib: int) -> None:
    """Set how much memory a domain may have, in KiB; less than it has now is allowed. domctl max_mem."""
    domctl(xen, MAX_MEM, domid, "max_mem", max_memkb=kib)


def pause(xen: Hypervisor, domid: int) -> None:
    """Stop a domain's vCPUs; Xen counts the toolstack's pauses. EINVAL for one's own domain. domctl pausedomain."""
    domctl(xen, PAUSEDOMAIN, domid)


def unpause(xen: Hypervisor, domid: int) -> None:
    """Take back one pause; EINVAL where there is none. domctl unpausedomain."""
    domctl(xen, UNPAUSEDOMAIN, domid)


def destroy(xen: Hypervisor, domid: int) -> None:
    """End a domain at once. Returns when its memory is freed, which takes seconds for a large one; destroydomain."""
    domctl(xen, DESTROYDOMAIN, domid)
