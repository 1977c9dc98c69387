"""Recorded hosts for tests: the tree on top of what a real Xen answered."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from worlds import EVERYTHING

from xenfs.connect.opening import open_hypervisor
from xenfs.errors import HypercallError, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes import tree
from xenfs.nodes.tables.base import Dir, Each, File, Node
from xenfs.nodes.tables.contents import Shown, about_xen, contents
from xenfs.nodes.tables.reference import operations_of
from xenfs.nodes.tables.refusals import Refusals
from xenfs.recording.recorder import Recording
from xenfs.recording.replay import Mismatch, Replay

FOLDER = Path(__file__).parent / "recordings"
FILES = sorted(FOLDER.glob("*.json.gz"))
PENDING = FOLDER / "pending.txt"


def replay(recording: Recording, newer: list[str] | None = None) -> list[Shown]:
    """Everything that the tree shows now of what was recorded then.

    With `newer` also what is newer and asks what was asked then, such as another member of a struct; the paths of what
    asks anything else are added to it.
    """
    unknown: list[str] = []

    def wanted(path: str) -> bool:
        if path not in recording.sections and about_xen(path):
            unknown.append(path)
        return path in recording.sections

    def begin(path: str) -> None:
        backend.section(path)
        # Whether an entry is there that is newer than the recording, nobody answers: it is not.
        backend.unknown = errno.ENOSYS if path == "tree" or path.endswith("/") else 0

    backend = Replay(recording)
    xen = open_hypervisor(backend, pool_check=True)
    xen.recent.furthest = 1  # as when it was recorded
    try:
        begin("tree")
        root = _lenient(tree.build(xen, EVERYTHING, Refusals()))
        assert isinstance(root, Dir)
        shown = list(contents(xen, root, begin, wanted=wanted))
        for path in unknown if newer is not None else ():
            found = _answer(xen, root, path, begin)
            shown += [found] if found else []
            newer += [] if found else [path]
        return shown
    finally:
        xen.close()


def _answer(xen: Hypervisor, root: Node, path: str, begin: Callable[[str], None]) -> Shown | None:
    """What an entry shows that was not there when the recording was made; None where that was not recorded."""
    node, ids = root, ()
    begin("tree")
    try:
        for name in path.split("/"):
            found = node.child(xen, ids, name) if isinstance(node, Dir) else None
            if found is None:
                return None
            node, ids = found
        begin(path)
        return (
            Shown(path, node.produce(xen, ids).decode("utf-8", "surrogateescape")) if isinstance(node, File) else None
        )
    except (Mismatch, XenfsError):
        return None


def _lenient(node: Node) -> Node:
    """The same, where a condition that asks what was not recorded means that the entry is not there."""
    if isinstance(node, Dir):
        entries = [
            replace(each, node=_lenient(each.node)) if isinstance(each, Each) and isinstance(each.node, Node)
            else each if isinstance(each, Each)
            else _lenient(each)
            for each in node.entries
        ]  # fmt: skip
        node = replace(node, entries=entries)
    return node if node.only is None else replace(node, only=_answered(node.only))


def _answered(condition: Callable[..., bool]) -> Callable[..., bool]:
    def only(*args: Any) -> bool:
        try:
            return condition(*args)
        except HypercallError:
            return False

    return only


def recorded(recording: Recording) -> list[Shown]:
    """What was shown when the recording was made."""
    return [
        Shown(path, section.text, section.error)
        for path, section in recording.sections.items()
        if path not in ("", "sanity", "tree") and not path.endswith("/") and about_xen(path)
    ]


def pattern(path: str) -> str:
    """A path with the names that differ from host to host replaced by what they stand for."""
    path = re.sub(r"^domains/(by-name|by-uuid)/.*", r"domains/\1/<name>", path)
    path = re.sub(r"^host/pci/[^/]+", "host/pci/<sbdf>", path)
    return re.sub(r"(?<=/)\d+(?=/|$)", "<n>", path)


def pending() -> list[str]:
    """Patterns of entries that are newer than the recordings and ask what was not asked; short by recording again."""
    lines = PENDING.read_text().splitlines() if PENDING.exists() else []
    return [line for line in lines if line and not line.startswith("#")]


def is_pending(path: str) -> bool:
    """Whether no recording can have a path's pattern: it asks an operation that none has, or pending.txt names it.

    pending.txt names it, too, where it names a directory that it is in. Of a directory it is so where all in it is.
    """
    if any(f"{path.rstrip('/')}/".startswith(f"{each.rstrip('/')}/") for each in pending()):
        return True
    if path in _asked_by():
        return not _asked_by()[path] <= _recorded_operations()
    below = [each for each in _asked_by() if path.endswith("/") and each.startswith(path)]
    return bool(below) and all(map(is_pending, below))


@cache
def _asked_by() -> dict[str, frozenset[str]]:
    """The operations of every entry's pattern."""
    return {re.sub("<[a-z]>", "<n>", row.path): frozenset(operations_of(row.node)) for row in tree.reference()}


@cache
def _recorded_operations() -> frozenset[str]:
    """Those of all entries that any recording has."""
    patterns = {pattern(shown.path) for file in FILES for shown in recorded(Recording.load(file))}
    return frozenset().union(*(_asked_by().get(each, frozenset()) for each in patterns))
