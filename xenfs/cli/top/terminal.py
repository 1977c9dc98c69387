"""The terminal, by curses: draws pictures, gives keys by name, and is left as it was found."""

from __future__ import annotations

import curses
import locale
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType

from xenfs.cli.top.cells import ASCII, UTF8, Glyphs, width
from xenfs.cli.top.meters import Line
from xenfs.errors import StartError

# Colours by what they mean; where there are none, and NO_COLOR is set, only the attributes are left.
STYLES: dict[str, tuple[int | None, int]] = {
    "title": (None, curses.A_BOLD),
    "bold": (None, curses.A_BOLD),
    "dim": (None, curses.A_DIM),
    "name": (None, curses.A_NORMAL),
    "header": (None, curses.A_REVERSE | curses.A_DIM),
    "sorted": (None, curses.A_REVERSE | curses.A_BOLD),
    "chosen": (curses.COLOR_CYAN, curses.A_REVERSE),
    "track": (None, curses.A_DIM),
    "good": (curses.COLOR_GREEN, curses.A_NORMAL),
    "warn": (curses.COLOR_YELLOW, curses.A_NORMAL),
    "bad": (curses.COLOR_RED, curses.A_NORMAL),
    "memory": (curses.COLOR_BLUE, curses.A_NORMAL),
    "history": (curses.COLOR_GREEN, curses.A_NORMAL),
    "running": (curses.COLOR_GREEN, curses.A_NORMAL),
    "runnable": (curses.COLOR_GREEN, curses.A_NORMAL),
    "blocked": (None, curses.A_NORMAL),
    "paused": (curses.COLOR_YELLOW, curses.A_NORMAL),
    "crashed": (curses.COLOR_RED, curses.A_BOLD),
    "shutdown": (None, curses.A_DIM),
    "dying": (curses.COLOR_MAGENTA, curses.A_NORMAL),
    "key": (None, curses.A_BOLD),
    "ask": (curses.COLOR_YELLOW, curses.A_REVERSE),
    "message": (curses.COLOR_YELLOW, curses.A_NORMAL),
    "cursor": (None, curses.A_REVERSE),
}
_KEYS = {
    curses.KEY_UP: "up", curses.KEY_DOWN: "down", curses.KEY_PPAGE: "pgup", curses.KEY_NPAGE: "pgdn",
    curses.KEY_HOME: "home", curses.KEY_END: "end", curses.KEY_ENTER: "enter", curses.KEY_BACKSPACE: "backspace",
    "\n": "enter", "\r": "enter", "\x1b": "esc", "\x7f": "backspace", "\b": "backspace", "\x03": "^C",
}  # fmt: skip


def glyphs() -> Glyphs:
    """What this terminal can be expected to have: Linux's own console has no eighths of a block."""
    utf8 = locale.nl_langinfo(locale.CODESET).upper().replace("-", "") == "UTF8"
    return UTF8 if utf8 and os.environ.get("TERM") != "linux" else ASCII


class Terminal:
    """A screen as long as the `with` block lasts."""

    def __enter__(self) -> Terminal:
        self.glyphs = glyphs()
        try:
            curses.setupterm()
        except curses.error as problem:
            raise StartError(f"this terminal is not known here: {problem}; --batch needs none") from None
        if not curses.tigetstr("cup") or not curses.tigetstr("clear"):
            raise StartError("this terminal has no cursor that could be moved; --batch needs none")
        self._screen = curses.initscr()
        self._encoding = locale.getpreferredencoding(False)
        try:
            self._prepare()
        except BaseException:
            curses.endwin()
            raise
        return self

    def _prepare(self) -> None:
        curses.noecho()
        curses.cbreak()
        curses.set_escdelay(25)
        self._screen.keypad(True)
        self._screen.nodelay(True)
        with suppress(curses.error):  # it cannot be hidden everywhere
            curses.curs_set(0)
        self._styles: dict[str, int] = {name: attribute for name, (_, attribute) in STYLES.items()}
        if curses.has_colors() and not os.environ.get("NO_COLOR"):
            curses.start_color()
            curses.use_default_colors()
            colours = sorted({colour for colour, _ in STYLES.values() if colour is not None})
            for pair, colour in enumerate(colours, 1):
                curses.init_pair(pair, colour, -1)
            for name, (of, attribute) in STYLES.items():
                if of is not None:
                    self._styles[name] = attribute | curses.color_pair(colours.index(of) + 1)

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(curses.error):  # the terminal itself may be gone
            curses.endwin()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        try:
            told = os.get_terminal_size(1)
        except OSError:
            told = os.terminal_size((0, 0))
        columns, lines = told.columns or 80, told.lines or 24  # of one that does not say how large it is
        if curses.is_term_resized(lines, columns):
            curses.resizeterm(lines, columns)
        return columns, lines

    def keys(self) -> Iterator[str]:
        """The keys that were pressed, by name or as the character that they give."""
        while True:
            try:
                key = self._screen.get_wch()
            except curses.error:
                return
            if key != curses.KEY_RESIZE:
                yield _KEYS.get(key, key if isinstance(key, str) else "")

    def draw(self, lines: list[Line]) -> None:
        """Show a picture. Only what is different from the last is sent."""
        self._screen.erase()
        height, columns = self._screen.getmaxyx()
        for y, line in enumerate(lines[:height]):
            x = 0
            for text, style in line:
                self._put(y, x, text, style)
                x += width(text)
                if x >= columns:
                    break
        self._screen.refresh()

    def stop(self) -> None:
        """Give the terminal back and stop, as any other program does at ^Z; here again when it is continued."""
        curses.def_prog_mode()
        curses.endwin()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.pthread_kill(threading.get_ident(), signal.SIGTSTP)  # of this thread: it goes no further before that
        signal.signal(signal.SIGTSTP, handler)
        curses.reset_prog_mode()
        self.repaint()

    def repaint(self) -> None:
        """Trust nothing of what is on the screen."""
        self._screen.clearok(True)

    def _put(self, y: int, x: int, text: str, style: str) -> None:
        with suppress(curses.error):  # after the last cell of all the cursor has nowhere to go
            self._screen.addstr(y, x, self._shown(text), self._styles.get(style, curses.A_NORMAL))

    def _shown(self, text: str) -> str:
        """Text with a question mark for what the locale has no character for."""
        return text if text.isascii() else text.encode(self._encoding, "replace").decode(self._encoding)
