"""The middle of the picture: a line for each domain, and below it the bars of its vCPUs."""

from __future__ import annotations

from xenfs.cli.top.cells import clean, fit, width
from xenfs.cli.top.columns import Column, chosen, gap
from xenfs.cli.top.meters import Line, Place, vcpu_grid
from xenfs.cli.top.model import Row, View
from xenfs.cli.top.source import Life
from xenfs.cli.top.state import State


def table(view: View, state: State, rows: list[Row], place: Place, room: int) -> tuple[list[Line], list[Life]]:
    """The titles and as many domains as fit, and which these are."""
    names = (width(clean(row.domain.name)) for row in view.rows)
    state.longest_name = max(state.longest_name, *names, 0)  # columns that move with each domain would be no rest
    columns = chosen(place.columns, view.rows, state.longest_name)
    head = [_titles(columns, state, place)] if room >= 2 else []
    room -= len(head)
    blocks = _Blocks(view, state, rows, place, columns)
    _scroll(state, rows, blocks, room)
    lines: list[Line] = []
    shown: list[Life] = []
    for at in range(state.first, len(rows)):
        if len(lines) >= room:
            break
        lines += blocks[at]
        shown.append(rows[at].domain.life)
    if not rows:
        lines.append([("  No domain is like that." if state.filter else "  No domains.", "dim")])
    state.page = max(1, len(shown) - 1)
    return head + lines[: max(0, room)], shown


class _Blocks:
    """The lines of each row, made when they are asked for."""

    def __init__(
        self, view: View, state: State, rows: list[Row], place: Place, columns: list[tuple[Column, int]]
    ) -> None:
        self._view, self._state, self._rows, self._place, self._columns = view, state, rows, place, columns

    def __getitem__(self, at: int) -> list[Line]:
        row, place = self._rows[at], self._place
        lines = [_row(row, self._view, self._columns, place, row.domain.life == self._state.chosen)]
        if self._state.vcpus:
            lines += vcpu_grid(row.vcpus, place, "    ")
        return lines


def _scroll(state: State, rows: list[Row], blocks: _Blocks, room: int) -> None:
    """Begin the list where the chosen domain is in it, and no page is empty that need not be."""
    state.first = max(0, min(state.first, len(rows) - max(1, room) if not state.vcpus else len(rows) - 1))
    at = next((at for at, row in enumerate(rows) if row.domain.life == state.chosen), None)
    if at is None:
        return
    state.first = min(state.first, at)
    used, first = 0, at
    while first >= state.first:
        used += len(blocks[first])
        if used > room:
            break
        first -= 1
    state.first = min(at, max(state.first, first + 1))


def _titles(columns: list[tuple[Column, int]], state: State, place: Place) -> Line:
    line: Line = []
    for column, cells in columns:
        sorted_by = bool(column.sort) and column.sort == state.sort
        mark = (place.glyphs.up if state.backwards else place.glyphs.down) if sorted_by else ""
        title = fit(column.title + mark, cells, right=column.right)
        line += [(" " * gap(place.columns) if line else "", "header"), (title, "sorted" if sorted_by else "header")]
    return [*line, (" " * place.columns, "header")]


def _row(row: Row, view: View, columns: list[tuple[Column, int]], place: Place, is_chosen: bool) -> Line:
    line: Line = []
    for column, cells in columns:
        text, style = column.show(row, view, place.glyphs, cells)
        line += [(" " * gap(place.columns) if line else "", ""), (
            fit(text, cells, right=column.right, more=place.glyphs.more), style
        )]  # fmt: skip
    if is_chosen:
        return [*((text, "chosen") for text, _ in line), (" " * place.columns, "chosen")]
    return line
