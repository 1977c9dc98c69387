"""Which nodes answered on a real Xen, and which took a write: noted while the suite runs, for docs/coverage.md.

With $XENFS_OUT set (scripts/on-xen --out DIR) a run adds what it saw to seen-RELEASE-ARCH.txt there; what is in
tests/xen/seen/ came about so.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HEAD = (
    "# What the acceptance tests saw on a real Xen: r read, w written, with the word where one was, mkdir, rmdir, made."
)
# Of what a scheduler holds, the word is that scheduler.
_WORD = re.compile(r"[a-z_]{1,20}|[01]")
_noted: set[str] = set()
_file: Path | None = None
_scheduler = ""


def begin(release: str, arch: str, scheduler: str) -> None:
    """From now on what is noted goes into the file of this Xen, where there is a place for it."""
    global _file, _scheduler
    _scheduler = scheduler
    if folder := os.environ.get("XENFS_OUT"):
        _file = Path(folder, f"seen-{release}-{arch}.txt")
        _noted.update(_file.read_text().splitlines() if _file.exists() else [])
        _add(HEAD)
        _add(f"scheduler {scheduler}")


@contextmanager
def under(scheduler: str) -> Iterator[None]:
    """What is noted meanwhile is of a pool that has this scheduler."""
    global _scheduler
    before, _scheduler = _scheduler, scheduler
    try:
        yield
    finally:
        _scheduler = before


def note(how: str, node: str, text: str | bytes = b"") -> None:
    """A node answered, or took this text."""
    word = (text if isinstance(text, str) else text.decode("utf-8", "replace")).strip().split(" ")[0]
    kind = word[0] if word[:1] in ("+", "-") else word if _WORD.fullmatch(word) else ""
    _add(f"{how} {pattern(node)} {_scheduler if '/sched/' in node else kind}".strip())


def note_one(operation: str) -> None:
    """Xen did an operation that counts under another name: "sched_op:yield" by raw/hypercall."""
    _add(f"made {operation}")


def note_made(stat: str, in_vain: Counter[str]) -> None:
    """Operations that Xen did what was asked of: those of xenfs/calls/stat that neither failed nor were `in_vain` each
    time. A multicall is noted as that alone, whatever became of its calls."""
    for line in stat.splitlines():
        name, count, errors, *_ = line.split()
        if int(count.removeprefix("count=")) > int(errors.removeprefix("errors=")) + in_vain[name]:
            _add(f"made {name}")


_COUNTING = ("increase_reservation", "decrease_reservation", "populate_physmap", "resource_op:MSR_READ")


def is_in_vain(path: str, answer: str) -> bool:
    """Whether Xen did nothing of a question below raw/ though the hypercall did not fail: the answer itself says so.

    So grants have a status below zero and EFI has one that is not 0, and others say how much was done: none.
    """
    said = dict(line.split(" ", 1) for line in answer.splitlines() if " " in line)
    family, _, word = path.partition("/")
    if word in ("setup_table", "get_status_frames"):
        return said["status"] != "0" or "frame_list" not in said  # of none it gave none
    if family == "grant_table_op":
        return said.get("status", "0").startswith("-")
    if word.startswith("efi_runtime_call"):
        return said.get("status", "0") != "0"
    if word in _COUNTING:
        return said["result"] == "0"
    if family in ("mmu_update", "mmuext_op"):
        return "done" in said and not int(said["done"], 16)
    if word == "add_to_physmap_batch":
        errors = said.get("errs", "")
        return bool(errors) and all(int(errors[at : at + 8], 16) for at in range(0, len(errors), 8))
    return said.get("nr_exchanged") == "0"


def pattern(node: str) -> str:
    """A path with numbers and names of this machine taken out."""
    node = re.sub(r"^domains/(by-name|by-uuid)/[^/]*", r"domains/\1/*", node)
    return re.sub(r"(?<=/)(\d+|0x[0-9a-f]+)(?=/|$)", "*", node.strip("/"))


def _add(line: str) -> None:
    """At once, so that a run that does not end has been of use."""
    if _file is not None and line not in _noted:
        _noted.add(line)
        with _file.open("a") as out:
            out.write(f"{line}\n")
