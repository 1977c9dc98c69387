"""`xenfs top` for scripts: a table, or JSON whose keys stay."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from xenfs.cli.top.cells import clean, percent, width
from xenfs.cli.top.columns import vcpus as vcpus_shown
from xenfs.cli.top.model import COUNTERS, OFFLINE, Row, VcpuRow, View
from xenfs.cli.top.source import Traffic

_FLOWS = {
    "nets": "", "rx_kB/s": "rx_bytes", "tx_kB/s": "tx_bytes", "disks": "", "rd/s": "reads", "wr/s": "writes",
    "rd_kB/s": "read_bytes", "wr_kB/s": "written_bytes",
}  # fmt: skip
_TITLES = (
    "domid",
    "type",
    "state",
    "cpu_s",
    "cpu_%",
    "mem_kb",
    "mem_%",
    "max_kb",
    "max_%",
    "vcpus",
    "pool",
    *_FLOWS,
    "name",
)
_LEFT = ("name", "type", "state")


def table(view: View, rows: Sequence[Row]) -> Iterator[str]:
    """A line with titles, and one for each domain and, where they were asked for, each of its vCPUs.

    The name comes last, as it may have blanks: whatever cuts columns finds the others where their titles are.
    """
    cells = [_TITLES, *(_cells(row, view) for row in rows)]
    widths = [max(width(line[at]) for line in cells) for at in range(len(_TITLES))]
    for number, line in enumerate(cells):
        yield "  ".join(_padded(*each) for each in zip(line, widths, _TITLES, strict=True)).rstrip()
        if number:
            yield from (f"  {_vcpu_line(each)}" for each in rows[number - 1].vcpus)


def _cells(row: Row, view: View) -> tuple[str, ...]:
    domain = row.domain
    limit = domain.memory_max_kb
    return (
        str(domain.domid), domain.kind, domain.state,
        f"{domain.cpu_time_ns / 1e9:.1f}", percent(row.percent), str(domain.memory_kb),
        percent(view.memory_percent(domain.memory_kb)), "max" if limit is None else str(limit),
        percent(view.memory_percent(limit)), vcpus_shown(row), str(domain.cpupool),
        *(_flow(row, title, counter) for title, counter in _FLOWS.items()), clean(domain.name) or "-",
    )  # fmt: skip


def _flow(row: Row, title: str, counter: str) -> str:
    """How many devices, and what goes through them in a second."""
    if row.traffic is None:
        return "-"
    if not counter:
        return str(row.traffic.networks if title == "nets" else row.traffic.disks)
    return "-" if row.per_s is None else f"{row.per_s[counter] / (1024 if 'kB' in title else 1):.1f}"


def _padded(text: str, cells: int, title: str) -> str:
    pad = " " * (cells - width(text))
    return text + pad if title in _LEFT else pad + text


def _vcpu_line(row: VcpuRow) -> str:
    vcpu = row.vcpu
    used = f"{vcpu.cpu_time_ns / 1e9:.1f} s, {percent(row.percent)} %"
    return f"vcpu {vcpu.vcpu}  {vcpu.state}" + (f" on cpu {vcpu.cpu}  {used}" if vcpu.online else "")


def as_json(view: View, rows: Sequence[Row], mount: str, version: str, with_vcpus: bool) -> str:
    """One object on one line."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    host = view.host
    return json.dumps({
        "time": now,
        "interval_s": _rounded(view.interval_s),
        "mount": _text(mount),
        "xen_version": _text(version) or None,
        "host": {
            "cpus_online": view.online,
            "cpu_khz": host.cpu_khz,
            "cpu_percent": _rounded(view.used and view.used * 100),
            "memory_kb": host.memory_kb,
            "memory_free_kb": host.memory_free_kb,
            "memory_available_kb": host.memory_available_kb,
        },
        "cpus": [_cpu(cpu, idle, share) for (cpu, idle), share in zip(view.cpus.items(), view.busy, strict=True)],
        "domains": [_domain(row, view, with_vcpus) for row in rows],
    })  # fmt: skip


def _cpu(number: int, idle_ns: int, share: float | None) -> dict[str, Any]:
    online = share != OFFLINE
    busy = share * 100 if share is not None and online else None
    return {"cpu": number, "online": online, "idle_ns": idle_ns, "busy_percent": _rounded(busy)}


def _domain(row: Row, view: View, with_vcpus: bool) -> dict[str, Any]:
    domain = row.domain
    found: dict[str, Any] = {
        "domid": domain.domid,
        "uuid": domain.uuid,
        "name": _text(domain.name) or None,
        "type": domain.kind,
        "state": domain.state,
        "shutdown_reason": domain.shutdown_reason or None,
        "cpupool": domain.cpupool,
        "cpu_time_ns": domain.cpu_time_ns,
        "cpu_percent": _rounded(row.percent),
        "memory_kb": domain.memory_kb,
        "memory_percent": _rounded(view.memory_percent(domain.memory_kb)),
        "memory_max_kb": domain.memory_max_kb,
        "memory_max_percent": _rounded(view.memory_percent(domain.memory_max_kb)),
        "vcpus": domain.vcpus,
        "vcpus_online": domain.vcpus_online,
        "traffic": None if row.traffic is None else _traffic(row, row.traffic),
    }
    if with_vcpus:
        found["vcpu_stat"] = [_vcpu(each) for each in row.vcpus]
    return found


def _traffic(row: Row, traffic: Traffic) -> dict[str, Any]:
    rates = {f"{name}_per_s": _rounded(row.per_s[name] if row.per_s else None) for name in COUNTERS}
    return {**traffic._asdict(), **rates}


def _vcpu(row: VcpuRow) -> dict[str, Any]:
    vcpu = row.vcpu
    return {
        "vcpu": vcpu.vcpu,
        "online": vcpu.online,
        "state": vcpu.state,
        "cpu": vcpu.cpu,
        "cpu_time_ns": vcpu.cpu_time_ns,
        "cpu_percent": _rounded(row.percent),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _text(raw: str) -> str:
    """Text that is UTF-8: what is not in it is replaced, as in metrics/xen.prom."""
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
