"""sysctl: the host as a whole. Every call takes Xen's one sysctl lock for its time."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from xenfs.abi.numbers import CpuHotplug, CpupoolOp, Invalid, PageOffline, SchedId, Sysctl, SysctlSched
from xenfs.abi.operations import operation
from xenfs.calls.again import again
from xenfs.calls.bitmaps import members, nbytes
from xenfs.calls.control import sysctl
from xenfs.errors import NotThere, answered_by
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.sources import asks
from xenfs.pool import Buffer

PHYSINFO = operation(Sysctl.physinfo)
SCHED_ID = operation(Sysctl.sched_id)
GETCPUINFO = operation(Sysctl.getcpuinfo)
CPUTOPOINFO = operation(Sysctl.cputopoinfo)
NUMAINFO = operation(Sysctl.numainfo)
AVAILHEAP = operation(Sysctl.availheap)
PAGE_OFFLINE = {each: operation(Sysctl.page_offline_op, each.name).as_whole() for each in PageOffline}
DEBUG_KEYS = operation(Sysctl.debug_keys)
READCONSOLE = operation(Sysctl.readconsole).chosen({"clear": 0})
CLEARCONSOLE = operation(Sysctl.readconsole, "clear").as_whole()
CPU_HOTPLUG = operation(Sysctl.cpu_hotplug)
CPUPOOL = operation(Sysctl.cpupool_op, "INFO").as_whole()
SCHEDULER_OP = operation(Sysctl.scheduler_op, "getinfo").as_whole()

NOWHERE = int(Invalid.CORE_ID)  # as those of sockets and nodes: a CPU number without a CPU
_CONSOLE_CHUNK = 16384
_MOST_CONSOLE = 64 << 20  # bytes: more than any console ring


@asks(PHYSINFO)
def physinfo(xen: Hypervisor) -> Any:
    """struct xen_sysctl_physinfo: CPUs, nodes, memory in pages, capabilities; sysctl physinfo."""
    return sysctl(xen, PHYSINFO)


def nr_cpu_ids(xen: Hypervisor) -> int:
    """One more than the highest number that a CPU can have, which stays while Xen runs; sysctl physinfo, once."""
    return _numbers(xen)[0]


def nr_node_ids(xen: Hypervisor) -> int:
    """The same of NUMA nodes."""
    return _numbers(xen)[1]


def _numbers(xen: Hypervisor) -> tuple[int, int]:
    if xen.numbers is None:
        found = physinfo(xen)
        xen.numbers = found.max_cpu_id + 1, found.max_node_id + 1
    return xen.numbers


def capabilities(xen: Hypervisor) -> int:
    """PhysCap of the host, which stays while Xen runs; sysctl physinfo, once. 0 where this Xen has no sysctl."""
    if xen.capabilities is None:
        xen.capabilities = 0 if PHYSINFO.hypercall.name in xen.unusable else int(physinfo(xen).capabilities)
    return xen.capabilities


def available_pages(found: Any) -> int:
    """Of what physinfo says, the pages that are free and not claimed either: what a new domain can have."""
    return max(0, int(found.free_pages) - int(found.outstanding_pages))


def sched_id(xen: Hypervisor) -> int:
    """The number of the default scheduler; sysctl sched_id."""
    return int(sysctl(xen, SCHED_ID, "sched_id").sched_id)


def cpu_idle_ns(xen: Hypervisor, nr_cpus: int) -> list[int]:
    """Idle time in ns of CPUs 0 to the last one there is, 0 for an offline CPU; sysctl getcpuinfo."""
    with xen.pool.take(8 * nr_cpus) as times:
        filled = sysctl(xen, GETCPUINFO, "getcpuinfo", max_cpus=nr_cpus, info=times).nr_cpus
        return list(times.memory[: 8 * filled].cast("Q"))


def idle_times(xen: Hypervisor) -> dict[int, int]:
    """Idle time in ns of every present CPU by its number, 0 while it is offline; sysctl getcpuinfo, cputopoinfo."""
    present = cpu_topology(xen)
    times = dict(enumerate(cpu_idle_ns(xen, max(present, default=0) + 1)))
    return {cpu: times.get(cpu, 0) for cpu in present}


class Topology(NamedTuple):
    """Where a CPU is. Of one that is offline Xen may have forgotten all but the node: core and socket are NOWHERE."""

    core: int
    socket: int
    node: int

    @property
    def known(self) -> bool:
        """Whether Xen says which core and socket it is."""
        return self.core != NOWHERE and self.socket != NOWHERE


def cpu_topology(xen: Hypervisor) -> dict[int, Topology]:
    """The place of every present CPU by its number, online or not; sysctl cputopoinfo."""
    count = sysctl(xen, CPUTOPOINFO, "cputopoinfo", num_cpus=0).num_cpus
    with xen.pool.take(12 * max(1, count)) as places:
        filled = sysctl(xen, CPUTOPOINFO, "cputopoinfo", num_cpus=count, cputopo=places).num_cpus
        words = places.memory[: 12 * filled].cast("I").tolist()
    triples = zip(*[iter(words)] * 3, strict=True)
    return {cpu: Topology(*place) for cpu, place in enumerate(triples) if any(word != NOWHERE for word in place)}


def cpus_of_nodes(places: Mapping[int, Topology]) -> dict[int, list[int]]:
    """The CPUs of each NUMA node that has some."""
    found: dict[int, list[int]] = {}
    for cpu, place in places.items():
        if place.node != NOWHERE:
            found.setdefault(place.node, []).append(cpu)
    return found


class Node(NamedTuple):
    """A NUMA node: bytes it spans (holes included) and has free, and its distance to every node."""

    span: int
    free: int
    distances: tuple[int, ...]


def numa(xen: Hypervisor) -> dict[int, Node]:
    """Every NUMA node that has memory, by number; sysctl numainfo."""
    count = sysctl(xen, NUMAINFO, "numainfo", num_nodes=0).num_nodes
    with xen.pool.take(16 * max(1, count)) as memory, xen.pool.take(4 * max(1, count * count)) as distance:
        filled = sysctl(xen, NUMAINFO, "numainfo", num_nodes=count, meminfo=memory, distance=distance).num_nodes
        sizes = memory.memory[: 16 * filled].cast("Q").tolist()
        far = distance.memory[: 4 * count * count].cast("I").tolist()
    absent = 2**64 - 1  # XEN_INVALID_MEM_SZ
    return {
        node: Node(sizes[2 * node], sizes[2 * node + 1], tuple(far[node * filled : (node + 1) * filled]))
        for node in range(filled)
        if sizes[2 * node] != absent
    }


def free_heap(xen: Hypervisor, node: int = -1, min_bits: int = 0, max_bits: int = 0) -> int:
    """Free bytes on a node (-1: on all) below 2**max_bits and above 2**min_bits (0: no bound); sysctl availheap."""
    return int(sysctl(xen, AVAILHEAP, "availheap", node=node, min_bitwidth=min_bits, max_bitwidth=max_bits).avail_bytes)


def page_offline(xen: Hypervisor, what: int, first: int, last: int) -> list[int]:
    """The status word of each page from mfn `first` to `last` after asking for, or doing, `what`; page_offline_op."""
    count = last - first + 1
    with xen.pool.take(4 * count) as words:
        sysctl(xen, PAGE_OFFLINE[PageOffline(what)], "page_offline", cmd=what, start=first, end=last, status=words)
        return words.memory[: 4 * count].cast("I").tolist()


def debug_keys(xen: Hypervisor, keys: bytes) -> None:
    """Have Xen act on each key as if typed on its console; output goes to the console ring. sysctl debug_keys."""
    with xen.pool.take(len(keys)) as buf:
        buf.fill(keys)
        sysctl(xen, DEBUG_KEYS, "debug_keys", keys=buf, nr_keys=len(keys))


def console(xen: Hypervisor, position: int | None) -> tuple[bytes, int]:
    """What the console ring has from `position` on (None: from its oldest byte), and the position after it.

    Positions are free-running 32-bit counters; one that the ring has lapped is moved up. sysctl readconsole.
    """
    found = bytearray()
    index, incremental = position or 0, position is not None
    with xen.pool.take(_CONSOLE_CHUNK) as buf:
        while True:
            arm = sysctl(
                xen, READCONSOLE, "readconsole",
                incremental=incremental, index=index, buffer=buf, count=_CONSOLE_CHUNK,
            )  # fmt: skip
            found += buf.memory[: arm.count]
            stands = incremental and index == arm.index  # or an answer that makes no sense would be asked for for good
            index, incremental = arm.index, True
            if arm.count < _CONSOLE_CHUNK or stands or len(found) > _MOST_CONSOLE:
                return bytes(found), index


def console_goes_on(xen: Hypervisor, position: int | None) -> bool:
    """Whether the console ring has anything from `position` on; sysctl readconsole, of one byte."""
    with xen.pool.take(1) as buf:
        arm = sysctl(
            xen, READCONSOLE, "readconsole",
            incremental=position is not None, index=position or 0, buffer=buf, count=1,
        )  # fmt: skip
        return bool(arm.count)


def console_clear(xen: Hypervisor) -> None:
    """Empty the console ring; sysctl readconsole with its clear flag, which drops only what was read with it."""
    with xen.pool.take(_CONSOLE_CHUNK) as buf:
        for _ in range(_MOST_CONSOLE // _CONSOLE_CHUNK):
            if (
                sysctl(xen, CLEARCONSOLE, "readconsole", clear=1, buffer=buf, count=_CONSOLE_CHUNK).count
                < _CONSOLE_CHUNK
            ):
                return


def hotplug(xen: Hypervisor, cpu: int, online: bool) -> None:
    """Take a CPU in or out of use; EINVAL, EBUSY where Xen cannot do without it. sysctl cpu_hotplug.

    EBUSY is also what Xen says while something else is going on with CPUs: it is asked again, for some seconds.
    """
    what = CpuHotplug.ONLINE if online else CpuHotplug.OFFLINE
    again(lambda: sysctl(xen, CPU_HOTPLUG, "cpu_hotplug", cpu=cpu, op=what), (errno.EBUSY,))


class Cpupool(NamedTuple):
    """A cpupool: its id, the number of its scheduler, how many domains it has, and its CPUs."""

    id: int
    sched_id: int
    nr_domains: int
    cpus: list[int]


def _pool_cpus(arm: Any, cpus: Buffer) -> list[int]:
    return members(cpus.memory, arm.cpumap.nr_bits)


@contextmanager
def _cpumap(xen: Hypervisor, nr_cpus: int) -> Iterator[tuple[Buffer, dict[str, Any]]]:
    with xen.pool.take(nbytes(nr_cpus)) as cpus:
        yield cpus, {"bitmap": cpus, "nr_bits": nr_cpus}


def next_cpupool(xen: Hypervisor, pool_id: int, nr_cpus: int) -> Cpupool:
    """The pool with this id or the next higher one; ENOENT past the last. cpupool_op INFO."""
    with _cpumap(xen, nr_cpus) as (cpus, cpumap):
        arm = sysctl(xen, CPUPOOL, "cpupool_op", op=CpupoolOp.INFO, cpupool_id=pool_id, cpumap=cpumap)
        return Cpupool(arm.cpupool_id, arm.sched_id, arm.n_dom, _pool_cpus(arm, cpus))


def free_cpus(xen: Hypervisor, nr_cpus: int) -> list[int]:
    """CPUs that are in no pool; cpupool_op FREEINFO."""
    with _cpumap(xen, nr_cpus) as (cpus, cpumap):
        return _pool_cpus(sysctl(xen, CPUPOOL, "cpupool_op", op=CpupoolOp.FREEINFO, cpumap=cpumap), cpus)


def cpupools(xen: Hypervisor) -> list[Cpupool]:
    """Every cpupool, by id; one cpupool_op INFO each."""
    nr_cpus = nr_cpu_ids(xen)
    found: list[Cpupool] = []
    while True:
        with answered_by(errno.ENOENT):
            found.append(next_cpupool(xen, found[-1].id + 1 if found else 0, nr_cpus))
            continue
        return found


@asks(CPUPOOL)
def cpupool(xen: Hypervisor, pool_id: int) -> Cpupool:
    """The cpupool with this id; NotThere when there is none."""
    with answered_by(errno.ENOENT):
        found = next_cpupool(xen, pool_id, nr_cpu_ids(xen))
        if found.id == pool_id:
            return found
    raise NotThere(f"cpupool: {pool_id}")


def pool_parameters(xen: Hypervisor, pool: Cpupool) -> Any:
    """What credit or credit2 holds for a whole pool; sysctl scheduler_op getinfo."""
    arm = sysctl(
        xen, SCHEDULER_OP, "scheduler_op",
        cpupool_id=pool.id, sched_id=pool.sched_id, cmd=SysctlSched.getinfo,
    )  # fmt: skip
    return xen.abi.copy(arm.u.sched_credit2 if pool.sched_id == SchedId.CREDIT2 else arm.u.sched_credit)
