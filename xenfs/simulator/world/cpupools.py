"""CPU pools: which scheduler runs which CPUs, and the errors of moving CPUs and domains between them."""

from __future__ import annotations

from errno import EADDRNOTAVAIL, EAGAIN, EBUSY, EEXIST, EINVAL, ENODEV, ENOENT, ENOSPC, ESRCH
from typing import Any

from xenfs.simulator.layouts import version
from xenfs.simulator.world.clock import Clock
from xenfs.simulator.world.domains import ALIVE, Domain
from xenfs.simulator.world.host import Host
from xenfs.simulator.world.placement import Placement
from xenfs.simulator.world.refused import Panic, Refused

CREDIT, CREDIT2, ARINC653, RTDS, NULL = 5, 6, 7, 8, 9
SCHEDULERS = {CREDIT: "credit", CREDIT2: "credit2", ARINC653: "arinc653", RTDS: "rtds", NULL: "null"}
_FRAME_NS = 10_000_000  # of a schedule that nobody has set


class Cpupool:
    """A pool: its scheduler, the mask of its CPUs, its domains, and the scheduler's parameters."""

    def __init__(self, number: int, scheduler: int) -> None:
        self.id, self.scheduler = number, scheduler
        self.cpus = 0
        self.domains: set[Domain] = set()
        self.granularity = "cpu"
        self.tslice_ms, self.ratelimit_us, self.migration_delay_us = 30, 1000, 0
        self.frame_ns = _FRAME_NS
        self.slots: list[tuple[Any, ...]] = []  # of arinc653: a domain's UUID, a vCPU, ns


