"""CPUs that choose their frequency by themselves: Intel's HWP, and CPPC on AMD."""

from __future__ import annotations

from dataclasses import dataclass

from xenfs.simulator.world.frequency import FULL, Frequency

LEVEL_KHZ = 100_000  # what a performance level is worth
LEVELS = {"lowest": 8, "lowest_nonlinear": 12, "nominal": 30, "highest": 38}
PRESETS = {"POWERSAVE": (8, 8, 0xFF), "PERFORMANCE": (38, 38, 0), "ONDEMAND": (8, 38, 0x80)}


@dataclass
class Request:
    """What the hardware is told: two limits, what to aim at, a preference for saving, and an activity window."""

    minimum: int = LEVELS["lowest"]
    maximum: int = LEVELS["highest"]
    desired: int = 0
    energy_perf: int = 0x80
    activity_window: int = 0

    def level(self) -> int:
        """What it makes of it while it is busy."""
        if self.desired:
            return min(max(self.desired, self.minimum), self.maximum)
        return self.maximum - max(0, self.maximum - self.minimum) * self.energy_perf // 255


class Hwp(Frequency):
    """A CPU with HWP. ACPI's P-states are known and not used: the CPU seems to be in the first all the time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.request = Request()
        self.governor = "hwp"

    @property
    def khz(self) -> int:
        """Nothing is set."""
        return 0

    @property
    def highest(self) -> int:
        """As CPUID says."""
        return LEVELS["highest"] * LEVEL_KHZ

    @property
    def lowest(self) -> int:
        """CPUID says the base frequency, and Xen takes it for this."""
        return LEVELS["nominal"] * LEVEL_KHZ

    def _follow(self) -> None:
        """The limits and governors of cpufreq mean nothing to it."""

    def set_limits(self, low: int, high: int) -> None:
        """Nor does anything check them."""
        self.low, self.high = low, high

    def _spend(self, state: int, busy: int) -> None:
        self.residency[state] += busy
        level = min(self.request.level(), LEVELS["highest"] if self.turbo else LEVELS["nominal"])
        self.average.actual += busy * level * LEVEL_KHZ
        self.average.nominal += busy * self.highest


class AmdCppc(Frequency):
    """A CPU with CPPC on AMD: no P-states, any frequency in between; Xen says the one that it found at first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.states = []

    @property
    def khz(self) -> int:
        """What it was at first."""
        return 2_100_000

    @property
    def highest(self) -> int:
        """Of the boost."""
        return 3_700_000

    @property
    def lowest(self) -> int:
        """As the firmware says."""
        return 400_000

    def set_limits(self, low: int, high: int) -> None:
        """Moved to what the CPU can; any frequency is one that it has."""
        self.states = [self.highest, self.lowest]
        try:
            super().set_limits(low, high)
        finally:
            self.states = []

    def _follow(self) -> None:
        """There are no states to go to."""

    def update(self, wall: int, idle: int) -> None:
        """Account for the time up to now."""
        passed, busy = wall - self.wall, max(0, (wall - self.wall) - (idle - self.idle))
        self.wall, self.idle = wall, idle
        if passed > 0:
            self.average.actual += busy * self._chosen(busy * FULL // passed)
            self.average.nominal += busy * self.highest

    def _chosen(self, load: int) -> int:
        return {
            "performance": self.high,
            "powersave": self.low,
            "userspace": min(max(self.setspeed, self.low), self.high),
        }.get(self.governor, self.low + (self.high - self.low) * load // FULL)
