"""What the keys of Xen's console print."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from xenfs.simulator.world.cpupools import SCHEDULERS
from xenfs.simulator.world.host import cpus_in
from xenfs.simulator.world.world import World


def press(world: World, key: str) -> None:
    """Handle one key; one without a handler does nothing."""
    if key in _KEYS:
        _KEYS[key][1](world, key)


def _help(world: World, key: str) -> None:
    world.console.print(
        f"'{key}' pressed -> showing installed handlers",
        *(f" key '{other}' (ascii '{ord(other):02x}') => {text}" for other, (text, _) in sorted(_KEYS.items())),
    )


def _system(world: World, key: str) -> None:
    world.console.print(f"'{key}' pressed -> showing system information", *world.banner)


def _domains(world: World, key: str) -> None:
    world.console.print(f"'{key}' pressed -> dumping domain info (now = {world.clock.now()})")
    for domain in world.domains_from(0):
        world.console.print(
            f"General information for domain {domain.domid}:",
            f"    refcnt=3 dying={domain.dying} pause_count={domain.pause_count}",
            f"    nr_pages={domain.tot_pages} xenheap_pages=5 shared_pages={domain.shared_pages}"
            f" paged_pages={domain.paged_pages} dirty_cpus={{}} max_pages={domain.max_pages}",
            f"    handle={UUID(bytes=domain.handle)} vm_assist=00000020",
        )


def _run_queues(world: World, key: str) -> None:
    world.console.print("sched_smt_power_savings: disabled", f"NOW={world.clock.now()}")
    world.console.print(f"Online Cpus: {_listed(world.host.online)}")
    for pool in world.pools.by_id.values():
        world.console.print(
            f"Cpupool {pool.id}:",
            f"Cpus: {_listed(pool.cpus)}",
            f"Scheduling granularity: {pool.granularity}, 1 CPU per sched-resource",
            f"Scheduler: SMP {SCHEDULERS[pool.scheduler].title()} Scheduler ({SCHEDULERS[pool.scheduler]})",
        )


def _registers(world: World, key: str) -> None:
    world.console.print(f"'{key}' pressed -> dumping registers", "")
    for cpu in world.host.cpus:
        if cpu.online:
            world.console.print(f"*** Dumping CPU{cpu.id} host state: ***")


def _memory(world: World, key: str) -> None:
    world.console.print(
        "Physical memory information:",
        "    Xen heap: 0kB free",
        f"    Dom heap: {world.free_pages * 4}kB free",
    )


def _numa(world: World, key: str) -> None:
    world.console.print(f"'{key}' pressed -> dumping numa info (now = {world.clock.now()})")
    for node in range(world.host.nr_nodes):
        pages = world.host.node_pages(node)
        world.console.print(f"NODE{node} start->{node * pages} size->{pages} free->{world.free_pages}")


def _listed(mask: int) -> str:
    return ",".join(map(str, cpus_in(mask)))


_KEYS: dict[str, tuple[str, Callable[[World, str], None]]] = {
    "d": ("dump registers", _registers),
    "?": ("show system information", _system),
    "h": ("show this message", _help),
    "m": ("memory info", _memory),
    "q": ("dump domain (and guest debug) info", _domains),
    "r": ("dump run queues", _run_queues),
    "u": ("dump NUMA info", _numa),
}
