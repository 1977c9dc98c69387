"""From counters to rates: what happened between two looks, and what is kept of the looks before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from xenfs.cli.top.source import Domain, Host, Life, Sample, Timed, Traffic, Vcpu

KEPT = 240  # looks in a history: as many as the widest column shows
_UUID_PART = 4  # less of an UUID says nothing
COUNTERS = ("rx_bytes", "tx_bytes", "reads", "writes", "read_bytes", "written_bytes", "no_room")
_NS_PERCENT = 1e7  # ns of a second that are one percent


class VcpuRow(NamedTuple):
    """A vCPU, and how much of a pCPU it used, in percent; None where that is not known yet."""

    vcpu: Vcpu
    percent: float | None


@dataclass
class Row:
    """A domain. Percentages are of one pCPU; `history` is the share that it used of what its online vCPUs could."""

    domain: Domain
    percent: float | None
    history: Sequence[float | None]
    vcpus: list[VcpuRow]
    traffic: Traffic | None = None
    per_s: dict[str, float] | None = None  # of each counter of traffic


@dataclass
class View:
    """What is shown of one look. `busy` of each pCPU is a share from 0 to 1; None: not known, -1: offline.

    `cpus` has the idle time of each by its number, in the same order.
    """

    rows: list[Row]
    host: Host
    busy: list[float | None]
    used: float | None
    history: Sequence[float | None]
    interval_s: float | None
    cpus: dict[int, int] = field(default_factory=dict)

    @property
    def online(self) -> int:
        """How many pCPUs Xen uses."""
        return sum(share != OFFLINE for share in self.busy)

    def memory_percent(self, kb: int | None) -> float | None:
        """A part of the machine's memory."""
        return None if kb is None or not self.host.memory_kb else 100 * kb / self.host.memory_kb


OFFLINE = -1.0


class Model:
    """Remembers the look before, and the histories of the domains that are still there."""

    def __init__(self) -> None:
        self._before: Sample | None = None
        self._histories: dict[Life, deque[float | None]] = {}
        self._used: deque[float | None] = deque(maxlen=KEPT)

    def interrupted(self) -> None:
        """A look failed: whatever comes next is not compared with what was before."""
        self._before = None

    def fed(self, now: Sample) -> View:
        """What this look says, beside the one before."""
        before = self._before
        self._before = now
        past = Sample(Timed(0, {}), Timed(0, {})) if before is None else before
        self._histories = {life: self._histories.get(life, deque(maxlen=KEPT)) for life in now.domains.value}
        rows = [self._row(domain, now, past) for domain in now.domains.value.values()]
        busy = _busy(now.cpus, past.cpus)
        known = [share for share in busy if share is not None and share != OFFLINE]
        used = sum(known) / len(known) if known else None
        if before is not None:
            self._used.append(used)
        interval_s = None if before is None else now.domains.at - past.domains.at
        return View(rows, now.host, busy, used, self._used, interval_s, now.cpus.value)

    def _row(self, domain: Domain, now: Sample, past: Sample) -> Row:
        life = domain.life
        was, history = past.domains.value.get(life), self._histories[life]
        elapsed_s = now.domains.at - past.domains.at
        percent = None if was is None else _rate(domain.cpu_time_ns, was.cpu_time_ns, elapsed_s)
        if was is not None:
            if percent is None:
                history.clear()  # a counter that went back: not the same domain, whatever it is called
            else:
                history.append(percent / 100 / max(1, domain.vcpus_online))
        traffic = None if now.traffic is None else now.traffic.value.get(life)
        vcpus = _vcpus(now.vcpus.get(life), past.vcpus.get(life))
        return Row(domain, percent, history, vcpus, traffic, _per_s(life, now.traffic, past.traffic))