class Cpupools:
    """All pools. Methods raise Refused with the errno of Xen's cpupool operations."""

    def __init__(self, host: Host, placement: Placement, clock: Clock) -> None:
        self._host, self._placement, self._clock = host, placement, clock
        self.by_id: dict[int, Cpupool] = {}
        self.free = host.present
        self.moving: tuple[int, Cpupool] | None = None  # a CPU whose removal is half done, and the pool it was in
        self.stubborn = 0  # how often a vCPU cannot be moved away yet
        self.crashes_of_offline = (4, 15) <= version(host.settings.series) < (4, 17)

    def at_least(self, number: int) -> Cpupool:
        """The pool with this id, or else the next higher one: ENOENT when there is none."""
        for candidate in sorted(self.by_id):
            if candidate >= number:
                return self.by_id[candidate]
        raise Refused(ENOENT)

    def get(self, number: int, code: int = ENOENT) -> Cpupool:
        """The pool with exactly this id."""
        if number not in self.by_id:
            raise Refused(code)
        return self.by_id[number]

    def create(self, scheduler: int, number: int | None = None) -> Cpupool:
        """A new pool without CPUs, of any id or of this one."""
        if len(self.by_id) >= 2 * self._host.nr_cpus:
            raise Refused(ENOSPC)
        if number is None:
            number = max(self.by_id, default=-1) + 1
        if number in self.by_id:
            raise Refused(EEXIST)
        if scheduler not in SCHEDULERS or (scheduler == ARINC653 and not self._host.settings.arinc653):
            raise Refused(ENOENT)
        pool = self.by_id[number] = Cpupool(number, scheduler)
        return pool

    def destroy(self, number: int) -> None:
        """Remove a pool that has neither domains nor CPUs."""
        pool = self.get(number)
        if pool.domains or pool.cpus:
            raise Refused(EBUSY)
        del self.by_id[number]

    def together(self, pool: Cpupool, cpu: int) -> int:
        """The mask of the CPUs that come and go with one: all of its core or socket, where the pool schedules these."""
        one = self._host.cpus[cpu]
        if pool.granularity == "cpu" or not self._host.x86:
            return 1 << cpu
        return sum(
            1 << other.id for other in self._host.cpus
            if other.online and other.socket == one.socket and (pool.granularity == "socket" or other.core == one.core)
        )  # fmt: skip

    def add_cpu(self, number: int, cpu: int | None) -> None:
        """Give a free CPU to a pool, and those that go with it: any one, or this one."""
        pool, host = self.get(number), self._host
        if cpu is None:
            if not self.free:
                raise Refused(ENODEV)
            cpu = (self.free & -self.free).bit_length() - 1
        if cpu >= host.nr_cpus:
            raise Refused(EINVAL)
        if not host.cpus[cpu].online:
            if pool.granularity != "cpu" and self.crashes_of_offline:
                raise Panic(f"CPU {cpu}, which is offline, was added to a pool of granularity {pool.granularity}")
            raise Refused(ENODEV)
        cpus = self.together(pool, cpu)
        if cpus & ~self.free:
            raise Refused(ENODEV)
        if self.moving is not None and self.moving[0] == cpu:
            if self.moving[1] is not pool:
                raise Refused(EADDRNOTAVAIL)
            if pool.scheduler == CREDIT:
                raise Panic(f"CPU {cpu} was added again while a vCPU still ran on it")
            self.moving = None
        self.free &= ~cpus
        pool.cpus |= cpus
        self.rebalance(pool)

    def remove_cpu(self, number: int, cpu: int | None) -> None:
        """Take a CPU from a pool, and those that go with it: the last one, or this one.

        A pool with live domains keeps its last CPU. While a vCPU cannot be moved (`stubborn` times, and then it can) it
        is EAGAIN: the CPU is in no pool then, and moving.
        """
        pool, host = self.get(number), self._host
        if cpu is None:
            cpu = pool.cpus.bit_length() - 1 if pool.cpus else host.nr_cpus
        if cpu >= host.nr_cpus or (pool.id == 0 and cpu == 0) or not host.cpus[cpu].online:
            raise Refused(EINVAL)
        if self.moving is None or self.moving[0] != cpu:
            self._begin_to_move(pool, cpu)
        if self.stubborn:
            self.stubborn -= 1
            raise Refused(EAGAIN)
        self.moving = None
        self.rebalance(pool)

    def _begin_to_move(self, pool: Cpupool, cpu: int) -> None:
        if self.moving is not None or not pool.cpus >> cpu & 1:
            raise Refused(EADDRNOTAVAIL)
        cpus = self.together(pool, cpu)
        if pool.cpus == cpus:
            self._empty(pool)
        pool.cpus &= ~cpus
        self.free |= cpus
        self.moving = (cpu, pool)

    def _empty(self, pool: Cpupool) -> None:
        for domain in list(pool.domains):
            if domain.dying == ALIVE:
                raise Refused(EBUSY)
            self.move(domain, self.by_id[0])

    def add_domain(self, domain: Domain, number: int) -> None:
        """Put a new domain into a pool: ESRCH without such a pool, ENODEV when it has no CPUs."""
        pool = self.get(number, ESRCH)
        if not pool.cpus:
            raise Refused(ENODEV)
        pool.domains.add(domain)
        domain.pool = pool

    def move_domain(self, domain: Domain, number: int) -> None:
        """Move a domain; its scheduling parameters become the defaults of where it goes."""
        if domain.pool is None:
            raise Refused(EINVAL)
        if domain.pool.id == number:
            return
        pool = self.by_id.get(number)
        if pool is None or not pool.cpus:
            raise Refused(ENOENT)
        self.move(domain, pool)

    def move(self, domain: Domain, pool: Cpupool) -> None:
        """Move a domain without looking whether that makes sense."""
        domain.pool.domains.discard(domain)
        pool.domains.add(domain)
        domain.pool = pool
        domain.reset_schedule()
        for vcpu in domain.existing():
            vcpu.hard = vcpu.soft = self._host.present
        self._placement.again(domain, self._clock.ticks())

    def rebalance(self, pool: Cpupool) -> None:
        """Place the domains of a pool anew, after its CPUs have changed."""
        ticks = self._clock.ticks()
        for domain in pool.domains:
            self._placement.stop(domain, ticks)
        for domain in pool.domains:
            self._placement.again(domain, ticks)
