"""Why writes were refused, for people: a ring of the last ones, with a caret under the word that is wrong."""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from xenfs.errors import BadInput, XenfsError, errno_name
from xenfs.nodes.tables.harmless import harmless
from xenfs.pool import Violation

_KEPT = 64
_LONGEST_LINE = 200
_LONGEST_REASON = 600
_MOST_LOOKED_AT = 8192


class Refusals:
    """The last refused writes, oldest first, bounded in number and in the length of what was written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[str] = deque(maxlen=_KEPT)

    @contextmanager
    def noting(self, path: str, data: bytes, *, hidden: bool = False) -> Iterator[None]:
        """Note what goes wrong inside, and let it go on to the writer."""
        try:
            yield
        except (XenfsError, OSError) as problem:
            self.add(path, data, problem, hidden=hidden)
            raise

    def add(self, path: str, data: bytes, problem: XenfsError | OSError, *, hidden: bool = False) -> None:
        """Remember one refusal; what was written only where it is not `hidden`, as a guest's inside is."""
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        why = problem.why if isinstance(problem, BadInput) else str(problem)
        where, reason = harmless(path[:_LONGEST_REASON]), harmless(why[:_LONGEST_REASON])
        lines = [_cut(f"{when} {where}: {errno_name(problem.errno or 0)}: {reason}", _LONGEST_REASON)]
        if data and hidden:
            lines.append(f"  ({len(data)} bytes that are not shown)")
        elif data:
            shown, caret = _caret(data, problem)
            lines.append(f"  {shown}")
            if caret is not None:
                lines.append(f"  {' ' * caret}^")
        with self._lock:
            self._entries.append("\n".join(lines))

    def add_violation(self, violation: Violation) -> None:
        """Remember that somebody wrote where no buffer was: not a refusal, but where people look first."""
        self.add("xenfs/buffers", b"", XenfsError(str(violation), errno.EFAULT))

    def text(self) -> str:
        """Everything that is remembered."""
        with self._lock:
            return "\n".join(self._entries)

    def clear(self) -> None:
        """Forget it all."""
        with self._lock:
            self._entries.clear()


def _caret(data: bytes, problem: XenfsError | OSError) -> tuple[str, int | None]:
    """What was written, made harmless for a terminal, and the column of the caret below it."""
    given = data[:_MOST_LOOKED_AT].decode("utf-8", "replace").removesuffix("\n")
    at: int | None = None
    if isinstance(problem, BadInput):
        at = problem.at
        if problem.word and (found := given.find(problem.word)) >= 0:
            at = found
    before = harmless(given[: at or 0])
    shown = _cut(before + harmless(given[at or 0 :]), _LONGEST_LINE)
    return shown, None if at is None or len(before) >= _LONGEST_LINE else len(before)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
