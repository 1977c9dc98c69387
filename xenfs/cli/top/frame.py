"""A picture of the whole screen as lines of styled text: nothing here knows of a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xenfs.cli.top.cells import clean, cut, fit, human, joined, percent, width
from xenfs.cli.top.listing import table
from xenfs.cli.top.meters import Line, Place, vcpu_grid
from xenfs.cli.top.model import Row, View
from xenfs.cli.top.source import Life
from xenfs.cli.top.state import HELP, State
from xenfs.cli.top.summary import summary


@dataclass
class Frame:
    """Lines from the top of the screen, and the domains of which these say something."""

    lines: list[Line]
    shown: list[Life]


def composed(view: View, state: State, place: Place) -> Frame:
    """The picture: a summary, the domains, and what keys there are, as far as there is room."""
    rows = state.rows(view)
    if place.columns < 1 or place.lines < 1:
        return Frame([], [])
    head = list(summary(view, rows, place))
    foot = [_foot(view, state, rows, place)] if place.lines >= 4 else []
    room = place.lines - len(head) - len(foot)
    row = state.row(view)
    detailed = state.details and not state.help and room >= 9
    pane = _details(row, view, place)[: room - 5] if detailed and row else []
    if state.help:
        body, shown = _help(place, room), list[Life]()
    else:
        body, shown = table(view, state, rows, place, room - len(pane))
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
        *vcpu_grid(row.vcpus, place),
    ]  # fmt: skip


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
