"""Taking CPUs down and bringing them up, and what that does to the cpupools."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENODEV, EPERM

from xenfs.simulator.world.refused import Panic, Refused
from xenfs.simulator.world.world import World


def set_online(world: World, number: int, online: bool) -> None:
    """Bring a CPU up or down: EEXIST when it is so already, ENODEV when it is in a pool other than Pool-0."""
    host = world.host
    if number >= host.nr_cpus or (not online and number == 0):
        raise Refused(EINVAL)
    if host.cpus[number].online == online:
        raise Refused(EEXIST)
    if online:
        _bring_up(world, number)
        if not world.power.smt and _has_sibling(world, number):
            _take_down(world, number)
            raise Refused(EPERM)
    else:
        _take_down(world, number)


def _bring_up(world: World, number: int) -> None:
    cpu = world.host.cpus[number]
    cpu.online, cpu.since = True, world.clock.ticks()
    world.power.came_up(cpu)
    world.host.nr_online += 1
    world.pools.free |= 1 << number
    world.pools.add_cpu(0, number)


def _take_down(world: World, number: int) -> None:
    bit, pool0, cpu = 1 << number, world.pools.by_id[0], world.host.cpus[number]
    if not (world.pools.free | pool0.cpus) & bit:
        raise Refused(ENODEV)
    if world.pools.moving is not None and world.pools.moving[0] == number:
        raise Panic(f"CPU {number} was taken offline while it was on its way out of a cpupool")
    if pool0.cpus & bit:
        world.pools.remove_cpu(0, number)
    world.pools.free &= ~bit
    cpu.settle(world.clock.ticks())
    world.power.went_down(cpu)
    cpu.online = False
    world.host.nr_online -= 1


def _has_sibling(world: World, number: int) -> bool:
    """Whether another thread of its core is online."""
    cpu = world.host.cpus[number]
    return world.host.threads > 1 and any(
        other.online and other is not cpu and (other.socket, other.core) == (cpu.socket, cpu.core)
        for other in world.host.cpus
    )


def set_smt(world: World, on: bool) -> None:
    """Bring every second thread up or down; those that are parked on request are down, and no longer parked."""
    world.power.smt = on
    for cpu in world.host.cpus:
        if cpu.id % world.host.threads == 0:
            continue
        if not on and cpu.id in world.power.parked:
            world.power.parked.remove(cpu.id)
        elif cpu.online != on:
            set_online(world, cpu.id, on)


def park(world: World, count: int) -> None:
    """Take down as many CPUs as are wanted, or bring up what was parked last; the first that will not go ends it."""
    parked = world.power.parked
    while len(parked) < count:
        number = _next_to_park(world)
        set_online(world, number, False)
        parked.append(number)
    while len(parked) > count:
        set_online(world, parked[-1], True)
        parked.pop()


def _next_to_park(world: World) -> int:
    """Of the CPUs in the socket that has fewest, and of those in cores that have fewest, the first."""
    online = [cpu for cpu in world.host.cpus if cpu.online]

    def neighbours(number: int) -> tuple[int, int]:
        here = world.host.cpus[number]
        in_socket = [cpu for cpu in online if cpu.socket == here.socket]
        return len(in_socket), len([cpu for cpu in in_socket if cpu.core == here.core])

    return min((cpu.id for cpu in online if cpu.id), key=neighbours)
