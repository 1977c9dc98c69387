"""Values to text: one function for each form that a file's content takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from xenfs.nodes.tables.forms import formed
from xenfs.nodes.tables.pieces import Pieces
from xenfs.politely import politely

_LINES = 256  # in a piece of what has thousands


def text(value: Any) -> str:
    """As str() has it; bytes as Latin-1 would lose nothing but are not text: decoded, odd bytes kept."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


@formed("decimal number")
def dec(value: int) -> str:
    """A decimal integer."""
    return str(int(value))


@formed("hexadecimal number with 0x")
def hexa(value: int) -> str:
    """Hexadecimal with 0x, for what hardware speaks hex about."""
    return f"{int(value):#x}"


@formed("0 or 1")
def flag(value: object) -> str:
    """0 or 1."""
    return "1" if value else "0"


@formed("decimal number")
def kib_of_pages(pages: int) -> str:
    """Pages of 4 KiB as kB."""
    return str(int(pages) * 4)


@formed("words with a blank between")
def words(values: Iterable[object]) -> str:
    """Names with a space between."""
    return " ".join(map(str, values))


@formed("one a line")
def lines(values: Iterable[object]) -> str:
    """One value a line; nothing at all for none."""
    return "\n".join(map(str, politely(values)))


@formed("one a line")
def many_lines(values: Iterable[str]) -> Pieces:
    """The same of thousands."""
    return Pieces(_encoded(politely(values)))


def _encoded(lines: Iterator[str]) -> Iterator[bytes]:
    while some := list(islice(lines, _LINES)):
        yield ("\n".join(some) + "\n").encode("utf-8", "surrogateescape")


@formed("list such as 0-3,8")
def ranges(numbers: Iterable[int]) -> str:
    """A list of CPUs or nodes as Linux writes it: "0-3,8"; an empty line for none."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs) + "\n"


@formed("UUID")
def handle(value: bytes) -> str:
    """A domain's sixteen-byte handle as a UUID."""
    h = bytes(value).hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


@formed('"key value" lines')
def flat(pairs: Mapping[str, object] | Iterable[tuple[str, object]]) -> str:
    """Flat keyed: a "key value" line each."""
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    return "\n".join(f"{key} {value}" for key, value in politely(items))


@formed('"name key=value ..." lines')
def nested(rows: Iterable[tuple[object, Mapping[str, object]]]) -> str:
    """Nested keyed: a "name key=value key=value" line each."""
    return "\n".join(map(nested_line, politely(rows)))


@formed('"name key=value ..." lines')
def many_nested(rows: Iterable[tuple[object, Mapping[str, object]]]) -> Pieces:
    """The same of thousands."""
    return many_lines(map(nested_line, rows))


def nested_line(row: tuple[object, Mapping[str, object]]) -> str:
    """A line of `nested`."""
    name, pairs = row
    return " ".join((str(name), *(f"{key}={value}" for key, value in pairs.items())))


@formed("text")
def c_string(value: bytes) -> str:
    """The text before the first NUL of a fixed array."""
    return bytes(value).split(b"\0", 1)[0].decode("utf-8", "replace")
