"""The top of the picture: the machine as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from xenfs.cli.top.cells import Glyphs, fit, human, width
from xenfs.cli.top.columns import Cell
from xenfs.cli.top.meters import METER, Line, Place, bar, grid, heat, meter, percentage
from xenfs.cli.top.model import OFFLINE, STATES, Row, View


def summary(view: View, rows: Sequence[Row], place: Place) -> Iterator[Line]:
    """What it is of, then CPUs, memory and how many domains are in which state, as far as there is room."""
    if place.lines >= 4:
        room = place.columns - width(place.clock) - 3
        title = fit(place.title, room, more=place.glyphs.more) if room >= 10 else place.title
        yield [(f" {title}", "title"), (f"  {place.clock}", "dim")]
    if place.lines >= 10:
        yield from _meters(view, place)
        yield [(" Dom ", "bold"), *_counts(view, rows)]
    if place.lines >= 16:
        yield from _cpus(view, place)
        yield []


def _meters(view: View, place: Place) -> Iterator[Line]:
    """CPU and memory of the machine: a bar, a percentage, a history or amounts."""
    cells = max(1, min(60, place.columns - 14 - (40 if place.columns >= 70 else 0)))
    tail = max(0, place.columns - cells - 14)
    used = view.used
    right = fit(f"{'-' if used is None else f'{used * view.online:.1f}'} of {view.online} CPUs ", 17, right=True)
    line = [(" CPU ", "bold"), *bar(place.glyphs, used, cells), (percentage(used, 8), "")]
    graph = min(240, tail - width(right) - 2)
    if graph >= 8:
        line += [("  ", ""), (place.glyphs.history(list(view.history)[-graph:], graph), "history"), (right, "dim")]
    yield line
    total, free = view.host.memory_kb, view.host.memory_available_kb
    if total and free is not None:
        share = (total - free) / total
        amounts = fit(f"  {human(total - free)} of {human(total)}, {human(free)} free", tail)
        filled, track = place.glyphs.bar(share, cells)
        yield [(" Mem ", "bold"), (filled, "memory"), (track, "track"), (percentage(share, 8), ""), (amounts, "dim")]


def _counts(view: View, rows: Sequence[Row]) -> Iterator[Cell]:
    counts = Counter(row.domain.state for row in view.rows)
    yield str(len(view.rows)), ""
    if len(rows) != len(view.rows):
        yield f", {len(rows)} listed", "warn"
    for state in STATES:
        if counts[state]:
            yield ("   ", "")
            yield f"{counts[state]} {state}", state


def _cpus(view: View, place: Place) -> list[Line]:
    """A small bar for each pCPU; where these are too many, a column for each, or for several together."""
    count, most = len(view.busy), max(1, place.lines // 6)
    across = max(1, place.columns // (METER + 1))
    meters = [meter(place.glyphs, cpu, share) for cpu, share in zip(view.cpus, view.busy, strict=True)]
    if count <= across * most:
        return grid(meters, across)
    cells = max(1, place.columns - 2)
    each = -(-count // (cells * most))
    groups = [view.busy[at : at + each] for at in range(0, count, each)]
    levels = [_level(place.glyphs, group) for group in groups]
    lines = [[(" ", ""), *levels[at : at + cells]] for at in range(0, len(levels), cells)]
    return [[(f" {count} CPUs, {'one' if each == 1 else each} in each column", "dim")], *lines]


def _level(glyphs: Glyphs, group: Sequence[float | None]) -> Cell:
    known = [share for share in group if share is not None and share != OFFLINE]
    share = sum(known) / len(known) if known else None
    return glyphs.level(share), heat(share)
