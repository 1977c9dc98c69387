"""What the person at the terminal has chosen, and what each key does to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xenfs.cli.top.model import ORDERS, Row, View, matching, ordered
from xenfs.cli.top.source import Life

QUIT, LOOK, ASK, DO = "quit", "look", "ask", "do"
"""What a key can want beyond another picture: to end, fresh numbers, to get ready to pause, to pause."""

HELP = (
    ("Up Down PgUp PgDn Home End", "choose a domain; Esc: none"),
    ("Enter", "details of the chosen domain, or none"),
    ("v", "bars of the vCPUs below each domain"),
    ("c m n i t", "sort by CPU, memory, name, id, CPU time"),
    ("s >  <", "sort by what comes next, by what came before"),
    ("r", "the other way round"),
    ("/", "only those with this name, state, type, id, UUID"),
    ("p", "pause the chosen domain, or unpause it; asks"),
    ("+ -  Space", "look less often, more often; now"),
    ("h ?  q", "this help; quit"),
)
_LETTERS = {"c": "cpu", "m": "memory", "n": "name", "i": "domid", "t": "time"}
DELAYS = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)


@dataclass
class State:
    """Everything that a picture depends on beside the numbers."""

    delay_s: float = 2.0
    sort: str = "cpu"
    backwards: bool = False
    filter: str = ""
    chosen: Life | None = None
    first: int = 0
    vcpus: bool = False
    details: bool = False
    help: bool = False
    typing: str | None = None
    question: str = ""
    message: str = ""
    may_pause: bool = False
    page: int = 10
    longest_name: int = 0

    def rows(self, view: View) -> list[Row]:
        """What is listed, in its order."""
        return ordered(matching(view.rows, self.filter), self.sort, self.backwards)

    def row(self, view: View) -> Row | None:
        """The chosen domain, as long as it is there."""
        return next((row for row in view.rows if row.domain.life == self.chosen), None)

    def press(self, key: str, view: View) -> str:
        """What a key does; one of the words above where that is not done with another picture."""
        self.message = ""
        if self.question:
            self.question = ""
            if key in ("y", "Y"):
                return DO
            self.message = "Nothing was done."
            return ""
        if self.typing is not None:
            self._type(key)
            return ""
        if self.help and key not in ("q", "^C"):
            self.help = False
            return ""
        done = _KEYS.get(key)
        if done is not None:
            return done(self, view) or ""
        if key in _LETTERS:
            self._order(_LETTERS[key])
        return ""

    def _type(self, key: str) -> None:
        text = self.typing or ""
        if key == "enter":
            self.typing = None
        elif key in ("esc", "^C"):
            self.typing, self.filter = None, ""
        elif key == "backspace":
            self.typing = self.filter = text[:-1]
        elif len(key) == 1 and key.isprintable() and len(text) < 64:
            self.typing = self.filter = text + key
        self.first = 0

    def _order(self, by: str) -> None:
        if by == self.sort:
            self.backwards = not self.backwards
        else:
            self.sort, self.backwards = by, False
        self.message = f"By {by}{', the other way round' if self.backwards else ''}."  # its column may not be there
        self.first = 0

    def _next_order(self, step: int) -> None:
        names = list(ORDERS)
        self._order(names[(names.index(self.sort) + step) % len(names)])

    def _move(self, view: View, step: int) -> None:
        rows = self.rows(view)
        if not rows:
            return
        at = next((at for at, row in enumerate(rows) if row.domain.life == self.chosen), None)
        if at is None:
            at = len(rows) - 1 if step == _FAR else min(self.first, len(rows) - 1)
        else:
            at = min(len(rows) - 1, max(0, at + step))
        self.chosen = rows[at].domain.life

    def _escape(self) -> None:
        if self.details:
            self.details = False
        elif self.chosen is not None:
            self.chosen = None
        else:
            self.filter = ""

    def _enter(self, view: View) -> str:
        if self.row(view) is None:
            self._move(view, 0)
        self.details = not self.details
        return LOOK if self.details else ""

    def _pause(self, view: View) -> str:
        if not self.may_pause:
            self.message = "You may not pause domains through this mount."
        elif self.row(view) is None:
            self.message = "Choose a domain first, with the arrow keys."
        else:
            return ASK
        return ""

    def _slower(self, step: int) -> str:
        at = min(range(len(DELAYS)), key=lambda at: abs(DELAYS[at] - self.delay_s))
        self.delay_s = DELAYS[min(len(DELAYS) - 1, max(0, at + step))]
        self.message = f"A look every {self.delay_s:g} s."
        return ""


_FAR = 1 << 30


def _set(**fields: object) -> Callable[[State, View], str]:
    def do(state: State, view: View) -> str:
        for name, value in fields.items():
            setattr(state, name, value)
        return ""

    return do


def _toggle_vcpus(state: State, view: View) -> str:
    state.vcpus = not state.vcpus
    return LOOK if state.vcpus else ""


def _moves(step: Callable[[State], int]) -> Callable[[State, View], None]:
    return lambda state, view: state._move(view, step(state))


_KEYS: dict[str, Callable[[State, View], str | None]] = {
    "q": lambda state, view: QUIT,
    "^C": lambda state, view: QUIT,
    " ": lambda state, view: LOOK,
    "up": _moves(lambda state: -1),
    "down": _moves(lambda state: 1),
    "k": _moves(lambda state: -1),
    "j": _moves(lambda state: 1),
    "pgup": _moves(lambda state: -state.page),
    "pgdn": _moves(lambda state: state.page),
    "home": _moves(lambda state: -_FAR),
    "end": _moves(lambda state: _FAR),
    "enter": State._enter,
    "esc": lambda state, view: state._escape(),
    "v": _toggle_vcpus,
    "s": lambda state, view: state._next_order(1),
    ">": lambda state, view: state._next_order(1),
    "<": lambda state, view: state._next_order(-1),
    "r": lambda state, view: _set(backwards=not state.backwards)(state, view),
    "/": lambda state, view: _set(typing=state.filter)(state, view),
    "p": State._pause,
    "+": lambda state, view: state._slower(1),
    "-": lambda state, view: state._slower(-1),
    "h": _set(help=True),
    "?": _set(help=True),
}
