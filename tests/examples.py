"""The examples that pages print: found in the pages, typed into a shell on a mounted simulator, and compared."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from patience import PATIENCE_S

CHECKOUT = Path(__file__).resolve().parents[1]
_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- (not run|no block below is run): (.+?) -->", re.DOTALL)
_END = "\x1e"  # between what two commands print


class Block(NamedTuple):
    """Indented lines of a page; `excuse` says why they are not run, as the page's source does."""

    lines: list[str]
    excuse: str


def pages() -> list[Path]:
    """Every page that may have examples."""
    return [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]


def blocks(text: str) -> Iterator[Block]:
    """Every indented block that is not part of a list. A mark holds for the blocks right below it, or for the page."""
    mark, below, listed = "", "", False
    for paragraph in re.split(r"\n{2,}", _FENCED.sub("", text).strip("\n")):
        lines = paragraph.splitlines()
        if said := _MARK.fullmatch(paragraph):
            mark, below = said[2], said[2] if said[1].startswith("no block") else below
        elif not all(line.startswith("    ") for line in lines):
            mark = ""
            listed = bool(re.match(r"[-*] |\d+\. ", paragraph)) or (listed and paragraph.startswith(" "))
        elif not listed:
            yield Block([line[4:] for line in lines], mark or below)


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """(command, the lines that it prints) of a block with prompts."""
    found: list[tuple[str, list[str]]] = []
    for line in block.lines:
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def typed(where: Path, given: list[str], beside: Path) -> list[list[str]]:
    """What each of these prints, in one shell, whose /run/xenfs is `where`; `beside` has the command `xenfs`."""
    command = beside / "xenfs"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m xenfs "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    script = "exec 2>&1\n" + "".join(f"{each}\nprintf '{_END}'\n" for each in given)
    done = subprocess.run(
        ["bash", "--norc", "-c", script.replace("/run/xenfs", str(where))],
        cwd=where, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False,
        env={**os.environ, "PATH": f"{beside}:{os.environ['PATH']}", "PYTHONPATH": str(CHECKOUT), "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    said = re.sub(r"bash: line \d+:", "bash:", done.stdout.replace(str(where), "/run/xenfs"))
    return [part.splitlines() for part in said.split(_END)[:-1]]


def same(printed: list[str], page: list[str]) -> bool:
    """Whether a page shows what was printed; "…" stands for what is another each time, or on a line alone for lines."""
    pattern = "".join("(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in page)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None
