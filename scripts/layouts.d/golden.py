"""Golden data: adding what a release's headers say to what is known of the others, and the file as it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


def text(golden: dict[str, Any]) -> str:
    """The file: a line for each struct and constant, or one for each range of releases that has another."""
    return "{\n" + ",\n".join(f'"{key}": {_part(key, golden[key])}' for key in golden) + "\n}\n"


def _part(key: str, value: Any) -> str:
    if not isinstance(value, dict) or key == "measured":
        return json.dumps(value)
    return "{\n" + ",\n".join(f" {json.dumps(name)}: {_entries(value[name])}" for name in value) + "\n}"


def _entries(value: Any) -> str:
    if isinstance(value, dict) or len(value) == 1:
        return json.dumps(value)
    return "[\n" + ",\n".join(f"  {json.dumps(each)}" for each in value) + "\n ]"


def add(golden: dict[str, Any], kind: str, name: str, release: str, found: Entry) -> list[str]:
    """Note what one release has under a name, a struct's or a constant's; the releases that nothing is known of.

    Where the releases before and after an unknown one agree, it is taken to be like them: nothing came and went twice.
    """
    releases: list[str] = golden["releases"]
    known: list[Entry | None] = [
        next((each for each in golden[kind].get(name, ()) if _within(releases, each, number)), None)
        for number in range(len(releases))
    ]
    known[releases.index(release)] = found
    for number, each in enumerate(known):
        before = next((other for other in reversed(known[:number]) if other), None)
        after = next((other for other in known[number + 1 :] if other), None)
        if each is None and before and after and _what(before) == _what(after):
            known[number] = after
    golden[kind][name] = list(_ranges(releases, known))
    golden[kind] = dict(sorted(golden[kind].items()))
    return [release for release, each in zip(releases, known, strict=True) if each is None]


def _within(releases: list[str], entry: Entry, number: int) -> bool:
    return releases.index(entry["since"]) <= number <= releases.index(entry["until"])


def _what(entry: Entry) -> Entry:
    return {key: value for key, value in entry.items() if key not in ("since", "until")}


def _ranges(releases: list[str], known: list[Entry | None]) -> Iterator[Entry]:
    """Runs of releases that have the same."""
    first = 0
    while first < len(releases):
        start = known[first]
        last = first
        while start and last + 1 < len(releases) and (more := known[last + 1]) and _what(more) == _what(start):
            last += 1
        if start:
            yield {"since": releases[first], "until": releases[last], **_what(start)}
        first = last + 1


def load(path: Path) -> dict[str, Any]:
    """The golden data of an architecture."""
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded
