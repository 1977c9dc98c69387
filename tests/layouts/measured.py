"""What a C compiler measured in each release's headers: the golden data, release by release."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import xenfs
from xenfs.abi.layout import Layout, measured_constants, measured_layouts

GOLDEN = Path(xenfs.__file__).parent / "simulator" / "golden"


@cache
def golden(arch: str) -> Any:
    return json.loads((GOLDEN / f"{arch}.json").read_text())


@cache
def structs(release: tuple[int, ...], arch: str) -> dict[str, Layout]:
    return measured_layouts(golden(arch), release)


@cache
def constants(release: tuple[int, ...], arch: str) -> dict[str, int]:
    return measured_constants(golden(arch), release)
