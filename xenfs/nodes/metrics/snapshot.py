"""The whole host at one time, in a handful of hypercalls: what metrics are made of."""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any, NamedTuple, TypeVar

from xenfs.abi.numbers import ShutdownReason
from xenfs.calls import domains, grants, many, pmstat, sysctl, version
from xenfs.calls.domains import DomainInfo
from xenfs.calls.happenings import looked
from xenfs.calls.many import VcpuTime
from xenfs.calls.pmstat import CStates
from xenfs.calls.rows import free, freed
from xenfs.calls.scheduler import PARAMETERS
from xenfs.errors import HypercallError, XenfsError, answered_by
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.devices import Device
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains import devices, facts, names, qdisks, uptime
from xenfs.nodes.metrics.text import Item, escaped, labels
from xenfs.nodes.tables import show
from xenfs.nodes.tables.conditions import ABSENT
from xenfs.politely import politely

Found = TypeVar("Found")
Timed = tuple[tuple[int, int], VcpuTime | None]  # (domain, vCPU), and what it has run, None where it is gone


class Guest(NamedTuple):
    """A domain: what getdomaininfo says, its kind, and what its scheduler holds for it, by name."""

    info: DomainInfo
    kind: str
    parameters: dict[str, int]
    grants: tuple[int, int] | None = None  # frames that its grant table has, and may have
    began_s: float | None = None  # seconds since 1970, where its toolstack has written that down


@dataclass
class Snapshot:
    """One scrape. `worked` says of each part that this Xen has whether it answered."""

    release: str = ""
    changeset: str = ""
    host: Any = None
    cpus: list[Item] = field(default_factory=list)
    cstates: list[Item] = field(default_factory=list)
    hardware: list[Item] = field(default_factory=list)
    nodes: list[Item] = field(default_factory=list)
    pools: list[Item] = field(default_factory=list)
    guests: list[Item] = field(default_factory=list)
    vcpus: list[Item] = field(default_factory=list)
    networks: list[Item] = field(default_factory=list)
    disks: list[Item] = field(default_factory=list)
    ends: list[Item] = field(default_factory=list)
    worked: dict[str, bool] = field(default_factory=dict)
    took_ns: int = 0

    def part(self, name: str, ask: Callable[[], Found], without: Found) -> Found:
        """What a part answers; `without` it where it fails, or where this Xen has no such thing."""
        try:
            found = ask()
        except XenfsError as problem:
            if not (isinstance(problem, HypercallError) and problem.errno in ABSENT):
                self.worked[name] = False
            return without
        self.worked[name] = True
        return found


def take(xen: Hypervisor) -> Snapshot:
    """Ask for everything; what does not answer is left out, and the rest is there."""
    began, snap = perf_counter_ns(), Snapshot()
    snap.release, snap.changeset = snap.part("version", lambda: _version(xen), ("", ""))
    snap.host = snap.part("host", lambda: sysctl.physinfo(xen), None)
    if snap.host is not None:
        snap.cpus = snap.part("cpus", lambda: _cpus(xen, snap.host.max_cpu_id + 1), list[Item]())
        idle = snap.part("cstates", lambda: _idle_states(xen, range(snap.host.max_cpu_id + 1)), dict[int, CStates]())
        snap.cstates, snap.hardware = list(_states(idle)), list(_hardware_states(idle))
        free(idle)
        snap.nodes = snap.part("numa", lambda: _nodes(xen), list[Item]())
        snap.pools = snap.part("cpupools", lambda: _pools(xen), list[Item]())
    living = snap.part("domains", lambda: looked(xen), list[tuple[Domain, DomainInfo]]())
    snap.ends = snap.part("events", lambda: _ends(xen), list[Item]())
    listed = [info for _, info in living]
    domids = [info.domain for info in listed]
    called = snap.part("xenstore", lambda: names.of_all(xen, domids), dict[int, bytes]())
    about = {info.domain: _about(info, called.get(info.domain, b"")) for info in politely(listed)}
    held = snap.part("scheduler", lambda: _parameters(xen, listed, snap.pools), dict[int, dict[str, int]]())
    shared = snap.part("grants", lambda: _grants(xen, domids), dict[int, tuple[int, int] | None]())
    vcpus = snap.part("vcpus", lambda: _vcpus(xen, listed), iter(list[Timed]()))
    if xen.store is not None:
        snap.part("starts", lambda: uptime.learn(xen, [domain for domain, _ in living]), None)
        counted = snap.part("devices", lambda: devices.counted(xen), dict[Device, dict[str, int]]())
        if xen.qemus is not None:
            counted |= snap.part("qemu", lambda: qdisks.counted(xen), dict[Device, dict[str, int]]())
        snap.networks, snap.disks = (_devices(counted, about, kind) for kind in ("vif", "vbd"))
        free(counted)
    gone = snap.part("domains", lambda: _gone(xen, listed), set[int]())
    snap.guests = [
        (about[domid], Guest(info, facts.kind(xen, info), held.get(domid, {}), shared.get(domid), began_s))
        for domid, info, began_s in ((d.domid, info, xen.starts.of(d)) for d, info in politely(freed(living)))
        if domid not in gone
    ]
    snap.vcpus = [
        (f'{about[domid]},vcpu="{vcpu}"', time)
        for (domid, vcpu), time in politely(vcpus)
        if time is not None and domid not in gone
    ]
    if gone:
        snap.networks = [each for each in snap.networks if each[1].domid not in gone]
        snap.disks = [each for each in snap.disks if each[1].domid not in gone]
    for rows in (held, shared, called, about, listed, domids):
        free(rows)
    snap.took_ns = perf_counter_ns() - began
    return snap