def _vcpus(now: Timed[list[Vcpu]] | None, past: Timed[list[Vcpu]] | None) -> list[VcpuRow]:
    if now is None:
        return []
    earlier = {each.vcpu: each.cpu_time_ns for each in past.value} if past else {}
    elapsed_s = now.at - past.at if past else 0.0
    return [VcpuRow(each, _rate(each.cpu_time_ns, earlier.get(each.vcpu), elapsed_s)) for each in now.value]


def _busy(now: Timed[dict[int, int]], past: Timed[dict[int, int]]) -> list[float | None]:
    """The share of the time that each pCPU did not idle."""
    found: list[float | None] = []
    for cpu, idle_ns in now.value.items():
        idle = _rate(idle_ns, past.value.get(cpu) or None, now.at - past.at)
        found.append(OFFLINE if idle_ns == 0 else None if idle is None else min(1.0, max(0.0, 1 - idle / 100)))
    return found


def _per_s(
    life: Life, now: Timed[dict[Life, Traffic]] | None, past: Timed[dict[Life, Traffic]] | None
) -> dict[str, float] | None:
    """What has gone through in a second; None where there is nothing before, or where a device has come or gone."""
    if now is None or past is None or now.at <= past.at:
        return None
    here, before = now.value.get(life), past.value.get(life)
    if here is None or before is None or (here.networks, here.disks) != (before.networks, before.disks):
        return None
    passed = {name: getattr(here, name) - getattr(before, name) for name in COUNTERS}
    return None if min(passed.values()) < 0 else {name: count / (now.at - past.at) for name, count in passed.items()}


def _rate(now_ns: int, before_ns: int | None, elapsed_s: float) -> float | None:
    """Percent of the time between; None where there is nothing before, or more than now."""
    if before_ns is None or now_ns < before_ns or elapsed_s <= 0:
        return None
    return (now_ns - before_ns) / _NS_PERCENT / elapsed_s


# Which domains, and in which order


def _busy_with(row: Row, *counters: str) -> float:
    return -1.0 if row.per_s is None else sum(row.per_s[name] for name in counters)


STATES = ("running", "runnable", "blocked", "offline", "paused", "crashed", "shutdown", "dying")

ORDERS: dict[str, tuple[Callable[[Row], Any], bool]] = {
    "domid": (lambda row: row.domain.domid, False),
    "name": (lambda row: (not row.domain.name, row.domain.name.casefold()), False),
    "state": (lambda row: STATES.index(row.domain.state) if row.domain.state in STATES else len(STATES), False),
    "cpu": (lambda row: -1.0 if row.percent is None else row.percent, True),
    "time": (lambda row: row.domain.cpu_time_ns, True),
    "memory": (lambda row: row.domain.memory_kb, True),
    "max": (lambda row: float("inf") if row.domain.memory_max_kb is None else row.domain.memory_max_kb, True),
    "vcpus": (lambda row: row.domain.vcpus, True),
    "type": (lambda row: row.domain.kind, False),
    "network": (lambda row: _busy_with(row, "rx_bytes", "tx_bytes"), True),
    "disk": (lambda row: _busy_with(row, "read_bytes", "written_bytes"), True),
    "cpupool": (lambda row: row.domain.cpupool, False),
}
"""By name: what is compared, and whether the highest comes first."""


def ordered(rows: Iterable[Row], by: str, backwards: bool = False) -> list[Row]:
    """The rows in an order; equal ones by id."""
    key, highest_first = ORDERS[by]
    return sorted(sorted(rows, key=lambda row: row.domain.domid), key=key, reverse=highest_first != backwards)


def matching(rows: Iterable[Row], text: str) -> list[Row]:
    """Those in whose name, state or type there is such a text, whose id it is, or whose UUID begins with it."""
    wanted = text.casefold()
    return [row for row in rows if not wanted or wanted == str(row.domain.domid) or _has(row.domain, wanted)]


def _has(domain: Domain, wanted: str) -> bool:
    is_uuid = len(wanted) >= _UUID_PART and domain.uuid.startswith(wanted)
    return is_uuid or any(wanted in part.casefold() for part in (domain.name, domain.state, domain.kind))
