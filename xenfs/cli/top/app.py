"""The loop at the terminal: looks by the clock, keys as they come, a picture after each."""

from __future__ import annotations

import os
import select
import signal
import sys
from time import monotonic, strftime
from typing import Any

from xenfs.cli.top.cells import clean
from xenfs.cli.top.frame import Frame, composed
from xenfs.cli.top.meters import Place
from xenfs.cli.top.model import Model, View
from xenfs.cli.top.source import Host, Life, Sample, Source
from xenfs.cli.top.state import ASK, DO, LOOK, QUIT, State
from xenfs.cli.top.terminal import Terminal
from xenfs.cli.top.work import Worker
from xenfs.errors import XenfsError

_SLOW_S = 3.0  # without an answer for so long, it is said
_MESSAGE_S = 10.0
_EMPTY = View([], Host(), [], None, [], None)


class App:
    """Everything between the mount and the screen."""

    def __init__(self, source: Source, state: State) -> None:
        self._source, self._state = source, state
        self._model, self._worker = Model(), Worker()
        self._view, self._frame = _EMPTY, Frame([], [])
        self._version, self._problem = "", ""
        self._asked_at: float | None = None  # when the look that is under way began
        self._next = 0.0
        self._again = False
        self._freeze: tuple[int, Life, bool] | None = None
        self._over = False
        self._said = "", 0.0

    def run(self, terminal: Terminal) -> int:
        """Until somebody quits."""
        with _Signals(self._worker) as signals:
            while not self._over:
                self._look_when_due()
                self._draw(terminal)
                ready = self._wait()
                self._worker.deliver()
                if sys.stdin.fileno() in ready:
                    keys = list(terminal.keys())
                    if not keys and _at_end(sys.stdin.fileno()):
                        return 0
                    for key in keys:
                        self._press(key)
                if signals.arrived(signal.SIGTSTP):
                    terminal.stop()
                if signals.arrived(signal.SIGCONT):
                    terminal.repaint()
                self._over |= signals.arrived(signal.SIGINT)
        return 0

    def _wait(self) -> list[int]:
        now = monotonic()
        until = self._next if self._asked_at is None else max(self._asked_at + _SLOW_S, now + 1)
        return select.select([sys.stdin.fileno(), self._worker.fd], [], [], max(0.0, until - now))[0]

    # Looking

    def _look_when_due(self) -> None:
        if self._asked_at is None and (self._again or monotonic() >= self._next):
            self._asked_at, self._again = monotonic(), False
            shown = self._frame.shown if self._state.vcpus else []
            if self._state.details and self._state.chosen is not None:
                shown = [*shown, self._state.chosen]
            self._worker.want(lambda: self._look(shown), self._looked)

    def _look(self, shown: list[Life]) -> tuple[Sample, str, bool]:
        """One look; with the first of a mount also what stays the same."""
        sample = self._source.sample(shown)
        if self._version:
            return sample, self._version, self._state.may_pause
        return sample, self._source.version(), any(map(self._source.may_pause, list(sample.domains.value)[:8]))

    def _looked(self, found: tuple[Sample, str, bool] | None, problem: XenfsError | None) -> None:
        assert self._asked_at is not None
        self._next, self._asked_at = self._asked_at + self._state.delay_s, None
        if found is None:
            self._problem, self._version = os.strerror(problem.errno) if problem else "", ""
            self._model.interrupted()
            return
        sample, self._version, self._state.may_pause = found
        first = not self._view.rows and not self._problem
        self._problem = ""
        self._view = self._model.fed(sample)
        if first:
            self._next = min(self._next, monotonic() + 0.5)  # rates take a second look: not so late

    # Keys

    def _press(self, key: str) -> None:
        asked = bool(self._state.question)
        wish = self._state.press(key, self._view)
        if wish == QUIT:
            self._over = True
        elif wish == LOOK:
            self._again = True
        elif wish == ASK:
            self._prepare_to_pause()
        elif wish == DO:
            self._pause()
        elif asked:
            self._forget()

    def _prepare_to_pause(self) -> None:
        """Get hold of the domain before asking: what is answered is about it, whoever has its number then."""
        row = self._state.row(self._view)
        if row is None or self._freeze is not None:
            return
        life, paused = row.domain.life, row.domain.state == "paused"
        name = clean(row.domain.name)

        def ask(fd: int | None, problem: XenfsError | None) -> None:
            if fd is None:
                self._state.message = str(problem)
                return
            self._freeze = fd, life, not paused
            self._state.question = f"{'Unpause' if paused else 'Pause'} domain {life[0]}{f' ({name})' if name else ''}?"

        self._worker.want(lambda: self._opened(life), ask)

    def _opened(self, life: Life) -> int:
        if self._source.own_domid() == life[0]:
            raise XenfsError("This is the domain that xenfs runs in: it cannot pause itself.")
        return self._source.open_freeze(life)

    def _pause(self) -> None:
        if self._freeze is None:
            return
        (fd, life, pause), self._freeze = self._freeze, None

        def done(_: Any, problem: XenfsError | None) -> None:
            word = "paused" if pause else "unpaused"
            self._state.message = (
                f"Domain {life[0]} was not {word}: {problem}" if problem else f"Domain {life[0]} is {word}."
            )
            self._again = True

        self._worker.want(lambda: _written(fd, b"1" if pause else b"0"), done)

    def _forget(self) -> None:
        if self._freeze is not None:
            fd, self._freeze = self._freeze[0], None
            self._worker.want(lambda: os.close(fd), lambda *_: None)

    # The picture

    def _draw(self, terminal: Terminal) -> None:
        columns, lines = terminal.size
        version = f"Xen {clean(self._version)}   " if self._version else ""
        clock = f"every {self._state.delay_s:g} s   {strftime('%H:%M:%S')}"
        place = Place(columns, lines, terminal.glyphs, f"{version}{clean(self._source.mount)}", clock)
        trouble = self._trouble()
        self._forget_message()
        said = self._state.message
        if trouble and not self._state.question:
            self._state.message = trouble
        self._frame = composed(self._view, self._state, place)
        self._state.message = said
        terminal.draw(self._frame.lines)

    def _forget_message(self) -> None:
        """What has been said for a while gives way to the keys again."""
        now = monotonic()
        if self._state.message != self._said[0]:
            self._said = self._state.message, now
        elif now - self._said[1] > _MESSAGE_S:
            self._state.message = ""

    def _trouble(self) -> str:
        if self._problem:
            return f"The mount does not answer ({self._problem}); trying again."
        waited = 0.0 if self._asked_at is None else monotonic() - self._asked_at
        return f"No answer for {waited:.0f} s." if waited >= _SLOW_S else ""


def _written(fd: int, data: bytes) -> None:
    try:
        os.write(fd, data)
    except OSError as problem:
        raise XenfsError(problem.strerror or str(problem), problem.errno or 0) from None
    finally:
        os.close(fd)


def _at_end(fd: int) -> bool:
    """Whether a descriptor that can be read has nothing more to give: the terminal is gone."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return any(events & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, events in poll.poll(0))


class _Signals:
    """Signals that wake the loop, and the one that ends it. SIGHUP is left to the kernel.

    SIGTSTP is not left to curses: its handler would write to the terminal in whatever thread the signal came to.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._arrived: set[int] = set()
        self._before: dict[int, Any] = {}

    def arrived(self, number: int) -> bool:
        """Whether it has come since the last time that this was asked."""
        came = number in self._arrived
        self._arrived.discard(number)
        return came

    def __enter__(self) -> _Signals:
        for number in (signal.SIGWINCH, signal.SIGCONT, signal.SIGINT, signal.SIGTSTP):
            self._before[number] = signal.signal(number, self._woken)
        self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, _ended)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler or signal.SIG_DFL)  # None is one that Python did not set

    def _woken(self, number: int, frame: object) -> None:
        self._arrived.add(number)
        self._worker.ring()


def _ended(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
