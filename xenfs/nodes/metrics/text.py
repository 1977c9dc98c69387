"""Prometheus's text format, version 0.0.4: families of samples, and label values that nothing can break out of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Value = int | str | None
"""A sample's value: an integer, or a number as text; None where there is nothing to say."""

# Everything else may stand in a label as it is. A NUL may not: readers in C, and Prometheus's own, end there.
_ESCAPES = {ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n", 0: "\N{REPLACEMENT CHARACTER}"}


class Item(NamedTuple):
    """What a row of samples is about: its labels, ready to be written, and whatever the metrics look at."""

    labels: str
    of: Any


class Metric(NamedTuple):
    """One line of a table: a family's name, kind and help, and its value for one thing.

    `value` gives the value, or, of a metric that has labels of its own, several (labels, value).
    """

    name: str
    kind: str
    help: str
    value: Callable[[Any], Value | Sequence[tuple[str, Value]]]


def counter(name: str, help: str, value: Callable[[Any], Any]) -> Metric:
    """What only grows, until Xen or xenfs starts anew."""
    return Metric(f"{name}_total", "counter", help, value)


def gauge(name: str, help: str, value: Callable[[Any], Any]) -> Metric:
    """What goes up and down."""
    return Metric(name, "gauge", help, value)


def info_metric(name: str, help: str, facts: Callable[[Any], Mapping[str, object]]) -> Metric:
    """Words about a thing, as labels of a metric that is always 1."""
    return Metric(f"{name}_info", "gauge", help, lambda of: [(labels(facts(of)), 1)])


def labels(pairs: Mapping[str, object]) -> str:
    """name="value" for each, with commas between."""
    return ",".join(f'{name}="{escaped(str(value))}"' for name, value in pairs.items())


def escaped(text: str) -> str:
    """Text as the inside of a quoted label value."""
    return text.translate(_ESCAPES)


def family(metric: Metric, items: Iterable[Item]) -> str:
    """A family with all its samples in the order of the items; nothing where there is none."""
    name, value = metric.name, metric.value
    lines: list[str] = []
    for about, of in items:
        found = value(of)
        if isinstance(found, (int, str)):
            lines.append(f"{name}{{{about}}} {found}" if about else f"{name} {found}")
        elif found is not None:
            lines += [_labelled(name, about, more, each) for more, each in found if each is not None]
    if not lines:
        return ""
    return f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n" + "\n".join(lines) + "\n"


def _labelled(name: str, about: str, more: str, value: Value) -> str:
    both = f"{about},{more}" if about and more else about or more
    return f"{name}{{{both}}} {value}" if both else f"{name} {value}"


def seconds(ns: int) -> str:
    """Nanoseconds as seconds, with nothing rounded away."""
    digits = f"{ns:010d}"  # two divisions would take twice as long
    return f"{digits[:-9]}.{digits[-9:]}"


def micro(us: int) -> str:
    """Microseconds as seconds."""
    return f"{us // 1_000_000}.{us % 1_000_000:06d}"
