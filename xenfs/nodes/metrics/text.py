"""Prometheus's text format, version 0.0.4: families of samples, and label values that nothing can break out of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from xenfs.calls.rows import free

Value = int | str | None
"""A sample's value: an integer, or a number as text; None where there is nothing to say."""

_PIECE = 300  # samples, 30 KB: what is joined in one step, and freed in one, keeps all other threads waiting meanwhile
# Everything else may stand in a label as it is. A NUL may not: readers in C, and Prometheus's own, end there.
_ESCAPES = {ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n", 0: "\N{REPLACEMENT CHARACTER}"}


Item = tuple[str, Any]
"""What a row of samples is about: its labels, ready to be written, and whatever the metrics look at."""


class Metric(NamedTuple):
    """One line of a table: a family's name, kind and help, and its value for one thing.

    `value` gives the value, or, where `labelled` says that it has labels of its own, several (labels, value).
    """

    name: str
    kind: str
    help: str
    value: Callable[[Any], Any]
    labelled: bool = False


def counter(name: str, help: str, value: Callable[[Any], Any]) -> Metric:
    """What only grows, until Xen or xenfs starts anew."""
    return Metric(f"{name}_total", "counter", help, value)


def gauge(name: str, help: str, value: Callable[[Any], Any], *, labelled: bool = False) -> Metric:
    """What goes up and down."""
    return Metric(name, "gauge", help, value, labelled)


def info_metric(name: str, help: str, facts: Callable[[Any], Mapping[str, object]]) -> Metric:
    """Words about a thing, as labels of a metric that is always 1."""
    return Metric(f"{name}_info", "gauge", help, lambda of: [(labels(facts(of)), 1)], labelled=True)


def labels(pairs: Mapping[str, object]) -> str:
    """name="value" for each, with commas between."""
    return ",".join(f'{name}="{escaped(str(value))}"' for name, value in pairs.items())


def escaped(text: str) -> str:
    """Text as the inside of a quoted label value."""
    plain = text.isprintable() and '"' not in text and "\\" not in text  # nearly all are, and to see it takes a third
    return text if plain else text.translate(_ESCAPES)


def families(metrics: Sequence[Metric], items: Sequence[Item]) -> Iterator[str]:
    """Each family with all its samples in the order of the items, in pieces; nothing where there is none.

    It goes through the items once for their labels, and once for each family's values: a scrape has a sample for each
    file of each domain, and a function call for each would take half of its time.
    """
    places, things = [_place(about) for about, _ in items], [of for _, of in items]
    for metric in metrics:
        values = map(metric.value, things)
        samples = _labelled(items, values) if metric.labelled else zip(places, values, strict=True)
        name, lines = metric.name, (f"{place}{value}" for place, value in samples if value is not None)
        head = f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n"
        while piece := list(islice(lines, _PIECE)):
            yield f"{head}{name}" + f"\n{name}".join(piece) + "\n"
            head = ""
    free(places)


def _labelled(items: Sequence[Item], values: Iterable[Sequence[tuple[str, Value]]]) -> Iterator[tuple[str, Value]]:
    for (about, _), several in zip(items, values, strict=True):
        for more, value in several:
            yield _place(f"{about},{more}".strip(",")), value


def _place(about: str) -> str:
    """What stands between a family's name and a value."""
    return f"{{{about}}} " if about else " "


def seconds(ns: int) -> str:
    """Nanoseconds as seconds, with nothing rounded away."""
    digits = str(ns) if ns > 999_999_999 else f"{ns:010}"  # to divide takes a quarter more
    return f"{digits[:-9]}.{digits[-9:]}"


def micro(us: int) -> str:
    """Microseconds as seconds."""
    return f"{us // 1_000_000}.{us % 1_000_000:06d}"
