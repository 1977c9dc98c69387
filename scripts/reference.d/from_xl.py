"""docs/from-xl.md: what takes the place of an everyday command. tests/mounted/test_examples.py runs every one."""

from __future__ import annotations

import csv
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

_INTRO = """\
# From xl and its kin

What you type today, and what does the same in a mount. `scripts/reference` makes this page from
`scripts/reference.d/from_xl.tsv`. `tests/mounted/test_examples.py` runs every command of the second column on the
simulator, but for those that need a file of yours or a host of another kind. Tests in a real dom0 compare both
columns ([the last section](#what-no-test-compares) says of which rows none does), and compare this list with what
`xl help` and `xentop` list there. Paths are relative to the mount: `cd /run/xenfs` first. Domains
are those of the simulated host: put your own in their place.

An empty second column means that xenfs has no such file: go on using that command. xl is the toolstack: the program
that makes guests, and keeps their configuration.

"""


class Twin(NamedTuple):
    """A command of another tool, what does the same here (empty where nothing does), and what to know about it.

    `host` has the settings of the simulator that it is run with, where the usual ones do not have it, or "not run".
    `compared` is the test of tests/xen that compares the two on a real Xen, as file::test, or why none does.
    """

    tool: str
    command: str
    here: str
    note: str
    host: str
    compared: str

    @property
    def alone(self) -> bool:
        """Whether no test compares what the two do, though both do it."""
        return bool(self.here) and "::" not in self.compared


def twins() -> list[Twin]:
    """Every row of the table."""
    with Path(__file__).with_name("from_xl.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(rows)
        return [Twin(*row) for row in rows]


def text() -> str:
    """The whole page."""
    parts = [_INTRO.rstrip()]
    for tool, group in groupby(twins(), key=lambda twin: twin.tool):
        lines = [
            f"| `{twin.command}` | {f'`{twin.here}`' if twin.here else ''} | {_told(twin.note)} |" for twin in group
        ]
        parts.append("\n".join([f"## {tool}", "", "| command | in the mount | to know |", "|---|---|---|", *lines]))
    parts.append(_uncompared())
    return "\n\n".join(parts) + "\n"


def _uncompared() -> str:
    reasons: dict[str, list[str]] = {}
    for twin in twins():
        if twin.alone:
            reasons.setdefault(twin.compared, []).append(f"`{twin.command}`")
    lines = [f"| {', '.join(commands)} | {why} |" for why, commands in reasons.items()]
    return "\n".join(["## What no test compares", "", "| command | why not |", "|---|---|", *lines])


def _told(note: str) -> str:
    return note.replace("<", "\\<").replace("|", "\\|")
