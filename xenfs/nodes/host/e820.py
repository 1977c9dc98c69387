"""Maps of memory as the firmware of a PC gives them: lines that say which addresses are what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from xenfs.calls.memory import Range
from xenfs.errors import BadInput
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.forms import formed

MOST = 128  # entries: what there is room for when a guest is started
LONGEST = 128 * 64  # bytes: as many lines, each as long as it can be
_NAMES = {1: "ram", 2: "reserved", 3: "acpi_data", 4: "acpi_nvs", 5: "unusable", 6: "disabled", 7: "pmem"}
_NUMBERS = {name: number for number, name in _NAMES.items()}
_LINE = re.compile(r"([0-9a-zA-Z]+)-([0-9a-zA-Z]+)[ \t]+(\w+)")
_FORM = '"start-end type" lines'

_address = parse.integer(0, 2**64 - 1, "address")
_type = parse.integer(1, 2**32 - 1, "type of memory")


@formed(_FORM)
def shown(ranges: Sequence[Range]) -> str:
    """A line for each, ends exclusive; a type without a name is a number."""
    return show.lines(f"{each.start:#x}-{each.end:#x} {_NAMES.get(each.type, each.type)}" for each in ranges)


@formed(f"{_FORM}, or an empty line", ranged=True)
def parse_map(text: str) -> tuple[Range, ...]:
    """Such lines again, by rising addresses; EINVAL for other text and for what lies in another's place, ERANGE."""
    lines = [line for line in (each.strip(" \t") for each in text.split("\n")) if line]
    found = [_range(line) for line in lines]
    if len(found) > MOST:
        raise BadInput(f"a guest takes no more than {MOST} lines, not {len(found)}", at=0)
    for line, (before, after) in zip(lines[1:], pairwise(found), strict=True):
        if after.start < before.end:
            raise BadInput(f"it begins before the line above it ends, at {before.end:#x}", word=line)
    return tuple(found)


def _range(line: str) -> Range:
    match = _LINE.fullmatch(line)
    if match is None:
        raise BadInput('not a line such as "0x100000-0x8000000 ram"', word=line)
    start, end = (_address(word) for word in match.groups()[:2])
    if end <= start:
        raise BadInput("the end is exclusive, and has to be above the start", word=line)
    if match[3] not in _NUMBERS and not match[3].isdecimal():
        raise BadInput(f"must be a number or one of: {' '.join(_NUMBERS)}", word=match[3])
    return Range(start, end, _NUMBERS.get(match[3]) or _type(match[3]))
