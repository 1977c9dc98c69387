"""docs/top.svg: the screen of `xenfs top`, of a simulated host whose clock is held in the hand."""

from __future__ import annotations

import curses
from collections.abc import Iterable
from html import escape
from unittest.mock import patch

from xenfs.cli.top import source as reading
from xenfs.cli.top.cells import UTF8, width
from xenfs.cli.top.frame import composed
from xenfs.cli.top.meters import Line, Place
from xenfs.cli.top.model import Model
from xenfs.cli.top.source import Source
from xenfs.cli.top.state import State
from xenfs.cli.top.terminal import STYLES
from xenfs.connect.opening import open_hypervisor
from xenfs.nodes import tree
from xenfs.nodes.tables.base import File, Ids, Node
from xenfs.nodes.tables.refusals import Refusals
from xenfs.options import Options
from xenfs.simulator import Simulator

_COLUMNS, _LINES, _LOOKS, _EVERY_NS = 100, 24, 30, 2 * 10**9
_CELL, _ROW, _SIZE = 8.4, 18, 14  # pixels
_COLOURS = {
    curses.COLOR_RED: "#e5534b", curses.COLOR_GREEN: "#57ab5a", curses.COLOR_YELLOW: "#c69026",
    curses.COLOR_BLUE: "#539bf5", curses.COLOR_MAGENTA: "#b083f0", curses.COLOR_CYAN: "#39c5cf",
    None: "#cdd9e5",
}  # fmt: skip


class _Held:
    """A clock that stands still until it is moved."""

    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class _Tree(Source):
    """Reads the tree itself instead of a mount of it."""

    def __init__(self, simulator: Simulator) -> None:
        super().__init__("/run/xenfs")
        self._xen = open_hypervisor(simulator)
        self._root = tree.build(self._xen, Options(), Refusals())

    def _read(self, path: str) -> str:
        node: Node = self._root
        ids: Ids = ()
        for name in path.split("/"):
            found = node.child(self._xen, ids, name)  # type: ignore[attr-defined]
            node, ids = found
        assert isinstance(node, File)
        return node.produce(self._xen, ids).decode()

    def close(self) -> None:
        self._xen.close()


def text() -> str:
    """The picture."""
    return _svg(_screen())


def _screen() -> list[Line]:
    clock = _Held()
    source, model = _Tree(Simulator.from_settings("seed=3", clock)), Model()
    try:
        with patch.object(reading, "monotonic", lambda: clock.now_ns / 1e9):
            for _ in range(_LOOKS):
                view = model.fed(source.sample())
                clock.now_ns += _EVERY_NS
        place = Place(_COLUMNS, _LINES, UTF8, f"Xen {source.version()}   {source.mount}", "every 2 s   12:00:00")
        return composed(view, State(), place).lines
    finally:
        source.close()


def _svg(lines: Iterable[Line]) -> str:
    wide, high = _COLUMNS * _CELL + 20, _LINES * _ROW + 20
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{high}" font-size="{_SIZE}"',
        '  font-family="DejaVu Sans Mono, Menlo, Consolas, monospace">',
        "<title>xenfs top</title>",
        f'<rect width="{wide:.0f}" height="{high}" rx="6" fill="#22272e"/>',
        *(each for number, line in enumerate(lines) for each in _words(line, 10 + _ROW * (number + 0.75))),
        "</svg>",
        "",
    ])  # fmt: skip


def _words(line: Line, y: float) -> Iterable[str]:
    at = 0
    for words, style in line:
        cells, start = width(words), at
        at += cells
        if not words.strip():
            continue
        colour, attribute = STYLES.get(style, (None, 0))
        more = ' font-weight="bold"' if attribute & curses.A_BOLD else ""
        more += ' opacity="0.6"' if attribute & curses.A_DIM else ""
        yield (
            f'<text x="{10 + start * _CELL:.1f}" y="{y:.1f}" fill="{_COLOURS[colour]}"{more} xml:space="preserve"'
            f' textLength="{cells * _CELL:.1f}">{escape(words)}</text>'
        )
