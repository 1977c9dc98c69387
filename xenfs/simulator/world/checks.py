"""Machine checks of a pretended host: what was noted and not yet acknowledged, and what registers are made to say."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count


@dataclass
class Check:
    """One machine check, with the number by which it is acknowledged."""

    number: int
    cpu: int
    bank: int
    status: int
    urgent: bool


@dataclass
class Checks:
    """Those that were noted, oldest first; by CPU the registers that read as something else."""

    noted: list[Check] = field(default_factory=list)
    registers: dict[int, dict[int, int]] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def add(self, cpu: int, bank: int, status: int, *, urgent: bool) -> None:
        """One more."""
        self.noted.append(Check(next(self._numbers), cpu, bank, status, urgent))

    def waiting(self, *, urgent: bool) -> list[Check]:
        """Those of one kind."""
        return [check for check in self.noted if check.urgent is urgent]

    def forget(self, number: int) -> None:
        """It was acknowledged."""
        self.noted = [check for check in self.noted if check.number != number]
