"""A picture of the whole screen as lines of styled text: nothing here knows of a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xenfs.cli.top.cells import Glyphs, clean, cut, fit, human, joined, percent, width
from xenfs.cli.top.columns import Cell, Column, chosen, gap
from xenfs.cli.top.model import OFFLINE, STATES, Row, VcpuRow, View
from xenfs.cli.top.source import Life
from xenfs.cli.top.state import HELP, State

Line = list[Cell]

_METER = 18  # cells of a small bar with its number and its percentage
_WARN, _BAD = 0.8, 0.98


@dataclass
class Frame:
    """Lines from the top of the screen, and the domains of which these say something."""

    lines: list[Line]
    shown: list[Life]


@dataclass(frozen=True)
class Place:
    """Where a picture is for."""

    columns: int
    lines: int
    glyphs: Glyphs
    title: str = ""
    clock: str = ""


def composed(view: View, state: State, place: Place) -> Frame:
    """The picture: a summary, the domains, and what keys there are, as far as there is room."""
    rows = state.rows(view)
    if place.columns < 1 or place.lines < 1:
        return Frame([], [])
    head = list(_head(view, rows, place))
    foot = [_foot(view, state, rows, place)] if place.lines >= 4 else []
    room = place.lines - len(head) - len(foot)
    row = state.row(view)
    detailed = state.details and not state.help and room >= 9
    pane = _details(row, view, place)[: room - 5] if detailed and row else []
    if state.help:
        body, shown = _help(place, room), list[Life]()
    else:
        body, shown = _table(view, state, rows, place, room - len(pane))
    body += [[] for _ in range(room - len(body) - len(pane))]
    if pane and row:
        shown.append(row.domain.life)
    return Frame([_within(line, place.columns) for line in [*head, *body, *pane, *foot]], shown)


def _within(line: Line, columns: int) -> Line:
    """The line, with nothing beyond the right edge."""
    kept: Line = []
    for text, style in line:
        text = cut(text, columns)
        columns -= width(text)
        if text:
            kept.append((text, style))
    return kept


# The summary


def _head(view: View, rows: Sequence[Row], place: Place) -> Iterator[Line]:
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
    line = [(" CPU ", "bold"), *_bar(place.glyphs, used, cells), (_percentage(used, 8), "")]
    graph = min(240, tail - width(right) - 2)
    if graph >= 8:
        line += [("  ", ""), (place.glyphs.history(list(view.history)[-graph:], graph), "history"), (right, "dim")]
    yield line
    total, free = view.host.memory_kb, view.host.memory_free_kb
    if total and free is not None:
        share = (total - free) / total
        amounts = fit(f"  {human(total - free)} of {human(total)}, {human(free)} free", tail)
        bar, track = place.glyphs.bar(share, cells)
        yield [(" Mem ", "bold"), (bar, "memory"), (track, "track"), (_percentage(share, 8), ""), (amounts, "dim")]


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
    across = max(1, place.columns // (_METER + 1))
    meters = [_meter(place.glyphs, cpu, share) for cpu, share in enumerate(view.busy)]
    if count <= across * most:
        return _grid(meters, across)
    cells = max(1, place.columns - 2)
    each = -(-count // (cells * most))
    groups = [view.busy[at : at + each] for at in range(0, count, each)]
    levels = [_level(place.glyphs, group) for group in groups]
    lines = [[(" ", ""), *levels[at : at + cells]] for at in range(0, len(levels), cells)]
    return [[(f" {count} CPUs, {'one' if each == 1 else each} in each column", "dim")], *lines]


def _level(glyphs: Glyphs, group: Sequence[float | None]) -> Cell:
    known = [share for share in group if share is not None and share != OFFLINE]
    share = sum(known) / len(known) if known else None
    return glyphs.level(share), _heat(share)


def _meter(glyphs: Glyphs, number: int, share: float | None, columns: int = _METER) -> Line:
    """A number, a bar and a percentage in `columns` cells."""
    label = f"{number:>3} "
    cells = columns - len(label) - 4
    if share == OFFLINE:
        return [(label, "dim"), (glyphs.track * cells, "track"), (" off", "dim")]
    return [(label, "dim"), *_bar(glyphs, share, cells), (_percentage(share, 4, decimals=0, sign=""), "")]


def _grid(meters: Sequence[Line], across: int, indent: str = "") -> list[Line]:
    """Meters in rows, a blank before each."""
    return [
        [(indent, ""), *(cell for meter in meters[at : at + across] for cell in [(" ", ""), *meter])]
        for at in range(0, len(meters), across)
    ]


def _bar(glyphs: Glyphs, share: float | None, cells: int) -> Line:
    filled, track = glyphs.bar(share, cells)
    return [(filled, _heat(share)), (track, "track")]


def _heat(share: float | None) -> str:
    return "bad" if share and share >= _BAD else "warn" if share and share >= _WARN else "good"


def _percentage(share: float | None, cells: int, decimals: int = 1, sign: str = " %") -> str:
    return fit(("-" if share is None else f"{share * 100:.{decimals}f}") + sign, cells, right=True)


# The list


def _table(view: View, state: State, rows: list[Row], place: Place, room: int) -> tuple[list[Line], list[Life]]:
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
            lines += _vcpu_grid(row.vcpus, place, "    ")
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


def _vcpu_grid(vcpus: Sequence[VcpuRow], place: Place, indent: str = "") -> list[Line]:
    across = max(1, (place.columns - len(indent)) // (_METER + 1))
    meters = [
        _meter(place.glyphs, each.vcpu.vcpu, each.percent and each.percent / 100 if each.vcpu.online else OFFLINE)
        for each in vcpus
    ]
    return _grid(meters, across, indent)


def _details(row: Row, view: View, place: Place) -> list[Line]:
    """All there is about one domain, at the bottom."""
    domain = row.domain
    name = f" {domain.domid} {clean(domain.name) or '(no name)'} "
    words = [domain.kind, domain.state + (f" ({domain.shutdown_reason})" if domain.shutdown_reason else "")]
    words += [f"cpupool {domain.cpupool}", f"{domain.vcpus_online} of {domain.vcpus} vCPUs online", domain.uuid]
    most = 100 * max(1, domain.vcpus_online)
    now = fit(f"{percent(row.percent)} of {most} %", 18, right=True)
    graph = max(1, place.columns - 6 - width(now))
    limit = "no limit" if domain.memory_max_kb is None else f"at most {human(domain.memory_max_kb)}"
    share = view.memory_percent(domain.memory_kb)
    return [
        [(place.glyphs.track * 2, "track"), (name, "bold"), (place.glyphs.track * place.columns, "track")],
        [(f"  {joined(words, place.columns - 2, '   ')}", "")],
        [(" CPU ", "bold"), (place.glyphs.history(list(row.history)[-graph:], graph), "history"), (now, "")],
        [
            (" Mem ", "bold"),
            (f"{human(domain.memory_kb)}, {limit}; {percent(share)} % of the machine's", ""),
        ],
        *_vcpu_grid(row.vcpus, place),
    ]  # fmt: skip


# Below


def _help(place: Place, room: int) -> list[Line]:
    keys_width = max(len(keys) for keys, _ in HELP) + 2
    lines: list[Line] = [[("  Keys", "bold")]]
    for keys, what in HELP:
        if place.columns >= keys_width + 40:
            lines.append([(f"  {keys:<{keys_width}}", "key"), (what, "")])
        else:
            lines.append([(f" {keys} ", "key"), (what, "")])
    for note in ("", "CPU% is of one physical CPU.", "HISTORY is full when all vCPUs of a domain are busy."):
        lines.append([(f"  {note}", "dim")])
    return lines[: max(0, room)]


_HINTS = (
    ("q", "quit"), ("?", "help"), ("{arrows}", "choose"), ("Enter", "more"), ("v", "vCPUs"), ("< >", "sort"),
    ("/", "filter"), ("p", "pause"), ("r", "reverse"),
)  # fmt: skip


def _foot(view: View, state: State, rows: Sequence[Row], place: Place) -> Line:
    if state.question:
        return [(f" {state.question} ", "ask"), (" y: yes, any other key: no", "")]
    if state.help:
        return [(" Any key: back", "message")]
    if state.typing is not None:
        return [
            (" Only with: ", "bold"),
            (clean(state.typing), ""),
            (" ", "cursor"),
            ("  Enter: keep, Esc: all", "dim"),
        ]
    if state.message:
        return [(f" {state.message}", "message")]
    if state.filter:
        return [(" Only with: ", "bold"), (clean(state.filter), "warn"), ("  /: change, Esc: all", "dim")]
    line: Line = []
    left = place.columns
    for key, what in _HINTS:
        key = key.format(arrows=place.glyphs.arrows)
        cells = width(key) + len(what) + 3
        if cells > left or (key == "p" and not state.may_pause):
            continue
        left -= cells
        line += [(f" {key}", "key"), (f" {what} ", "dim")]
    return line
