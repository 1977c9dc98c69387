"""How idle CPUs sleep: C-states as cpuidle chooses them, and what is counted of them."""

from __future__ import annotations

from dataclasses import dataclass

from xenfs.simulator.world.drivers import IdleState, Traits

UNLIMITED = 0xFFFFFFFF
_DEEPEST_SHARE = 870  # of idle time, in 1024ths; the states above it share the rest
PACKAGE, CORE = (2, 3, 4, 6, 7, 8, 9, 10), (1, 3, 6, 7)
"""The package's and the core's own states that Xen writes on any hardware, with zeros where it lacks them."""


@dataclass
class Limits:
    """What all CPUs may enter: a type of C-state, and a sub-state of it."""

    state: int = UNLIMITED
    sub_state: int = UNLIMITED

    def allow(self, state: IdleState) -> bool:
        """Whether a CPU may sleep like that; the sub-state counts for the deepest type only."""
        return state.type < self.state or (state.type == self.state and state.sub_state <= self.sub_state)


class Idle:
    """The sleep of one CPU. `idle` is its idle time up to now, ns."""

    def __init__(self, traits: Traits, limits: Limits, counted: bool) -> None:
        self.states, self._limits, self._idle = traits.c_states, limits, 0
        self._counted = counted
        self.usage = [0] * (1 + len(self.states))
        self.time = [0] * (1 + len(self.states))

    def update(self, idle: int) -> None:
        """Spread the idle time that has passed over the states that are allowed; without one it counts as C0."""
        passed, self._idle = max(0, idle - self._idle), max(idle, self._idle)
        allowed = [number for number, state in enumerate(self.states, 1) if self._limits.allow(state)]
        left = passed
        for number in allowed[:-1]:
            left -= self._sleep(number, passed * (1024 - _DEEPEST_SHARE) // 1024 // (len(allowed) - 1))
        if allowed:
            self._sleep(allowed[-1], left)

    def _sleep(self, number: int, ns: int) -> int:
        self.time[number] += ns
        self.usage[number] = self.time[number] // self.states[number - 1].stay_ns
        return ns

    def package(self, number: int) -> int:
        """Time of the package in a state of its own, ns."""
        return self.time[-1] * {2: 40, 6: 300}.get(number, 0) // 1024 if self._counted else 0

    def core(self, number: int) -> int:
        """Time of the core in one, ns."""
        return self.time[-1] * {6: 980}.get(number, 0) // 1024 if self._counted else 0
