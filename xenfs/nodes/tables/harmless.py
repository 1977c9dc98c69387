"""Text that others wrote, made fit for a line of a log or a terminal: it cannot look like anything else."""

from __future__ import annotations

import re

_LONGEST_NAME = 255  # bytes


def harmless(text: str | bytes) -> str:
    r"""The text with \n, \x1b, \u202e and the like for what is not printable, and \\ for a backslash.

    It is one line, it cannot move a cursor or turn the direction of writing, and it can be told from any other text.
    """
    given = text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text
    if given.isprintable() and "\\" not in given:
        return given  # as nearly all is: a list of ten thousand names takes half the time
    return "".join(c if c.isprintable() and c != "\\" else _escaped(c) for c in given)


def cut(text: str | bytes, longest: int) -> str:
    """The same, cut to so many bytes: between characters, never within what stands for one; "…" says that it was."""
    given = text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text
    if len(given) <= longest and given.isascii() and given.isprintable() and "\\" not in given:
        return given  # as nearly all is: a record of each write has five of them
    found: list[str] = []
    left = longest
    for char in given:
        shown = harmless(char)
        left -= len(shown.encode())
        if left < 0:
            return "".join(found) + "…"
        found.append(shown)
    return "".join(found)


_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}


def _escaped(char: str) -> str:
    """Without a codec: that would be a module of Python's, which the daemon may have no right to read any more."""
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_ESCAPE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)")


def exact(shown: str) -> str:
    """The text behind what `harmless` made of it; bytes that are not UTF-8 as "surrogateescape" has them."""
    return _ESCAPE.sub(lambda match: _meant(match[0][1:]), shown)


def _meant(escape: str) -> str:
    if escape[:1] in ("x", "u", "U") and len(escape) > 1:
        code = int(escape[1:], 16)
        return chr(code + 0xDC00) if escape[0] == "x" and code >= 0x80 else chr(code)
    return {"n": "\n", "r": "\r", "t": "\t"}.get(escape, escape)


def file_name(raw: bytes) -> str:
    """A domain's name as the name of a file, from which it can be told again: `unquote` of it gives the bytes.

    "/" becomes %2F and "%" itself %25. What moves a cursor, ends a line or turns the direction of writing becomes the
    %XX of its bytes. So do bytes that are not UTF-8, as an old terminal obeys some of them, and "." and "..", which
    mean something. Empty for what is longer than a file name can be.
    """
    text = raw.decode("utf-8", "surrogateescape")
    if not text.isprintable() or not _PLAIN.isdisjoint(text) or text in (".", ".."):
        dots = text in (".", "..")
        text = "".join(_quoted(c) if c in _PLAIN or dots or not c.isprintable() else c for c in text)
    return text if len(text.encode("utf-8", "surrogateescape")) <= _LONGEST_NAME else ""


_PLAIN = frozenset("%/")


def _quoted(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
