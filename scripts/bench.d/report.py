"""The table, as Markdown, and the same as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from timing import Row


def machine() -> dict[str, str]:
    """The class of machine that the figures are of."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cpu": f"{os.cpu_count()} x {_model()}",
        "kernel": f"Linux {platform.release()}",
        "python": f"Python {platform.python_version()}",
        **{name: f"{name} {_version(name)}" for name in ("pyfuse3", "trio", "cffi")},
    }


def _model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split())
    return platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "?"


def as_markdown(rows: Sequence[Row], beside: str, about: dict[str, str], context: str) -> str:
    """The table with its date and class of machine, to be pasted as it is."""
    rows_have_c = any(row.c for row in rows)
    head = ["", "xenfs", beside, "ratio", *["in C", "ratio to C"] * rows_have_c, "hypercalls", "goal"]
    lines = [
        f"Measured by `scripts/bench` on {about['date']}, {context}: "
        f"{', '.join(text for key, text in about.items() if key != 'date')}. "
        "Modules byte-compiled, as installed; "
        "of requests and listings, CPU time of client and server. Medians of the rounds, (lowest to highest).",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
    ]
    return "\n".join(lines + [f"| {' | '.join(_cells(row, rows_have_c))} |" for row in rows])


def _cells(row: Row, with_c: bool) -> list[str]:
    ratios = row.ratios
    calls = "" if row.hypercalls is None else f"{row.hypercalls:g}"
    return [
        row.what,
        _figure(row.xenfs, row.unit),
        _figure(row.beside, row.unit),
        _figure(ratios, "x"),
        *[_figure(row.c, row.unit), _figure(row.ratios_to_c, "x")] * with_c,
        calls,
        _goal(row),
    ]


def _figure(samples: Sequence[float], unit: str) -> str:
    if not samples:
        return ""
    low, middle, high = min(samples), median(samples), max(samples)
    if unit == "x":
        return f"**{middle:.2f}** ({low:.2f} to {high:.2f})"
    spread = "" if low == high else f" ({_number(low)} to {_number(high)})"
    return f"{_number(middle)} {unit}{spread}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value else "0"


def _goal(row: Row) -> str:
    if row.at_most is None:
        return row.note
    limit = f"{_number(row.at_most)} {row.unit}" if row.absolute else f"{row.at_most:g} times"
    return f"{'none' if row.at_most == 0 else f'at most {limit}'}: {'met' if row.met else '**missed**'}"


def as_data(rows: Sequence[Row], beside: str, about: dict[str, str]) -> dict[str, Any]:
    """Everything that was measured, samples included."""
    measured = [{**asdict(row), "ratio": median(row.ratios) if row.ratios else None, "met": row.met} for row in rows]
    return {"machine": about, "beside": beside, "rows": measured}
