"""Who lives on the pretended host: a dozen domains in every state there is, and as many plain ones as are wanted."""

from __future__ import annotations

from dataclasses import dataclass

from xenfs.simulator.world.cpupools import ARINC653, CREDIT, CREDIT2
from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.vnuma import Vnuma
from xenfs.simulator.world.world import World

GIB = 1 << 20  # in kB
PLAIN_KB = 64 << 10


@dataclass(frozen=True)
class Resident:
    """A domain that is there from the start. `load` is of each vCPU, in 1024ths of a CPU; `state` what became of it."""

    domid: int
    name: str | None
    type: str
    vcpus: int
    memory_kb: int
    load: int
    state: str = "running"
    pool: int = 0


DOZEN = (
    Resident(0, "Domain-0", "pv", 4, 2 * GIB, 60),
    Resident(1, "web-1", "pv", 2, 1 * GIB, 310),
    Resident(2, "web-2", "pvh", 2, 1 * GIB, 270),
    Resident(3, "database", "hvm", 4, 6 * GIB, 640),
    Resident(4, "mail", "pvh", 1, 1 * GIB, 12),
    Resident(6, "build-farm", "pvh", 4, 4 * GIB, 980, pool=1),
    Resident(7, "desktop", "hvm", 2, 4 * GIB, 25),
    Resident(9, "standby", "pvh", 2, 1 * GIB, 90, "paused"),
    Resident(10, "nightly", "pvh", 1, GIB // 2, 40, "poweroff"),
    Resident(12, "legacy", "pv", 1, GIB // 2, 30, "crash"),
    Resident(15, "retired", "pvh", 1, GIB // 2, 30, "dying"),
    Resident(16, None, "pvh", 1, GIB // 4, 8),
)
MONITORED = frozenset({1, 3})  # whose use of caches and bandwidth is counted, where it can be
SHUTDOWN_CODES = {"poweroff": 0, "reboot": 1, "suspend": 2, "crash": 3, "watchdog": 4}


def populate(world: World) -> None:
    """Lay out the cpupools and let the domains in."""
    _make_pools(world)
    for resident in DOZEN[: world.settings.domains]:
        _settle_in(world, resident)
    vcpus = world.settings.vcpus
    for number in range(len(DOZEN), world.settings.domains):
        domid = number + DOZEN[-1].domid - len(DOZEN) + 1
        _settle_in(
            world,
            Resident(domid, f"guest-{domid}", _plain_type(number), vcpus or 1 + number % 2, PLAIN_KB, number % 7),
        )
    _furnish(world)
    if world.psr:
        for domid in sorted(MONITORED.intersection(world.domains)):
            world.psr.attach(world.domains[domid])
    world._last_domid = max(world.order)


def _plain_type(number: int) -> str:
    return ("pvh", "pvh", "pv", "hvm")[number % 4]


def _furnish(world: World) -> None:
    """A graphics card for the desktop, and two virtual nodes for the database; on Arm the first may have devices."""
    desktop, database = world.domains.get(7), world.domains.get(3)
    if not world.host.x86:
        if desktop:
            desktop.kept["iommu"] = world.settings.smmu
        return
    if desktop and world.settings.iommu:
        desktop.kept["iommu"] = True
        world.bus.give(world.bus.GRAPHICS, desktop.domid)
    if database:
        half, high = 3 << 30, 1 << 32
        ranges = [(0, half, 0, 0), (high, high + half, 0, 1)]
        database.kept["vnuma"] = Vnuma([[10, 21], [21, 10]], [vcpu.id % 2 for vcpu in database.existing()], ranges)


def _make_pools(world: World) -> None:
    """Most CPUs in Pool-0, a quarter in a pool of their own, and some that nobody uses."""
    cpus, host_cpus = world.host.nr_cpus, range(world.host.nr_cpus)
    world.pools.create(CREDIT2, 0)
    spare, second = (max(1, cpus // 8), max(1, cpus // 4)) if cpus >= 4 else (0, 0)
    if second:
        world.pools.create(CREDIT, 1)
    if world.settings.arinc653:
        world.pools.create(ARINC653, 2).slots = [(bytes(range(16)), vcpu, 4_000_000) for vcpu in range(2)]
    for number in host_cpus[: cpus - spare]:
        pool = int(number >= cpus - spare - second)
        world.pools.by_id[pool].cpus |= 1 << number
        world.pools.free &= ~(1 << number)


def _settle_in(world: World, resident: Resident) -> Domain:
    x86 = world.host.x86
    kind = resident.type if x86 else "pvh"
    if resident.domid == 0:
        kind = world.settings.dom0
    domain = world.create(
        resident.domid,
        name=resident.name,
        uuid=bytes(16) if resident.domid == 0 else None,
        type=kind,
        vcpus=min(resident.vcpus, world.host.nr_cpus) if resident.domid == 0 else resident.vcpus,
        memory_kb=resident.memory_kb,
        load=resident.load,
        pool=resident.pool if resident.pool in world.pools.by_id else 0,
        paused=resident.state == "paused",
    )
    _give_a_past(world, domain, resident)
    return domain


def _give_a_past(world: World, domain: Domain, resident: Resident) -> None:
    """Counters as of a domain that has been here since the host booted."""
    for vcpu in domain.existing():
        share = resident.load * (60 + (domain.domid * 7 + vcpu.id * 13) % 40) // 100
        vcpu.used_ns = world.clock.ticks() * min(share, 200)
        if vcpu.cpu is not None:
            vcpu.cpu.idle_ns = max(0, vcpu.cpu.idle_ns - vcpu.used_ns)
    domain.used_ns = sum(vcpu.used_ns for vcpu in domain.existing())
    if domain.domid == 0:
        domain.max_pages = 0xFFFFFFFF
        domain.capabilities = 0x7
        domain.emulation_flags = 0x100 if domain.kind == "pv" else 0x411
    if resident.state == "dying":
        domain.zombie = True
        world.destroy(domain.domid)
    elif resident.state in SHUTDOWN_CODES:
        world.shutdown(domain.domid, SHUTDOWN_CODES[resident.state])
