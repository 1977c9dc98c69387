"""Which vCPU is on which CPU, and which of them run at this moment: just enough of a scheduler to be believed."""

from __future__ import annotations

from xenfs.simulator.world.domains import Domain, Vcpu
from xenfs.simulator.world.host import FULL, Cpu, Host, cpus_in

SPARE = FULL // 32  # what a CPU always keeps for itself: no host is ever quite full
SLICE_BITS = 17  # ticks for which the choice of who runs stands: 2**17 of 1024 ns, 134 ms
_LOOKED_AT = 8  # CPUs that are compared before a vCPU is put on the least busy of them
_MIX = 0x9E3779B97F4A7C15


class Placement:
    """Puts vCPUs on CPUs, shares each CPU out, and picks who runs now. Ticks are of 1024 ns."""

    def __init__(self, host: Host, seed: int) -> None:
        self.host, self.seed = host, seed
        self._queues: dict[int, list[Vcpu]] = {cpu.id: [] for cpu in host.cpus}
        self._chosen_in = -1
        self._running: dict[int, set[int]] = {}
        self._lists: dict[int, list[int]] = {}

    def start(self, domain: Domain, ticks: int) -> None:
        """Give the vCPUs of a domain that may run their share of a CPU each."""
        domain.settle(ticks)
        for vcpu in domain.existing():
            if domain.runs and vcpu.online:
                self._share(vcpu, ticks)
            elif vcpu.cpu is None:
                vcpu.cpu = self._choose(vcpu)
        domain.rate = sum(vcpu.rate for vcpu in domain.existing())
        self._chosen_in = -1

    def stop(self, domain: Domain, ticks: int) -> None:
        """Take the CPUs away from a domain; its vCPUs stay where they were, without time."""
        domain.settle(ticks)
        for vcpu in domain.existing():
            cpu = vcpu.cpu
            if cpu is not None and vcpu.rate:
                cpu.settle(ticks)
                cpu.busy -= vcpu.rate
                self._queues[cpu.id].remove(vcpu)
                vcpu.rate = 0
        domain.rate = 0
        self._chosen_in = -1

    def again(self, domain: Domain, ticks: int) -> None:
        """Place a domain anew, after its pool, its affinity or the CPUs have changed."""
        self.stop(domain, ticks)
        for vcpu in domain.existing():
            vcpu.cpu = None
        self.start(domain, ticks)

    def running(self, ticks: int) -> dict[int, set[int]]:
        """The vCPUs that run at this tick, by domid: one on each CPU at most."""
        if ticks >> SLICE_BITS != self._chosen_in:
            self._chosen_in = ticks >> SLICE_BITS
            self._running = self._pick(self._chosen_in)
        return self._running

    def _pick(self, slice_number: int) -> dict[int, set[int]]:
        running: dict[int, set[int]] = {}
        for cpu in self.host.cpus:
            queue = self._queues[cpu.id]
            if not queue:
                continue
            dice = (slice_number * 1_000_003 + cpu.id * 7919 + self.seed) * _MIX & 0xFFFFFFFFFFFFFFFF
            vcpu = queue[(dice >> 40) % len(queue)]
            if queue[0].domain.domid == 0 and queue[0].id == 0:
                vcpu = queue[0]  # somebody must make this hypercall
            elif (dice >> 20) % FULL >= cpu.busy:
                continue
            running.setdefault(vcpu.domain.domid, set()).add(vcpu.id)
        return running

    def _share(self, vcpu: Vcpu, ticks: int) -> None:
        if vcpu.rate:
            return
        cpu = vcpu.cpu = vcpu.cpu or self._choose(vcpu)
        cpu.settle(ticks)
        vcpu.rate = max(0, min(vcpu.load, FULL - SPARE - cpu.busy))
        if vcpu.rate:
            cpu.busy += vcpu.rate
            self._queues[cpu.id].append(vcpu)

    def _choose(self, vcpu: Vcpu) -> Cpu:
        pool = vcpu.domain.pool.cpus
        allowed = pool & vcpu.hard or pool or 1
        wanted = allowed & vcpu.soft or allowed
        candidates, first = self._listed(wanted), vcpu.domain.domid * 3 + vcpu.id
        few = [candidates[(first + step) % len(candidates)] for step in range(min(_LOOKED_AT, len(candidates)))]
        return min((self.host.cpus[number] for number in few), key=_busy)

    def _listed(self, mask: int) -> list[int]:
        if mask not in self._lists:
            if len(self._lists) > 1000:
                self._lists.clear()
            self._lists[mask] = cpus_in(mask)
        return self._lists[mask]


def _busy(cpu: Cpu) -> int:
    return cpu.busy
