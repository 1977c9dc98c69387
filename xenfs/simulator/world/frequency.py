"""The frequency of one CPU as Xen drives it: limits, a governor, and what is counted of them. Frequencies in kHz."""

from __future__ import annotations

from dataclasses import dataclass, field
from errno import EINVAL

from xenfs.simulator.world.drivers import ACPI, Traits
from xenfs.simulator.world.refused import Refused

GOVERNORS = ("userspace", "performance", "powersave", "ondemand")
FULL = 1024
BOOST = 113  # per cent of the fastest P-state that it really runs at with turbo


@dataclass
class Ondemand:
    """What all governors of the kind have in common: us, and a percentage."""

    sampling_rate: int = 20_000
    up_threshold: int = 80
    RATES = (10_000, 10_000_000)
    THRESHOLDS = (11, 100)


@dataclass
class Average:
    """What the counters of actual and nominal cycles have gained since they were last read."""

    actual: int = 0
    nominal: int = 0

    def per_cent(self) -> int:
        """Of the nominal frequency, rounded down as Xen does; then counting begins anew."""
        share = self.actual * 100 // self.nominal if self.nominal else 0
        self.actual = self.nominal = 0
        return share


@dataclass
class Frequency:
    """A policy of cpufreq for one CPU, and the statistics of its P-states. `wall` and `idle` are ns up to now."""

    traits: Traits
    driver: str
    ondemand: Ondemand
    wall: int
    idle: int
    low: int = 0
    high: int = 0
    governor: str = "ondemand"
    setspeed: int = 0
    turbo: bool = True
    current: int = 0
    last: int = 0
    average: Average = field(default_factory=Average)

    def __post_init__(self) -> None:
        count = len(self.traits.p_states)
        self.states = [mhz * 1000 for mhz in self.traits.p_states]
        self.low, self.high = self.lowest, self.highest
        self.residency, self.entered = [0] * count, [0] * count
        self.changes = [[0] * count for _ in range(count)]
        self._since_change = 0

    @property
    def highest(self) -> int:
        """The fastest that the CPU can."""
        return self.states[0]

    @property
    def lowest(self) -> int:
        """The slowest that it can."""
        return self.states[-1]

    @property
    def khz(self) -> int:
        """What Xen has set last."""
        return self.states[self.current]

    # What is changed

    def set_limits(self, low: int, high: int) -> None:
        """Keep to these: EINVAL for a lowest that is raised above the highest; else they are moved to what there is."""
        if low > self.low and low > high:
            raise Refused(EINVAL)
        low, high = self._within(low), self._within(high)
        low = min(low, high)
        if not any(low <= khz <= high for khz in self.states):
            high = min(khz for khz in self.states if khz > high)
        self.low, self.high = low, high
        self._follow()

    def set_governor(self, name: str) -> None:
        """Let another governor choose; userspace begins where the CPU is."""
        if name == "userspace" and self.governor != name:
            self.setspeed = self.khz
        self.governor = name
        self._follow()

    def set_speed(self, khz: int) -> None:
        """What the governor userspace runs at, within the limits."""
        self.setspeed = khz
        self._follow()

    def _within(self, khz: int) -> int:
        return min(max(khz, self.lowest), self.highest)

    def _follow(self) -> None:
        wanted = {
            "performance": self._state(self.high, down=True),
            "powersave": self._state(self.low),
            "userspace": self._state(min(max(self.setspeed, self.low), self.high)),
        }.get(self.governor, self.current)
        if self.governor == "ondemand" and not self.low <= self.khz <= self.high:
            wanted = self._state(min(max(self.khz, self.low), self.high))
        self._go(wanted, 1)

    def _state(self, khz: int, down: bool = False) -> int:
        """The P-state for a frequency within the limits: the next lower one if there is one, or the next higher."""
        if self.driver == ACPI and not self.turbo and len(self.states) > 1:
            khz = min(khz, self.states[1])
        usable = [number for number, each in enumerate(self.states) if self.low <= each <= self.high]
        below = [number for number in usable if self.states[number] <= khz]
        above = [number for number in usable if self.states[number] >= khz]
        first, second = (below[:1], above[-1:]) if down else (above[-1:], below[:1])
        return (first or second or [self.current])[0]

    def _go(self, state: int, times: int) -> None:
        """Count so many changes to a state; to the one it is in there is none."""
        if state != self.current and times > 0:
            self.last = self.current
            self.entered[state] += times
            self.changes[self.current][state] += times
            self.current = state

    # What passes

    def update(self, wall: int, idle: int) -> None:
        """Account for the time up to now: only what the CPU was busy counts as spent at a frequency."""
        passed, busy = wall - self.wall, max(0, (wall - self.wall) - (idle - self.idle))
        self.wall, self.idle = wall, idle
        if passed <= 0:
            return
        load = busy * FULL // passed
        if self.governor == "ondemand":
            self._swing(load, passed, busy)
        else:
            self._spend(self.current, busy)

    def _swing(self, load: int, passed: int, busy: int) -> None:
        """Ondemand: fast in bursts, as long as the load says, and slower in between."""
        fast, slow = self._state(self.high, down=True), self._slow(load)
        if fast == slow or load * 100 > self.ondemand.up_threshold * FULL:
            self._go(fast, 1)
            self._spend(fast, busy)
            return
        period = 10 * self.ondemand.sampling_rate * 1000
        turns, self._since_change = divmod(self._since_change + passed, period)
        for here, there in ((fast, slow), (slow, fast)):
            self.changes[here][there] += turns
            self.entered[there] += turns
        burst = busy * load // FULL
        self._spend(fast, burst)
        self._spend(slow, busy - burst)
        self._go(fast if self._since_change * FULL < load * period else slow, 1)

    def _slow(self, load: int) -> int:
        enough = self.high * load * 100 // (FULL * max(1, self.ondemand.up_threshold - 10))
        return self._state(min(max(enough, self.low), self.high))

    def _spend(self, state: int, busy: int) -> None:
        self.residency[state] += busy
        boosted = state == 0 and self.turbo
        self.average.actual += busy * self.states[state] * (BOOST if boosted else 100) // 100
        self.average.nominal += busy * self.highest

    def reset(self) -> None:
        """Forget what was counted; what it is at stays."""
        count = len(self.states)
        self.residency, self.entered = [0] * count, [0] * count
        self.changes = [[0] * count for _ in range(count)]

    def measured(self) -> int:
        """The average frequency since this was last asked; what is set where nothing was counted."""
        return self.highest * self.average.per_cent() // 100 or self.khz
