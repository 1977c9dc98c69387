"""Keep or drop the marked lines of a declaration text for one Xen release and architecture.

A mark is the end of a line, `uint32_t x;  //@ domctl >= 0x14 and arch == x86_64: why`; the reason may stand in
a comment above instead. On a line that ends in `{` it covers everything up to the line that closes this brace.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Version = tuple[int, ...]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_CONDITION = re.compile(r"(xen|domctl|sysctl|arch)\s*(>=|<=|==|!=|>|<)\s*([\w.]+)")
_VALUE = {
    "xen": re.compile(r"\d+\.\d+"),
    "domctl": re.compile(r"0x[0-9a-f]+|\d+"),
    "sysctl": re.compile(r"0x[0-9a-f]+|\d+"),
    "arch": re.compile(r"x86_64|arm64"),
}
_COMMENT = re.compile(r"/\*.*?\*/")
MARK = "//@"


class BadMark(ValueError):
    """A mark that cannot be understood; the message names file and line."""


@dataclass(frozen=True)
class Target:
    """What the conditions of marks look at: a release such as (4, 17), interface numbers, an architecture."""

    xen: Version
    domctl: int
    sysctl: int
    arch: str


def holds(condition: str, target: Target) -> bool:
    """Whether all comparisons of `condition`, joined by "and", hold for `target`; ValueError if malformed."""
    return all([_compare(part.strip(), target) for part in condition.split(" and ")])


def select(text: str, target: Target, origin: str = "<text>") -> str:
    """The lines of `text` that exist for `target`, without marks. BadMark, with file and line, if malformed."""
    return "\n".join(_kept(text, target, origin))


def _kept(text: str, target: Target, origin: str) -> Iterator[str]:
    skipped_from, depth = 0, 0
    for number, line in enumerate(text.splitlines(), 1):
        body, mark, condition = _COMMENT.sub("", line).partition(MARK)
        body = body.partition("//")[0].rstrip()
        keep = not mark or _marked(condition, target, f"{origin}:{number}", body)
        if depth:
            depth += body.count("{") - body.count("}")
        elif keep:
            yield body
        elif body.endswith("{"):
            skipped_from, depth = number, 1
    if depth:
        raise BadMark(f"{origin}:{skipped_from}: the marked brace is never closed")


def _marked(condition: str, target: Target, where: str, body: str) -> bool:
    if not body.strip():
        raise BadMark(f"{where}: the mark has no declaration before it")
    try:
        return holds(condition.partition(": ")[0].strip(), target)
    except ValueError as why:
        raise BadMark(f"{where}: {why}") from None


def _compare(part: str, target: Target) -> bool:
    match = _CONDITION.fullmatch(part)
    if match is None:
        raise ValueError(f"not a condition: {part!r}")
    name, symbol, word = match.groups()
    if not _VALUE[name].fullmatch(word):
        raise ValueError(f"not a value that {name} can have: {word!r}")
    if name == "arch" and symbol not in ("==", "!="):
        raise ValueError(f"architectures have no order: {part!r}")
    return _COMPARE[symbol](getattr(target, name), _value(name, word))


def _value(name: str, word: str) -> Version | str | int:
    if name == "xen":
        return tuple(int(digits) for digits in word.split("."))
    return word if name == "arch" else int(word, 0)
