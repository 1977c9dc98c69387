"""Saving power on the pretended host: the frequency and the sleep of each CPU, and what holds for all of them."""

from __future__ import annotations

from xenfs.simulator.layouts import version
from xenfs.simulator.settings import Settings
from xenfs.simulator.world.clock import Clock
from xenfs.simulator.world.cppc import AmdCppc, Hwp
from xenfs.simulator.world.drivers import COUNTED, CPPC, EPP, HWP, driver_of, traits_of
from xenfs.simulator.world.frequency import Frequency, Ondemand
from xenfs.simulator.world.host import Cpu, Host
from xenfs.simulator.world.idle import Idle, Limits

_KINDS = {HWP: Hwp, CPPC: AmdCppc, EPP: AmdCppc}


class Power:
    """Frequency and sleep, made for a CPU when somebody first looks at it; counting began with the host or the CPU."""

    def __init__(self, settings: Settings, host: Host, clock: Clock) -> None:
        self._host, self._clock = host, clock
        self.traits = traits_of(settings)
        kind = host.processor
        self.counted = kind.family == 6 and kind.model in COUNTED  # whether Xen reads the counters of C-states
        self.driver = driver_of(settings, version(settings.series)) if host.x86 else ""
        self.emulated = settings.cpufreq == "emulated"
        self.limits, self.ondemand = Limits(), Ondemand()
        self.sched_smt = False
        self.smt = True  # whether CPUs that are second threads may come up
        self.parked: list[int] = []
        self._frequencies: dict[int, Frequency] = {}
        self._idles: dict[int, Idle] = {}
        self._born: dict[int, tuple[int, int]] = {}  # (wall, idle) of when a CPU last came up

    def _now(self, cpu: Cpu) -> tuple[int, int]:
        ticks = self._clock.ticks()
        return ticks << 10, cpu.idle(ticks)

    def frequency(self, cpu: Cpu) -> Frequency | None:
        """What drives a CPU's frequency, up to date; None where nothing does."""
        if not self.driver or not cpu.online:
            return None
        found = self._frequencies.get(cpu.id)
        if found is None:
            wall, idle = self._born.get(cpu.id, (0, 0))
            kind = _KINDS.get(self.driver, Frequency)
            found = self._frequencies[cpu.id] = kind(self.traits, self.driver, self.ondemand, wall, idle)
        found.update(*self._now(cpu))
        return found

    def idle(self, cpu: Cpu) -> Idle:
        """How a CPU sleeps, up to date."""
        found = self._idles.get(cpu.id)
        if found is None:
            found = self._idles[cpu.id] = Idle(self.traits, self.limits, self.counted)
        found.update(self._now(cpu)[1])
        return found

    def settle(self) -> None:
        """Account for the time up to now everywhere, before what holds for all CPUs changes."""
        for cpu in self._host.cpus:
            self.frequency(cpu)
            self.idle(cpu)

    def went_down(self, cpu: Cpu) -> None:
        """Its frequency's driver lets go of it, with all that was counted and set; how it slept is kept."""
        self.idle(cpu)
        self._frequencies.pop(cpu.id, None)

    def came_up(self, cpu: Cpu) -> None:
        """Counting begins anew, with what is set by default."""
        self._born[cpu.id] = self._now(cpu)
