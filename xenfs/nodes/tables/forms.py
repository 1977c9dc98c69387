"""What text looks like, in words: of each function that shows a value, and of each that parses one.

The reference of paths is made of these words, so that no table line has to repeat them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


class Form(NamedTuple):
    """The words; and of a parser, whether it may say ERANGE of a number, and that it refuses nothing."""

    words: str
    ranged: bool = False
    anything: bool = False


_FORMS: dict[Callable[..., Any], Form] = {}


def formed(words: str, *, ranged: bool = False, anything: bool = False) -> Callable[[Function], Function]:
    """Say what a function shows or takes."""

    def keep(function: Function) -> Function:
        _FORMS[function] = Form(words, ranged, anything)
        return function

    return keep


def form(function: Callable[..., Any]) -> Form:
    """What was said; text where nothing was."""
    return _FORMS.get(function, Form("text"))


def may_be_long(words: str) -> bool:
    """Whether what looks so may be more than a page: lines for each of something, a table, binary data."""
    return not words.lstrip('"').startswith("key value") and any(word in words for word in ("line", "table", "binary"))


formed("binary")(bytes)
formed("hexadecimal digits")(bytes.hex)
