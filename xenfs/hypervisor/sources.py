"""Which operation stands behind a function: said once, beside it, for every table line that shows its answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from xenfs.abi.operations import Operation

Function = TypeVar("Function", bound=Callable[..., Any])


class Source(NamedTuple):
    """The operation's name, empty where none was said; `checked` says that the function itself proves that the right
    life answered."""

    call: str = ""
    checked: bool = False


_SOURCES: dict[Callable[..., Any], Source] = {}


def asks(op: Operation, *, checked: bool = False) -> Callable[[Function], Function]:
    """Say which operation a function makes."""

    def keep(function: Function) -> Function:
        _SOURCES[function] = Source(op.name, checked)
        return function

    return keep


def source(function: Callable[..., Any] | None) -> Source:
    """What was said of this function."""
    return _SOURCES.get(function, Source()) if function is not None else Source()
