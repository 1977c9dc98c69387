"""Text in the cells of a terminal: what names may show, how wide it is, and drawing with characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

_MOST_MARKS = 2  # accents on one character; more of them climb into the lines above
_SELECTORS = range(0xFE00, 0xFE10)  # they make some terminals draw the character before them wider


@lru_cache(4096)
def clean(text: str) -> str:
    """Somebody else's text without anything that a terminal would obey: control characters become escapes.

    Bytes that are not UTF-8, invisible characters and piled up accents are among these.
    """
    shown: list[str] = []
    marks = 0
    for char in unicodedata.normalize("NFC", text):
        marks = marks + 1 if _is_mark(char) else 0
        harmless = (
            char.isprintable() and ord(char) not in _SELECTORS and (not marks or (shown and marks <= _MOST_MARKS))
        )
        shown.append(char if harmless else _escaped(char))
    return "".join(shown)


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte, by "surrogateescape"
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_mark(char: str) -> bool:
    return char > "\x7f" and unicodedata.category(char) in ("Mn", "Me")


def width(text: str) -> int:
    """How many cells a text takes that has been cleaned."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(char: str) -> int:
    if char <= "\x7f":
        return 1
    return 0 if _is_mark(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, cells: int, more: str = "") -> str:
    """As much of a text as fits, with `more` at the end where something is missing."""
    if width(text) <= cells:
        return text
    room, kept = cells - width(more), []
    if room < 0:
        return ""
    for char in text:
        room -= _width(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept) + more


def fit(text: str, cells: int, *, right: bool = False, more: str = "") -> str:
    """A text in exactly so many cells."""
    text = cut(text, cells, more)
    pad = " " * (cells - width(text))
    return pad + text if right else text + pad


@dataclass(frozen=True)
class Glyphs:
    """What bars, histories and marks are drawn with."""

    full: str
    half: str
    track: str
    levels: str
    more: str
    down: str
    up: str
    arrows: str

    def bar(self, share: float | None, cells: int) -> tuple[str, str]:
        """A bar as the part that is filled, to half a cell, and the track that is left."""
        halves = 0 if share is None else round(min(1.0, max(0.0, share)) * cells * 2)
        if share and not halves:
            halves = 1  # a little is not nothing
        filled = self.full * (halves // 2) + self.half * (halves % 2)
        return filled, self.track * (cells - len(filled))

    def history(self, shares: Sequence[float | None], cells: int) -> str:
        """The last of them as columns of different height, the newest at the right; blank where nothing is known."""
        shown = [self.level(share) for share in shares[-cells:]] if cells > 0 else []
        return " " * (cells - len(shown)) + "".join(shown)

    def level(self, share: float | None) -> str:
        """One column of a history."""
        if share is None:
            return " "
        top = len(self.levels) - 1
        return self.levels[min(top, max(0, round(share * top)))]


UTF8 = Glyphs("━", "╸", "─", "▁▂▃▄▅▆▇█", "…", "▾", "▴", "↑↓")
ASCII = Glyphs("#", "=", "-", "_.:-=+*#", "~", "v", "^", "Up/Down")


def human(kb: int | None) -> str:
    """An amount of memory in at most five characters: 512K, 64.0M, 1.50G."""
    if kb is None:
        return "-"
    amount = float(kb)
    for unit in "KMGTP":
        if amount < 999.5 or unit == "P":
            break
        amount /= 1024
    digits = 0 if unit == "K" or amount >= 99.95 else 1 if amount >= 9.995 else 2
    return f"{amount:.{digits}f}{unit}"


def percent(value: float | None) -> str:
    """A percentage with one decimal as long as it is short."""
    return "-" if value is None else f"{value:.1f}" if value < 999.95 else f"{value:.0f}"


def joined(words: Iterable[str], cells: int, gap: str) -> str:
    """As many whole words as fit."""
    text = ""
    for word in words:
        longer = f"{text}{gap}{word}" if text else word
        if width(longer) > cells:
            break
        text = longer
    return text
