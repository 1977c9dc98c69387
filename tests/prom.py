"""A strict reader of Prometheus's text format, written from its description and not from what writes it here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
_NUMBER = re.compile(r"[+-]?(\d+(\.\d+)?([eE][+-]?\d+)?|Inf)|NaN")
_PLAIN = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}

Labels = tuple[tuple[str, str], ...]


@dataclass
class Family:
    """A metric: what is said of it, and its samples in their order."""

    name: str
    help: str
    kind: str = ""
    samples: dict[Labels, str] = field(default_factory=dict)

    def value(self, **labels: str) -> float:
        """The one sample that has these labels, among others."""
        (found,) = [v for at, v in self.samples.items() if labels.items() <= dict(at).items()]
        return float(found)

    def sum(self, **labels: str) -> float:
        """The sum of all that have these labels."""
        return sum(float(v) for at, v in self.samples.items() if labels.items() <= dict(at).items())


def families(text: str) -> dict[str, Family]:
    """Every family by name; AssertionError where the text breaks the format, or a rule that any reader may rely on."""
    found: dict[str, Family] = {}
    now: Family | None = None
    assert text.endswith("\n")
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("# HELP "):
            name, _, said = line.removeprefix("# HELP ").partition(" ")
            assert re.fullmatch(_NAME, name), line
            assert name not in found, f"{name} comes in two places"
            assert said.endswith("."), line
            assert not now or now.samples, f"{now and now.name} has no samples"
            now = found[name] = Family(name, said)
        elif line.startswith("# TYPE "):
            name, kind = line.removeprefix("# TYPE ").split(" ")
            assert now, line
            assert name == now.name, line
            assert not now.kind, line
            assert kind in ("counter", "gauge"), line
            now.kind = kind
        else:
            _sample(now, line)
    assert all(family.kind and family.samples for family in found.values())
    return found


def _sample(family: Family | None, line: str) -> None:
    assert family, line
    assert line.startswith(family.name), line
    rest = line.removeprefix(family.name)
    labels: Labels = ()
    if rest.startswith("{"):
        inside, _, rest = rest[1:].rpartition("}")
        labels = _labels(inside, line)
    assert rest.startswith(" "), line
    assert _NUMBER.fullmatch(rest[1:]), line
    assert labels not in family.samples, f"twice: {line}"
    family.samples[labels] = rest[1:]


def _labels(inside: str, line: str) -> Labels:
    at, found = 0, []
    while at < len(inside):
        label = _LABEL.match(inside, at)
        assert label, line
        found.append((label[1], re.sub(r'\\[\\"n]', lambda escape: _PLAIN[escape[0]], label[2])))
        at = label.end()
    assert inside, line
    assert not inside.endswith(","), line
    assert len({name for name, _ in found}) == len(found), line
    return tuple(found)
