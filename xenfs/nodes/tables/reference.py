"""What the reference says of each path, found in the tables and in the functions that they name. It is what the text
looks like, which operation of Xen's it is, since which release, and which errno values may come."""

from __future__ import annotations

import errno
import inspect
import json
import pkgutil
import re
import stat
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from xenfs import calls
from xenfs.abi.operations import Operation
from xenfs.abi.releases import RELEASES
from xenfs.nodes.tables.base import Dir, Exchange, File, Link, Node, Stream
from xenfs.nodes.tables.cost import NOTHING, Cost
from xenfs.nodes.tables.forms import form
from xenfs.nodes.tables.region import Region

PRESENCE = Path(__file__).with_name("presence.json")
ARCHES = ("x86_64", "arm64")
_RELEASES = [".".join(map(str, release)) for release in RELEASES]
_NAMES = frozenset(errno.errorcode.values())
_ABSENT = frozenset({"ENOSYS", "EOPNOTSUPP"})  # then there is no file that could say it


def mode_of(node: Node, needs: tuple[str, ...] = ()) -> str:
    """Permission bits, what the mount needs for them, and "size 0" of files that do not say 4096."""
    said = [f"{stat.S_IMODE(node.mode):04o}"]
    said += [f"with -o {option}" for option in dict.fromkeys(needs)]
    if isinstance(node, File) and node.write_option and node.read is not None:
        said.append(f"0{stat.S_IMODE(node.mode) & 0o444:03o} without -o {node.write_option}")
    if isinstance(node, File) and not isinstance(node, Region) and not node.size:
        said.append("size 0")
    return ", ".join(said)


def format_of(node: Node) -> str:
    """What can be read, and what can be written where that is something else."""
    if isinstance(node, Link):
        return "symbolic link"
    if not isinstance(node, File):
        return "mkdir, rmdir" if isinstance(node, Dir) and node.make else "rmdir"
    shown, taken = node.format or form(node.show).words, form(node.parse).words
    if isinstance(node, Exchange):
        return f"question: {taken}; answer: {shown}"
    if isinstance(node, Stream):
        return node.format or "growing text"
    if node.write is None:
        return shown
    if node.read is None:
        return f"write: {node.format or taken}"
    return shown if node.binary or taken in (shown, "text") else f"{shown}; write: {taken}"


def operations_of(node: Node) -> list[str]:
    """The operations behind it, each with its hypercall: "domctl pausedomain". In parentheses is what need not be
    asked, because another one has said it."""
    found, hypercall = [], ""
    for name in filter(None, re.split(r",\s*", getattr(node, "call", ""))):
        if name.startswith("("):
            found.append(name)
            continue
        hypercall, _, operation = name.rpartition(" ") if " " in name else (hypercall, "", name)
        found.append(f"{hypercall} {operation}".strip())
    return found


def errnos_of(node: Node) -> list[str]:
    """Names of the errno values that reading or writing it may give, beside those that any file may."""
    found = set(getattr(node, "errnos", "").split())
    if isinstance(node, File) and node.write is not None:
        taken = form(node.parse)
        found |= {"ERANGE"} if taken.ranged else set()
        found |= set() if taken.anything or node.binary else {"EINVAL"}
    for operation in operations_of(node):
        found |= _errnos_by_operation().get(operation, set())
    return sorted(found - _ABSENT)


def cost_of(node: Node) -> str:
    """What the work behind it grows with, in words; empty where that is nothing."""
    said = {
        "listing": getattr(node, "grows", NOTHING) if isinstance(node, Dir) else NOTHING,
        "finding a name": getattr(node, "find_grows", NOTHING),
        "reading": NOTHING if isinstance(node, Dir) else getattr(node, "grows", NOTHING),
        "writing": node.write_grows if isinstance(node, File) and node.write is not None else NOTHING,
    }
    return "; ".join(
        f"{what} {cost.words if isinstance(cost, Cost) else 'goes by what is written'}"
        for what, cost in said.items()
        if cost is not NOTHING
    )


@cache
def _errnos_by_operation() -> dict[str, set[str]]:
    """From an operation to the errno values in the docstrings of the functions that make it."""
    found: dict[str, set[str]] = {}
    for _, name, _ in pkgutil.iter_modules(calls.__path__, f"{calls.__name__}."):
        module = import_module(name)
        for function in vars(module).values():
            if inspect.isfunction(function) and function.__module__ == name:
                said = set(re.findall(r"\bE[A-Z0-9]{2,}\b", function.__doc__ or "")) & _NAMES
                for operation in _made_by(module, function):
                    found.setdefault(operation, set()).update(said)
    return found


def _made_by(module: ModuleType, function: Callable[..., Any]) -> Iterator[str]:
    pending: list[CodeType] = [function.__code__]
    while pending:
        code = pending.pop()
        pending += [const for const in code.co_consts if isinstance(const, CodeType)]
        for name in code.co_names:
            operation = getattr(module, name, None)
            if isinstance(operation, Operation):
                yield operation.name


@cache
def presence() -> dict[str, dict[str, list[str]]]:
    """By path and architecture, the first and the last release that has it: of paths that not every one has."""
    loaded: dict[str, dict[str, list[str]]] = json.loads(PRESENCE.read_text(encoding="utf-8"))
    return loaded


def since_of(path: str) -> str:
    """Which releases have it: "4.14", "4.15, x86_64 only", "4.14, arm64 4.17", "4.17 to 4.21"."""
    everywhere = [_RELEASES[0], _RELEASES[-1]]
    found = presence().get(path, dict.fromkeys(ARCHES, everywhere))
    said = {arch: _span(*found[arch]) for arch in ARCHES if arch in found}
    if not said:
        return "not in these releases"
    first = next(iter(said))
    if len(said) == 1:
        return f"{said[first]}, {first} only"
    other = said[ARCHES[1]]
    return said[first] if said[first] == other else f"{said[first]}, {ARCHES[1]} {other}"


def _span(first: str, last: str) -> str:
    return first if last == _RELEASES[-1] else first if first == last else f"{first} to {last}"
