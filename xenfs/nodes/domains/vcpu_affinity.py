"""Where vCPUs may run and would rather run: affinity_hard and affinity_soft of a vCPU, and of all vCPUs of a domain."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from xenfs.abi.numbers import Affinity
from xenfs.calls import domains, domctl
from xenfs.calls.bitmaps import bitmap, members
from xenfs.calls.domains import DomainInfo
from xenfs.calls.sysctl import Topology, cpu_topology, cpupool, cpus_of_nodes, nr_cpu_ids
from xenfs.errors import BadInput, HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains import facts
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import File, Writer
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.forms import formed
from xenfs.politely import politely

_NO_VCPU = (errno.EINVAL, errno.ESRCH, errno.ENOENT)


def _of_vcpu(which: Affinity) -> Callable[[Hypervisor, Domain, int], list[int]]:
    def read(xen: Hypervisor, domain: Domain, vcpu: int) -> list[int]:
        return domctl.vcpu_affinity(xen, domain.domid, vcpu, which, nr_cpu_ids(xen))

    return read


def _set_of_vcpu(which: Affinity) -> Writer:
    def write(xen: Hypervisor, domain: Domain, vcpu: int, asked: parse.Numbers, known: DomainInfo) -> None:
        now = _of_vcpu(which)(xen, domain, vcpu) if asked.change else []
        _set(xen, domain, which, [(vcpu, _chosen(cpu_topology(xen), asked, now))], known)

    return write


def _chosen(places: dict[int, Topology], asked: parse.Numbers, now: list[int]) -> frozenset[int]:
    chosen = asked.applied(now, list(places), "CPU", nodes=lambda: cpus_of_nodes(places))
    if not chosen:
        raise BadInput("no CPU would be left", at=0)
    return chosen


def _set(
    xen: Hypervisor, domain: Domain, which: Affinity, wanted: Iterable[tuple[int, Iterable[int]]], known: DomainInfo
) -> None:
    nr_cpus = nr_cpu_ids(xen)
    try:
        for vcpu, cpus in wanted:
            domctl.set_vcpu_affinity(xen, domain.domid, vcpu, which, cpus, nr_cpus)
    except HypercallError as problem:
        if problem.errno != errno.EINVAL:
            raise
        pool = cpupool(xen, known.cpupool)
        raise BadInput(f"none of these CPUs is in cpupool {pool.id} ({show.ranges(pool.cpus).strip()})", at=0) from None


def _of_all(which: Affinity) -> Callable[[Hypervisor, Domain], dict[int, str]]:
    """By vCPU, of those that there are."""

    def read(xen: Hypervisor, domain: Domain) -> dict[int, str]:
        of_each = _by_vcpu(xen, domain, which, domains.info(xen, domain))
        return {vcpu: show.ranges(cpus).strip() for vcpu, cpus in of_each}

    return read


def _by_vcpu(xen: Hypervisor, domain: Domain, which: Affinity, known: DomainInfo) -> Iterator[tuple[int, list[int]]]:
    """Those of one after the other: all CPUs of a thousand vCPUs are a hundred megabytes."""
    for vcpu in politely(range(facts.nr_vcpus(known)), 1):
        try:
            yield vcpu, _of_vcpu(which)(xen, domain, vcpu)
        except HypercallError as problem:
            if problem.errno not in _NO_VCPU:
                raise


def _set_of_all(which: Affinity) -> Writer:
    """All vCPUs or none: where one is refused, those before it get back what they had."""

    def write(xen: Hypervisor, domain: Domain, asked: parse.Numbers, known: DomainInfo) -> None:
        places, nr_cpus = cpu_topology(xen), nr_cpu_ids(xen)
        before, wanted = dict[int, bytes](), dict[int, bytes]()
        for vcpu, now in _by_vcpu(xen, domain, which, known):
            before[vcpu] = bitmap(now, nr_cpus)
            wanted[vcpu] = bitmap(_chosen(places, asked, now), nr_cpus)
        try:
            _set(xen, domain, which, _members(wanted), known)
        except (BadInput, HypercallError):
            _set(xen, domain, which, _members(before), known)
            raise

    return write


def _members(bitmaps: dict[int, bytes]) -> Iterator[tuple[int, list[int]]]:
    return ((vcpu, members(bits)) for vcpu, bits in politely(bitmaps.items(), 1))


@formed('list such as 0-3,8; "v list" lines where the vCPUs differ')
def _shown(lists: dict[int, str]) -> str:
    if len(set(lists.values())) == 1:
        return next(iter(lists.values()))
    return show.flat((str(vcpu), cpus) for vcpu, cpus in lists.items())


def _effective(which: Affinity) -> Callable[[Hypervisor, Domain, int], set[int]]:
    """What Xen works with: the affinity, cut to the pool's CPUs and, for the soft one, to the hard one."""

    def read(xen: Hypervisor, domain: Domain, vcpu: int) -> set[int]:
        cpus = set(cpupool(xen, domains.info(xen, domain).cpupool).cpus)
        cpus &= set(_of_vcpu(Affinity.HARD)(xen, domain, vcpu))
        return cpus & set(_of_vcpu(Affinity.SOFT)(xen, domain, vcpu)) if which == Affinity.SOFT else cpus

    return read


_SET: dict[str, Any] = {
    "parse": parse.number_list(), "knowing": True, "call": "domctl getvcpuaffinity, setvcpuaffinity",
}  # fmt: skip
_NOW: dict[str, Any] = {"show": show.ranges, "call": "domctl getvcpuaffinity, sysctl cpupool_op", "grows": Cost.CPUS}


def _vcpu_file(which: Affinity, help: str) -> File:
    return File(
        f"affinity_{str(which.name).lower()}",
        help,
        read=_of_vcpu(which),
        write=_set_of_vcpu(which),
        show=show.ranges,
        grows=Cost.CPUS,
        write_grows=Cost.CPUS,
        **_SET,
    )


def _domain_file(which: Affinity, help: str) -> File:
    return File(
        f"affinity_{str(which.name).lower()}", help, read=_of_all(which), write=_set_of_all(which), show=_shown,
        grows=Cost.CPUS | Cost.VCPUS, write_grows=Cost.CPUS | Cost.VCPUS | Cost.WAITS, **_SET,
    )  # fmt: skip


VCPU_AFFINITY = (
    _vcpu_file(Affinity.HARD, "CPUs that it may run on"),
    _vcpu_file(Affinity.SOFT, "CPUs that it prefers"),
    File("affinity_hard.effective", "CPUs that it can run on in its cpupool", read=_effective(Affinity.HARD), **_NOW),
    File("affinity_soft.effective", "CPUs that it prefers among those", read=_effective(Affinity.SOFT), **_NOW),
)

DOMAIN_AFFINITY = (
    _domain_file(Affinity.HARD, "CPUs that its vCPUs may run on; a write sets it for all of them"),
    _domain_file(Affinity.SOFT, "CPUs that its vCPUs prefer; a write sets it for all of them"),
)
