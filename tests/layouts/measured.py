"""What a C compiler measured in each release's headers: the golden data, release by release."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import xenfs
from xenfs.abi.layout import Layout

GOLDEN = Path(xenfs.__file__).parent / "hypervisor" / "simulator" / "golden"


@cache
def golden(arch: str) -> Any:
    return json.loads((GOLDEN / f"{arch}.json").read_text())


@cache
def structs(release: tuple[int, int], arch: str) -> dict[str, Layout]:
    """Every measured struct and union of a release, by its tag."""
    found = {}
    for name, ranges in golden(arch)["structs"].items():
        for entry in ranges:
            if _covers(entry, release):
                found[name] = Layout(entry["size"], {k: tuple(v) for k, v in entry["fields"].items()})
    return found


@cache
def constants(release: tuple[int, int], arch: str) -> dict[str, int]:
    """Every measured constant of a release."""
    ranges = golden(arch)["constants"].items()
    return {name: each["value"] for name, entries in ranges for each in entries if _covers(each, release)}


def _covers(entry: Any, release: tuple[int, int]) -> bool:
    return version(entry["since"]) <= release <= version(entry["until"])


def version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)
