"""Every metric, a line each: its name after Prometheus's conventions, its help, and where its value comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import xenfs
from xenfs.abi.numbers import DomInf
from xenfs.calls.sysctl import NOWHERE, Node, available_pages
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.foreign import PAGE
from xenfs.nodes.domains import facts
from xenfs.nodes.host import scheduler_name
from xenfs.nodes.metrics.snapshot import Counted, Guest, Snapshot
from xenfs.nodes.metrics.text import Item, Metric, Value, counter, gauge, info_metric, labels, micro, seconds

_SECTOR = 512


class Group(NamedTuple):
    """Metrics of one kind of thing, and the things themselves."""

    items: Callable[[Hypervisor, Snapshot], Iterable[Item]]
    metrics: tuple[Metric, ...]


def _tallies(xen: Hypervisor, snap: Snapshot) -> list[Item]:
    rows = ((name.partition(" "), tally) for name, tally in xen.calls.tallies())
    return [(labels({"hypercall": call, "operation": what or "all"}), tally) for (call, _, what), tally in rows]


def _successes(snap: Snapshot) -> list[tuple[str, Value]]:
    return [(f'collector="{part}"', int(worked)) for part, worked in snap.worked.items()]


def _build(both: tuple[Hypervisor, Snapshot]) -> dict[str, object]:
    xen, snap = both
    return {"version": snap.release, "changeset": snap.changeset, "arch": xen.abi.arch}


def _own_build(xen: Hypervisor) -> dict[str, object]:
    return {"version": xenfs.__version__, "backend": xen.backend.name}


def _pages(name: str) -> Callable[[Any], Value]:
    """A member that counts pages, in bytes."""
    member = attrgetter(name)
    return lambda of: member(of) * PAGE


def _size(name: str) -> Callable[[Guest], Value]:
    """The same of what getdomaininfo says of a domain."""
    return _pages(f"info.{name}")


def _flag(flag: DomInf) -> Callable[[Guest], Value]:
    bit = int(flag)
    return lambda guest: 1 if guest.info.flags & bit else 0


def _is(condition: bool) -> Value:
    return 1 if condition else 0


def _complete(xen: Hypervisor, snap: Snapshot) -> list[Item]:
    """The snapshot, where memory was told of the machine and of all domains."""
    return [("", snap)] if snap.host is not None and snap.worked.get("domains") else []


def _own_memory(snap: Snapshot) -> Value:
    """With what domains have and what is free it makes the memory of the machine."""
    of_domains: int = sum(guest.info.tot_pages for _, guest in snap.guests)
    return max(0, int(snap.host.total_pages) - int(snap.host.free_pages) - of_domains) * PAGE


def _idle(ns: int) -> Value:
    """None of a CPU that is offline: a counter that falls to 0 would count all its past again when the CPU is back."""
    return seconds(ns) if ns else None


def _parameter(name: str, form: Callable[[int], Value]) -> Callable[[Guest], Value]:
    """A parameter that not every scheduler has."""

    def value(guest: Guest) -> Value:
        held = guest.parameters.get(name)
        return None if held is None else form(held)

    return value


def _count(name: str, unit: int = 1) -> Callable[[Counted], Value]:
    """A counter of a device, where its kernel counts it."""

    def value(device: Counted) -> Value:
        count = device.counters.get(name)
        return None if count is None else count * unit

    return value


def _began(guest: Guest) -> Value:
    return None if guest.began_s is None else f"{guest.began_s:.2f}"


def _percent(cap: int) -> str:
    return f"{cap / 100:g}"


def _distances(node: Node) -> list[tuple[str, Value]]:
    return [(f'to="{number}"', distance) for number, distance in enumerate(node.distances) if distance != NOWHERE]


@cache
def _of_kind(kind: str, cpupool: int) -> list[tuple[str, Value]]:
    return [(labels({"type": kind, "cpupool": cpupool}), 1)]


def _limit(guest: Guest) -> Value:
    pages = guest.info.max_pages
    return "+Inf" if pages >= facts.NO_LIMIT_PAGES else pages * PAGE


_XEN = (
    gauge("xen_up", "Whether all that was asked of Xen was answered.", lambda s: int(all(s.worked.values()))),
    gauge("xen_collector_success", "Whether this part of the scrape was answered.", _successes, labelled=True),
    gauge("xen_scrape_duration_seconds", "How long it took to ask for it all.", lambda s: seconds(s.took_ns)),
)

_BUILD = (info_metric("xen_build", "Version of Xen.", _build),)

_HOST = (
    gauge("xen_host_cpus", "Physical CPUs that are online.", lambda host: host.nr_cpus),
    gauge("xen_host_nodes", "NUMA nodes.", lambda host: host.nr_nodes),
    gauge("xen_host_cpu_frequency_hertz", "Frequency of the CPUs.", lambda host: host.cpu_khz * 1000),
    gauge("xen_host_memory_bytes", "Memory of the machine.", _pages("total_pages")),
    gauge("xen_host_memory_free_bytes", "Memory that no domain has.", _pages("free_pages")),
    gauge("xen_host_memory_claimed_bytes", "Memory claimed for domains, not theirs yet.", _pages("outstanding_pages")),
    gauge("xen_host_memory_available_bytes", "Memory free and not claimed.", lambda h: available_pages(h) * PAGE),
)

_OWN = (gauge("xen_host_memory_xen_bytes", "Memory that is neither free nor a domain's: Xen's own.", _own_memory),)

_ENDS = (counter("xen_shutdowns", "Domains seen to shut down, since xenfs began.", lambda count: count),)

_CPU = (
    info_metric("xen_cpu", "Where a physical CPU is.", lambda cpu: cpu.place),
    gauge("xen_cpu_online", "Whether Xen uses the physical CPU.", lambda cpu: _is(cpu.idle_ns > 0)),
    counter("xen_cpu_idle_seconds", "Idle time of a physical CPU that is online.", lambda cpu: _idle(cpu.idle_ns)),
)

_CSTATE = (
    counter("xen_cpu_cstate_seconds", "Time of a physical CPU in an idle state; C0 is work.", lambda c: seconds(c[1])),
    counter("xen_cpu_cstate_entries", "How often the CPU went into the state.", lambda c: c[0]),
)

_HARDWARE = (counter("xen_cpu_hardware_cstate_seconds", "The same as the package and the core count it.", seconds),)

_NODE = (
    gauge("xen_node_memory_bytes", "Memory that a NUMA node spans, holes included.", lambda node: node.span),
    gauge("xen_node_memory_free_bytes", "Memory of the node that no domain has.", lambda node: node.free),
    gauge("xen_node_distance", "Distance from a NUMA node to another.", _distances, labelled=True),
)

_POOL = (
    info_metric(
        "xen_cpupool", "The scheduler of a cpupool.", lambda pool: {"scheduler": scheduler_name(pool.sched_id)}
    ),
    gauge("xen_cpupool_cpus", "Physical CPUs in the pool.", lambda pool: len(pool.cpus)),
    gauge("xen_cpupool_domains", "Domains in the pool.", lambda pool: pool.nr_domains),
)

_DOMAINS = (gauge("xen_domains", "Domains, the control domain and dying ones included.", len),)

_DOMAIN = (
    gauge("xen_domain_info", "Its kind and cpupool.", lambda d: _of_kind(d.kind, d.info.cpupool), labelled=True),
    counter("xen_domain_cpu_seconds", "CPU time of all vCPUs of a domain.", lambda d: seconds(d.info.cpu_time)),
    gauge("xen_domain_start_time_seconds", "When the domain began, in seconds since 1970.", _began),
    gauge("xen_domain_vcpus", "vCPUs that the domain has, online or not.", lambda d: facts.nr_vcpus(d.info)),
    gauge("xen_domain_vcpus_online", "vCPUs that the guest has brought up.", lambda d: d.info.nr_online_vcpus),
    gauge("xen_domain_memory_bytes", "Memory that the domain has.", _size("tot_pages")),
    gauge("xen_domain_memory_max_bytes", "Memory that the domain may have, +Inf without a limit.", _limit),
    gauge("xen_domain_memory_claimed_bytes", "Memory claimed for the domain, not its yet.", _size("outstanding_pages")),
    gauge("xen_domain_memory_shared_bytes", "Memory that the domain shares with others.", _size("shr_pages")),
    gauge("xen_domain_memory_paged_bytes", "Memory of the domain that is paged out.", _size("paged_pages")),
    gauge("xen_domain_paused", "Whether the domain is paused by the toolstack.", _flag(DomInf.paused)),
    gauge("xen_domain_dying", "Whether Xen takes the domain apart.", _flag(DomInf.dying)),
    gauge("xen_domain_shutdown", "Whether the domain has shut down, for whatever reason.", _flag(DomInf.shutdown)),
    gauge("xen_domain_crashed", "Whether it shut down because it crashed.", lambda d: _is(facts.crashed(d.info))),
    gauge("xen_domain_grant_frames", "Frames that the domain's grant table has.", lambda d: d.grants and d.grants[0]),
    gauge("xen_domain_grant_frames_max", "Frames that it may have.", lambda d: d.grants and d.grants[1]),
    gauge("xen_domain_scheduler_weight", "Share of CPU time (credit, credit2).", _parameter("weight", int)),
    gauge("xen_domain_scheduler_cap_ratio", "Most CPU time, 1 for one CPU, 0 for no cap.", _parameter("cap", _percent)),
    gauge("xen_domain_scheduler_period_seconds", "Length of a period (RTDS).", _parameter("period", micro)),
    gauge("xen_domain_scheduler_budget_seconds", "CPU time in each period (RTDS).", _parameter("budget", micro)),
)

_VCPU = (
    counter("xen_vcpu_cpu_seconds", "CPU time of a vCPU.", lambda vcpu: seconds(vcpu[1])),
    gauge("xen_vcpu_online", "Whether the guest has brought the vCPU up.", itemgetter(0)),
)

_NETWORK = tuple(
    counter(f"xen_domain_network_{done}_{what}", f"{words} that the guest has {said}.", _count(f"{way}_{what}"))
    for way, done, said in (("rx", "receive", "received"), ("tx", "transmit", "sent"))
    for what, words in (
        ("bytes", "Bytes"), ("packets", "Packets"), ("errors", "Packets with errors"), ("dropped", "Lost packets"),
    )
)  # fmt: skip

_BLOCK = (
    counter("xen_domain_block_read_bytes", "Bytes that the guest has read from a disk.", _count("rd_sect", _SECTOR)),
    counter("xen_domain_block_written_bytes", "Bytes that it has written.", _count("wr_sect", _SECTOR)),
    counter("xen_domain_block_reads", "Reads that it has asked for.", _count("rd_req")),
    counter("xen_domain_block_writes", "Writes that it has asked for.", _count("wr_req")),
    counter("xen_domain_block_no_room", "Times that dom0 had no room for a request.", _count("oo_req")),
)

_XENFS = (info_metric("xenfs_build", "Version of xenfs, and how it reaches Xen.", _own_build),)

_CALLS = (
    counter("xenfs_hypercalls", "Hypercalls that xenfs has made; a multicall is one.", lambda tally: tally.count),
    counter("xenfs_hypercall_errors", "Hypercalls that Xen refused.", lambda tally: tally.errors),
    counter("xenfs_hypercall_seconds", "Time that hypercalls took.", lambda tally: seconds(tally.total_ns)),
    gauge("xenfs_hypercall_longest_seconds", "The longest of them.", lambda tally: seconds(tally.max_ns)),
)

_BUFFERS = (
    counter("xenfs_buffers_taken", "Buffers that were taken from the pool for hypercalls.", itemgetter("takes")),
    counter("xenfs_buffers_missed", "Times that no buffer of the size was at hand.", itemgetter("misses")),
    counter("xenfs_buffers_copied_in_bytes", "Bytes that were copied into buffers.", itemgetter("bytes_in")),
    counter("xenfs_buffers_copied_out_bytes", "Bytes that were copied out of buffers.", itemgetter("bytes_out")),
    counter("xenfs_buffers_retries", "Hypercalls made again as a page was not there.", itemgetter("efault_retries")),
    counter("xenfs_buffers_overruns", "Writes past the end of a buffer, as far as seen.", itemgetter("red_zone_hits")),
    gauge("xenfs_buffers_in_use", "Buffers on loan.", itemgetter("in_use")),
    gauge("xenfs_buffers_in_use_peak", "Most buffers that were on loan at once.", itemgetter("peak")),
    gauge("xenfs_buffers_mapped_bytes", "Memory of the pool.", itemgetter("bytes_mapped")),
)

GROUPS = (
    Group(lambda xen, snap: [("", snap)], _XEN),
    Group(lambda xen, snap: [("", (xen, snap))], _BUILD),
    Group(lambda xen, snap: [] if snap.host is None else [("", snap.host)], _HOST),
    Group(_complete, _OWN),
    Group(lambda xen, snap: snap.cpus, _CPU),
    Group(lambda xen, snap: snap.cstates, _CSTATE),
    Group(lambda xen, snap: snap.hardware, _HARDWARE),
    Group(lambda xen, snap: snap.nodes, _NODE),
    Group(lambda xen, snap: snap.pools, _POOL),
    Group(lambda xen, snap: [("", snap.guests)] if snap.worked.get("domains") else [], _DOMAINS),
    Group(lambda xen, snap: snap.ends, _ENDS),
    Group(lambda xen, snap: snap.guests, _DOMAIN),
    Group(lambda xen, snap: snap.vcpus, _VCPU),
    Group(lambda xen, snap: snap.networks, _NETWORK),
    Group(lambda xen, snap: snap.disks, _BLOCK),
    Group(lambda xen, snap: [("", xen)], _XENFS),
    Group(_tallies, _CALLS),
    Group(lambda xen, snap: [("", xen.pool.stat())], _BUFFERS),
)
