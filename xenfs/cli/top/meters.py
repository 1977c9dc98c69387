"""Small bars with a number and a percentage, and where a picture is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xenfs.cli.top.cells import Glyphs, fit
from xenfs.cli.top.columns import Cell
from xenfs.cli.top.model import OFFLINE, VcpuRow

Line = list[Cell]

METER = 18  # cells of a small bar with its number and its percentage
_WARN, _BAD = 0.8, 0.98


@dataclass(frozen=True)
class Place:
    """Where a picture is for."""

    columns: int
    lines: int
    glyphs: Glyphs
    title: str = ""
    clock: str = ""


def meter(glyphs: Glyphs, number: int, share: float | None, columns: int = METER) -> Line:
    """A number, a bar and a percentage in `columns` cells."""
    label = f"{number:>3} "
    cells = columns - len(label) - 4
    if share == OFFLINE:
        return [(label, "dim"), (glyphs.track * cells, "track"), (" off", "dim")]
    return [(label, "dim"), *bar(glyphs, share, cells), (percentage(share, 4, decimals=0, sign=""), "")]


def grid(meters: Sequence[Line], across: int, indent: str = "") -> list[Line]:
    """Meters in rows, a blank before each."""
    return [
        [(indent, ""), *(cell for meter in meters[at : at + across] for cell in [(" ", ""), *meter])]
        for at in range(0, len(meters), across)
    ]


def bar(glyphs: Glyphs, share: float | None, cells: int) -> Line:
    """A bar whose colour says how near to full it is."""
    filled, track = glyphs.bar(share, cells)
    return [(filled, heat(share)), (track, "track")]


def heat(share: float | None) -> str:
    """The style of something that is so busy."""
    return "bad" if share and share >= _BAD else "warn" if share and share >= _WARN else "good"


def percentage(share: float | None, cells: int, decimals: int = 1, sign: str = " %") -> str:
    """A share as a number in so many cells."""
    return fit(("-" if share is None else f"{share * 100:.{decimals}f}") + sign, cells, right=True)


def vcpu_grid(vcpus: Sequence[VcpuRow], place: Place, indent: str = "") -> list[Line]:
    """Meters of vCPUs, as many in a line as there is room for."""
    across = max(1, (place.columns - len(indent)) // (METER + 1))
    meters = [
        meter(place.glyphs, each.vcpu.vcpu, each.percent and each.percent / 100 if each.vcpu.online else OFFLINE)
        for each in vcpus
    ]
    return grid(meters, across, indent)
