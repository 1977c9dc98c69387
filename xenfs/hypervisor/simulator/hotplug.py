"""Taking CPUs down and bringing them up, and what that does to the cpupools."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENODEV

from xenfs.hypervisor.simulator.refused import Refused
from xenfs.hypervisor.simulator.world import World


def set_online(world: World, number: int, online: bool) -> None:
    """Bring a CPU up or down: EEXIST when it is so already, ENODEV when it is in a pool other than Pool-0."""
    host = world.host
    if number >= host.nr_cpus or (not online and number == 0):
        raise Refused(EINVAL)
    if host.cpus[number].online == online:
        raise Refused(EEXIST)
    if online:
        _bring_up(world, number)
    else:
        _take_down(world, number)


def _bring_up(world: World, number: int) -> None:
    cpu = world.host.cpus[number]
    cpu.online, cpu.since = True, world.clock.ticks()
    world.host.nr_online += 1
    world.pools.free |= 1 << number
    world.pools.add_cpu(0, number)


def _take_down(world: World, number: int) -> None:
    bit, pool0, cpu = 1 << number, world.pools.by_id[0], world.host.cpus[number]
    if not (world.pools.free | pool0.cpus) & bit:
        raise Refused(ENODEV)
    if pool0.cpus & bit:
        world.pools.remove_cpu(0, number)
    world.pools.free &= ~bit
    cpu.settle(world.clock.ticks())
    cpu.online = False
    world.host.nr_online -= 1
