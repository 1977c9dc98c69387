"""Text that others wrote, made fit for a line of a log or a terminal: it cannot look like anything else."""

from __future__ import annotations

_LONGEST_NAME = 255  # bytes


def harmless(text: str | bytes) -> str:
    r"""The text with \n, \x1b, \u202e and the like for what is not printable, and \\ for a backslash.

    It is one line, it cannot move a cursor or turn the direction of writing, and it can be told from any other text.
    """
    given = text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text
    return "".join(c if c.isprintable() and c != "\\" else _escaped(c) for c in given)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def file_name(raw: bytes) -> str:
    """A domain's name as the name of a file: "/" becomes %2F, and what would disturb who reads a listing likewise.

    The two names that mean something are kept apart. Empty for what is longer than a file name can be.
    """
    text = raw.decode("utf-8", "surrogateescape").replace("/", "%2F")
    if not text.isprintable():
        text = "".join(f"%{ord(char):02X}" if char < " " or char == "\x7f" else char for char in text)
    if text in (".", ".."):
        text = text.replace(".", "%2E")
    return text if len(text.encode("utf-8", "surrogateescape")) <= _LONGEST_NAME else ""
