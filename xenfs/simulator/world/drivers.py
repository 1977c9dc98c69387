"""What drives the frequency of the pretended CPUs, and the states that they can be in."""

from __future__ import annotations

from dataclasses import dataclass

from xenfs.simulator.settings import Settings


@dataclass(frozen=True)
class IdleState:
    """An idle state beyond C0: ACPI's type and the hardware's sub-state of it, and how long a stay in it lasts."""

    type: int
    sub_state: int
    stay_ns: int


@dataclass(frozen=True)
class Traits:
    """How CPUs save power: P-states in MHz from the fastest on, and idle states.

    `parked`: one that is offline is only parked, for machine checks reach every CPU, and keeps its place.
    """

    p_states: tuple[int, ...]
    c_states: tuple[IdleState, ...]
    parked: bool = False


_HALT = IdleState(1, 0, 60_000)
AMD = Traits((3000, 2200, 1500), (_HALT, IdleState(2, 0, 900_000)))
INTEL = Traits(
    (3001, 3000, 2700, 2400, 2100, 1800, 1500, 1200),
    (_HALT, IdleState(1, 1, 150_000), IdleState(3, 0, 1_800_000)), parked=True,
)  # fmt: skip
EMULATED = Traits((), ())
"""What QEMU makes of one: no P-states, and no idle states but halting."""
COUNTED = frozenset({0x2A, 0x2D, 0x3C, 0x3F, 0x4E, 0x4F, 0x55, 0x56, 0x5E, 0x6A, 0x6C, 0x8E, 0x9E, 0xA5, 0xA6})
"""Models of family 6 whose counters of package and core states Xen reads, or most of them."""

POWERNOW, ACPI, HWP, CPPC, EPP = "powernow", "acpi-cpufreq", "hwp", "amd-cppc", "amd-cppc-epp"
_SINCE = {"hwp": (HWP, (4, 18)), "amd-cppc": (CPPC, (4, 21)), "amd-cppc-epp": (EPP, (4, 21))}


def traits_of(settings: Settings) -> Traits:
    """How the CPUs of a host like this save power."""
    if settings.cpufreq == "emulated":
        return EMULATED
    return INTEL if settings.processor == "intel" else AMD


def driver_of(settings: Settings, release: tuple[int, int]) -> str:
    """What drives the frequency in this release, P-states by ACPI where it is too old for more; empty for nothing."""
    if settings.cpufreq in ("none", "emulated"):
        return ""
    driver, since = _SINCE.get(settings.cpufreq, ("", (0, 0)))
    by_acpi = ACPI if settings.processor == "intel" else POWERNOW
    return driver if driver and release >= since else by_acpi