def _version(xen: Hypervisor) -> tuple[str, str]:
    major, minor = version.release(xen)
    return f"{major}.{minor}{show.text(version.extra(xen))}", show.text(version.changeset(xen))


def _ends(xen: Hypervisor) -> list[Item]:
    """How often domains were seen to shut down, by reason, since the daemon began."""
    counts = dict.fromkeys(ShutdownReason, 0) | xen.happenings.reasons()
    return [(labels({"reason": facts.reason_name(number)}), count) for number, count in sorted(counts.items())]


class Cpu(NamedTuple):
    """A physical CPU: what Xen says of its place, by name, and its idle time in ns, 0 while it is offline."""

    place: dict[str, int]
    idle_ns: int


def _cpus(xen: Hypervisor, count: int) -> list[Item]:
    idle, places = sysctl.cpu_idle_ns(xen, count), sysctl.cpu_topology(xen)
    return [(f'cpu="{cpu}"', Cpu(_known(place), idle[cpu] if cpu < len(idle) else 0)) for cpu, place in places.items()]


def _known(place: sysctl.Topology) -> dict[str, int]:
    """A place as labels, without what Xen has forgotten of a CPU that is offline."""
    named = {"core": place.core, "package": place.socket, "node": place.node}
    return {name: number for name, number in named.items() if number != sysctl.NOWHERE}


def _idle_states(xen: Hypervisor, cpus: Sequence[int]) -> dict[int, CStates]:
    """What each CPU's idle states counted, as many as the first has. One that is offline has none.

    Where nobody counts, or dom0 has not told Xen of any, the first says so, and the others are not asked.
    """
    room = 0
    with answered_by(errno.EINVAL):
        room = pmstat.max_cx(xen, cpus[0]) if cpus else 0
    return pmstat.cxstats(xen, cpus, room) if room else {}


def _states(idle: dict[int, CStates]) -> Iterator[Item]:
    for cpu, counted in idle.items():
        for number, count_and_ns in enumerate(counted.states):
            yield (f'cpu="{cpu}",state="C{number}"', count_and_ns)


def _hardware_states(idle: dict[int, CStates]) -> Iterator[Item]:
    for cpu, counted in idle.items():
        for letters, residency in (("PC", counted.package), ("CC", counted.core)):
            for number, ns in residency.items():
                yield (f'cpu="{cpu}",state="{letters}{number}"', ns)


def _nodes(xen: Hypervisor) -> list[Item]:
    return [(f'node="{number}"', node) for number, node in sysctl.numa(xen).items()]


def _pools(xen: Hypervisor) -> list[Item]:
    return [(f'cpupool="{pool.id}"', pool) for pool in sysctl.cpupools(xen)]


def _about(info: DomainInfo, name: bytes) -> str:
    """A domain's labels. Its name is whatever somebody wrote to xenstore: what is not UTF-8 in it is replaced."""
    return f'domid="{info.domain}",uuid="{show.handle(info.handle)}",name="{escaped(name.decode("utf-8", "replace"))}"'


def _parameters(xen: Hypervisor, listed: Sequence[DomainInfo], pools: Sequence[Item]) -> dict[int, dict[str, int]]:
    """What the schedulers hold for each domain, one batch a scheduler."""
    scheduler = {pool.id: pool.sched_id for _, pool in pools}
    by_scheduler: dict[int, list[int]] = defaultdict(list)
    for info in listed:
        by_scheduler[scheduler.get(info.cpupool, -1)].append(info.domain)
    found: dict[int, dict[str, int]] = {}
    for sched_id in by_scheduler.keys() & PARAMETERS.keys():
        domids, parameters = by_scheduler[sched_id], PARAMETERS[sched_id][1]
        for domid, row in zip(domids, many.parameters(xen, domids, sched_id), strict=True):
            if row is not None:
                found[domid] = dict(zip(parameters, row, strict=True))
    return found


def _grants(xen: Hypervisor, domids: Sequence[int]) -> dict[int, tuple[int, int] | None]:
    return dict(politely(zip(domids, freed(grants.sizes(xen, domids)), strict=True)))


def _vcpus(xen: Hypervisor, listed: Sequence[DomainInfo]) -> Iterator[Timed]:
    wanted = [(info.domain, vcpu) for info in listed for vcpu in range(facts.nr_vcpus(info))]
    times = many.vcpu_times(xen, wanted)
    return zip(freed(wanted), freed(times), strict=True)


class Counted(NamedTuple):
    """A device of a domain: what has gone through it, by the counter's name."""

    domid: int
    counters: dict[str, int]


def _devices(counted: dict[Device, dict[str, int]], about: dict[int, str], kind: str) -> list[Item]:
    """Those of a class, of the domains that were listed, taken out of what was counted."""
    found: dict[int, list[Device]] = {}  # by domain: to sort ten thousand at once would let no other thread in
    for device in politely(counted):
        if device.kind == kind:
            found.setdefault(device.domid, []).append(device)
    return [
        (f'{about[domid]},{kind}="{device.number}"', Counted(domid, counted.pop(device)))
        for domid in politely(about)
        for device in sorted(found.pop(domid, ()))
    ]


def _gone(xen: Hypervisor, listed: Sequence[DomainInfo]) -> set[int]:
    """Those that went away, or whose id went to another, while the rest was asked: nothing is said of them."""
    now = dict(politely(freed(domains.identities(xen))))
    return {info.domain for info in politely(listed) if now.get(info.domain) != info.handle}
