"""docs/coverage.md: for every operation that is wanted the files that are it, and where they were seen.

What there is comes from the tables of xenfs/abi/operations; which files are an operation, from operations.tsv, or from
what a file says that it asks, where that has no line. What was seen comes from the recordings of real Xens
(tests/recordings), from what the acceptance tests noted there (tests/xen/seen), and from comparisons with Xen's own
tools (tests/xen/*.py).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import NamedTuple

import simulated

from xenfs.abi import load
from xenfs.abi.layout import version
from xenfs.abi.operations import Does, Operation, operations
from xenfs.nodes import tree
from xenfs.nodes.tables import reference
from xenfs.nodes.tables.base import Node
from xenfs.nodes.tables.reference import ARCHES
from xenfs.recording.recorder import Recording

CHECKOUT = Path(__file__).resolve().parents[2]
_INTRO = """\
# What is covered

The operations of Xen that administrators and monitoring use, and the files that are them: made by `scripts/reference`
from the tables, by asking the simulator of every release and architecture, from the recordings of real Xens
(`tests/recordings`), from what the acceptance tests noted in a dom0 (`tests/xen/seen`), and from their comparisons with
Xen's own tools. A file that is written and read is in two lines where these are two operations.

- **Simulated**: releases whose simulator has the files, all of them unless it says so.
- **Real Xen**: where one of the files answered, or took such a write: release, and `arm64` where it was that.
  "No" says what it takes, and these machines have not. "Not noted" says that no recording and no note has it, not that
  it was never tried.
- **Peer**: the tool of Xen's that the acceptance tests compare with.
"""


_KNOWN = tuple(simulated.RELEASES)
_MOST_NAMED = 20  # of one directory: beyond, a star stands for them


class Use(NamedTuple):
    """How a file is used for an operation: r, w, mkdir or rmdir, and the word that is written; or an operation that was
    made, whichever file it was for."""

    how: str
    path: str
    word: str = ""


class Wanted(NamedTuple):
    """A line of operations.tsv."""

    hypercall: str
    operation: str
    tier: str
    since: str
    uses: tuple[Use, ...]
    lacks: str


def wanted() -> list[Wanted]:
    """Every operation that there is to be a file for: those with a line, then others that files name."""
    found = _with_a_line()
    known = {_declared(each.hypercall, each.operation) for each in found}
    return [*found, *(_by_its_files(op, nodes) for op, nodes in _asked().items() if op not in known)]


def _asked() -> dict[Operation, list[tree.Row]]:
    """The files outside of raw/ that say that they ask an operation."""
    found: dict[Operation, list[tree.Row]] = {}
    for each in tree.reference():
        for name in () if each.path.startswith("raw/") else reference.operations_of(each.node):
            hypercall, _, word = name.partition(" ")
            if (op := declared().get((hypercall, word.lower()))) and op.name != "multicall batch":  # how, not what
                found.setdefault(op, []).append(each)
    return found


def _by_its_files(op: Operation, files: list[tree.Row]) -> Wanted:
    how = "r" if op.does is Does.LOOKS else "w"
    tier = min(each.node.tier for each in files)
    uses = tuple(Use(how, each.path) for each in files)
    return Wanted(op.hypercall.name, op.word, tier, _releases(op)[0], uses, "")


def _with_a_line() -> list[Wanted]:
    found = []
    for line in (CHECKOUT / "scripts/reference.d/operations.tsv").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            hypercall, operation, tier, uses, lacks, *_ = [*line.split("\t"), "", ""]
            since = _releases(_declared(hypercall, operation))[0]
            found.append(Wanted(hypercall, operation, tier, since, tuple(_uses(uses)), lacks))
    return found


@cache
def declared() -> dict[tuple[str, str], Operation]:
    """Every operation that the tables have and that is not several, by hypercall and word in small letters."""
    return {(op.hypercall.name, op.word.lower()): op for whole in operations() for op in whole.leaves()}


def _declared(hypercall: str, words: str) -> Operation:
    """The operation that a line means; its last word may say which half of one is meant ("get_max_cstate 1")."""
    known = declared()
    whole = words.lower()
    return known.get((hypercall, whole)) or known[hypercall, whole.rpartition(" ")[0]]


@cache
def _releases(op: Operation, arches: tuple[str, ...] = ARCHES) -> tuple[str, ...]:
    """The releases that have it, on any of these architectures."""
    targets = {release: [load(version(release), arch).target for arch in arches] for release in _KNOWN}
    return tuple(release for release in _KNOWN if any(op.exists(each) for each in targets[release]))


def _uses(text: str) -> Iterator[Use]:
    """Each named file as the reference spells it: what stands between < and > is the tables' affair."""
    for each in text.split(", "):
        how, _, path = each.partition(" ")
        path, _, word = path.partition("=")
        shape = re.escape(re.sub("<[^>]*>", "<>", path)).replace("<>", "<[^>]*>").replace(r"\*", "[^/]+")
        for found in [node for node in _nodes() if re.fullmatch(shape, node)] or [path]:
            yield Use(how, found, word)


_SCHEDULERS = ("credit", "credit2", "rtds", "arinc653", "null")


class Evidence(NamedTuple):
    """What was seen on one real Xen: (how, path, word), paths as the reference has them; the host's scheduler."""

    release: str
    arch: str
    uses: frozenset[Use]
    scheduler: str


@cache
def evidence() -> list[Evidence]:
    """By release and architecture, oldest first."""
    merged: dict[tuple[str, str], tuple[set[Use], str]] = {}
    for release, arch, uses, scheduler in (*_recorded(), *_noted()):
        before, named = merged.get((release, arch), (set(), ""))
        merged[release, arch] = before | uses, scheduler or named
    order = sorted(merged, key=lambda each: (each[1] != ARCHES[0], simulated.RELEASES.index(each[0])))
    return [Evidence(*each, frozenset(merged[each][0]), merged[each][1]) for each in order]


def _recorded() -> Iterator[tuple[str, str, set[Use], str]]:
    for file in sorted((CHECKOUT / "tests/recordings").glob("*.json.gz")):
        release, arch = file.name.removesuffix(".json.gz").split("-")
        sections = Recording.load(file).sections
        paths = (row(path) for path, section in sections.items() if section.text is not None and not section.error)
        scheduler = sections["host/scheduler"].text or "" if "host/scheduler" in sections else ""
        yield release, arch, {Use("r", path) for path in paths if path}, scheduler.strip()


def _noted() -> Iterator[tuple[str, str, set[Use], str]]:
    for file in sorted((CHECKOUT / "tests/xen/seen").glob("*.txt")):
        _, release, arch = file.stem.split("-")
        lines = [line.split(" ") for line in file.read_text().splitlines() if not line.startswith("#")]
        uses = {
            Use(how, path, word)
            for how, node, word, *_ in ([*line, ""] for line in lines if line[0] != "scheduler")
            if (path := node if how == "made" else row(node + "/" * how.endswith("dir")))
        }
        yield release, arch, uses, next((line[1] for line in lines if line[0] == "scheduler"), "")


@cache
def _shapes() -> list[tuple[re.Pattern[str], str]]:
    """A pattern for each path of the reference, those with fewer places for anything before others."""
    rows = [each.path for each in (*tree.reference(), *tree.directories())]
    rows.sort(key=lambda path: path.count("<"))
    return [(re.compile(re.sub(r"<[^>]*>", "[^/]+", re.sub(r"([.+^$()*?])", r"\\\1", path))), path) for path in rows]


@cache
def row(path: str) -> str:
    """The reference's path for one that was seen; empty where there is none (any more)."""
    path = re.sub(r"^hypfs/.+", "hypfs/<name>", path)
    return next((pattern for shape, pattern in _shapes() if shape.fullmatch(path)), "")


_TOOL = re.compile(r"(xl|xen|flask-|lsevtchn|cat /(proc|sys)/)[\w/. -]*")


@cache
def peers() -> dict[str, set[str]]:
    """By path, what the acceptance tests compare it with: rows of tables, calls that begin with a node and a command;
    and tests that ask for a peer, whose nodes and commands belong together."""
    found: dict[str, set[str]] = {}
    for file in sorted((CHECKOUT / "tests/xen").glob("*.py")):
        parsed = ast.parse(file.read_text(encoding="utf-8"))
        for call in (each for each in ast.walk(parsed) if isinstance(each, ast.Call)):
            words = [_text(arg) for arg in call.args[:2]]
            if len(words) == 2 and _TOOL.fullmatch(words[1]) and (path := row(words[0].partition(":")[0])):
                found.setdefault(path, set()).add(words[1])
        for function in (each for each in ast.walk(parsed) if isinstance(each, ast.FunctionDef)):
            if any(argument.arg == "peers" for argument in function.args.args):
                for path in _nodes_in(function):
                    found.setdefault(path, set()).update(_tools_in(function))
    return found


def _text(node: ast.expr) -> str:
    """A string as it stands there, a star for what is filled in; empty for anything else."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "*" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _nodes_in(function: ast.FunctionDef) -> set[str]:
    """Paths in arguments of calls; what a guest is asked for lies in a domain's directory."""
    found = set()
    for call in (each for each in ast.walk(function) if isinstance(each, ast.Call) and each.args):
        text = _text(call.args[0])
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        found.add(row(f"domains/*/{text}" if name == "node" else text if "/" in text else ""))
    return found - {""}


def _tools_in(function: ast.FunctionDef) -> set[str]:
    """Commands: said("xl list -v"), xl("pause", ...), xl_state(...)."""
    found = set()
    for call in (each for each in ast.walk(function) if isinstance(each, ast.Call) and each.args):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        text = _text(call.args[0])
        if name == "xl_state":
            found.add("xl list -v")
        elif name == "xl" and text:
            found.add(f"xl {text}")
        elif name == "said" and _TOOL.fullmatch(text):
            found.add(text)
    return found


def text() -> str:
    """The whole page."""
    lines = [
        _INTRO,
        "| Hypercall | Operation | Tier | Files | Simulated | Real Xen | Peer |",
        "|---|---|---|---|---|---|---|",
    ]
    counted = {"a file": 0, "simulated": 0, "seen on a real Xen": 0, "compared with a peer": 0}
    named = wanted()
    for each in named:
        cells = _cells(each)
        for name, yes in zip(counted, (_there(each), cells[4] != "-", _seen(each), cells[6] != "none"), strict=True):
            counted[name] += bool(yes)
        lines.append(f"| {' | '.join(cells)} |")
    total = ", ".join(
        f"{count} have {name}" if name == "a file" else f"{count} are {name}" for name, count in counted.items()
    )
    return "\n".join([*lines, "", f"Of {len(named)} operations {total}.", "", *_every(named), ""])


_EVERY = """\
## Every operation of Xen

All that the tables in `xenfs/abi/operations` have. With `-o raw` each is a file of its own below `raw/`. Those that can
be made only as a bare hypercall say why. Where the first table has files, `raw/` is a second way.
"Made on real Xen" says where Xen did what it was asked for in the acceptance tests, whichever file asked. "No" says why
it was not. "No: as said" is for what only `raw/hypercall` reaches, for the reason beside it.

| Hypercall | Operation | It | x86_64 | arm64 | Reached | Made on real Xen |
|---|---|---|---|---|---|---|"""
_NOT_NOTED = "not noted"
_AS_SAID = "no: as said"
# What is one operation in Xen's own headers, and two lines here, as one of them looks or is another way to ask; and
# what is two there for its argument, and one line here.
_SECOND = re.compile(
    "sysctl readconsole clear|domctl gdbsx_guestmemio write|dm_op get_ioreq_server_info no_gfns"
    "|domctl monitor_op (DISABLE .*|ENABLE INTERRUPT)"
)
_OTHERWISE = """\
Counted as Xen's headers have them, Xen {release} has {number}. The difference: what looks and what changes are two
lines here, where one member decides it (`readconsole`, `gdbsx_guestmemio`, `get_ioreq_server_info`). So are enabling
and disabling each event of `monitor_op`; `INTERRUPT` is there too, which Xen only announces. The two questions of
`get_max_cstate`, `set_max_cstate` and `get_domain_state` are one."""
_BOTH = frozenset({"sysctl pm_op get_max_cstate", "sysctl pm_op set_max_cstate", "domctl get_domain_state"})
_DOES = {Does.LOOKS: "looks", Does.CHANGES: "changes", Does.ENDS: "ends a domain"}


def _every(named: list[Wanted]) -> Iterator[str]:
    files: dict[Operation, list[Wanted]] = {}
    for each in named:
        files.setdefault(_declared(each.hypercall, each.operation), []).append(each)
    yield _EVERY
    newest = bare = made = unknown = 0
    for op in declared().values():
        row = tuple(_row(op, files.get(op, [])))
        newest += _KNOWN[-1] in _releases(op)
        bare += bool(op.bare)
        made += not row[-1].startswith("no")
        unknown += row[-1] == _NOT_NOTED
        yield f"| {' | '.join(row)} |"
    yield ""
    yield f"{len(declared())} operations, {newest} of them in Xen {_KNOWN[-1]}: {len(files)} have files of their own,"
    yield f"{len(declared()) - len(files) - bare} more are in `raw/` alone, {bare} in `raw/hypercall` alone."
    yield f"{made} were made on a real Xen. Of {len(declared()) - made - unknown} others the table says why not."
    yield ""
    yield from _counted_otherwise([op for op in declared().values() if _KNOWN[-1] in _releases(op)])


def _counted_otherwise(newest: list[Operation]) -> Iterator[str]:
    """Why Xen's own way to count gives another number."""
    second = [op for op in newest if _SECOND.fullmatch(op.name)]
    both = [op for op in newest if op.name in _BOTH]
    yield _OTHERWISE.format(release=_KNOWN[-1], number=len(newest) - len(second) + len(both))


def _row(op: Operation, named: list[Wanted]) -> Iterator[str]:
    yield op.hypercall.name
    yield op.word or op.hypercall.name
    yield _DOES[op.does] + ("; may end the host" if op.dangerous else "")
    for arch in ARCHES:
        known = _releases(op, (arch,))
        yield f"{known[0]}-{known[-1]}" if len(known) > 1 else known[0] if known else "-"
    path = f"raw/{op.hypercall.name}/{op.word.replace(' ', ':')}"
    if op.bare:
        yield f"`raw/hypercall` only: {op.bare}"
    else:
        yield ("files above, " if named else "") + ("`raw/multicall`" if op.name == "multicall batch" else f"`{path}`")
    made = f"{op.hypercall.name}:{op.word.replace(' ', ':')}".removesuffix(":")
    raw = Wanted(op.hypercall.name, op.word, "D", "", (Use("w", path), Use("made", made)), "")
    seen = {release: None for each in (*named, raw) for release in _seen(each)}
    yield ", ".join(seen) or _why_not(op)


def _why_not(op: Operation) -> str:
    """Why the tests have not made it; for those that raw/hypercall alone reaches, the reason stands beside it."""
    reason = reasons().get(op, "") or ("" if op.never_if else op.never)
    return f"no: {reason}" if reason else _AS_SAID if op.bare else _NOT_NOTED


@cache
def reasons() -> dict[Operation, str]:
    """What says operations.tsv that an operation takes, or unmade.tsv why it was not made."""
    lines = ((_declared(each.hypercall, each.operation), each.lacks) for each in wanted() if each.lacks)
    return unmade() | {op: f"it takes {lacks}" for op, lacks in lines}


@cache
def unmade() -> dict[Operation, str]:
    """The operations of unmade.tsv, where a word with * at its end stands for all that begin so, with their reasons."""
    found: dict[Operation, str] = {}
    for line in (CHECKOUT / "scripts/reference.d/unmade.tsv").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            hypercall, word, reason = line.split("\t")
            meant = [op for op in declared().values() if op.hypercall.name == hypercall and fnmatchcase(op.word, word)]
            assert meant, line
            found |= dict.fromkeys(meant, reason)
    return found


def _cells(each: Wanted) -> tuple[str, ...]:
    real = ", ".join(_seen(each)) or _why_not(_declared(each.hypercall, each.operation))
    return (each.hypercall, each.operation, each.tier, _files(each), _simulated(each), real, _peers(each))


@cache
def _nodes() -> dict[str, Node]:
    return {each.path: each.node for each in (*tree.reference(), *tree.directories())}


def _there(each: Wanted) -> list[Use]:
    return [use for use in each.uses if use.path in _nodes()]


def _files(each: Wanted) -> str:
    found = _there(each)
    if not found:
        return "none yet"
    if len(found) > _MOST_NAMED:
        found = [found[0]._replace(path=f"{found[0].path.rpartition('/')[0]}/*")]
    ways = {"r": "", "w": " (write)", "mkdir": " (mkdir)", "rmdir": " (rmdir)"}
    said = ", ".join(f"`{use.path}`{ways[use.how]}" for use in found)
    wanted_call = f"{each.hypercall} {each.operation.split(' ')[0]}"
    calls = {operation for use in _there(each) for operation in reference.operations_of(_nodes()[use.path])}
    others = sorted(call for call in calls if not call.startswith("("))
    named = any(call == wanted_call or call.startswith(f"{wanted_call} ") for call in calls)
    return said if named or not others else f"{said}; asked otherwise: {', '.join(others)}"


def _simulated(each: Wanted) -> str:
    said = []
    for arch in ARCHES:
        has = [
            release
            for release in simulated.RELEASES
            if any(use.path in simulated.found()[release, arch] for use in each.uses)
            and not _before(release, each.since)
        ]
        if has:
            said.append(f"{has[0]}-{has[-1]} {arch}" if len(has) > 1 else f"{has[0]} {arch}")
    both = {entry.split(" ")[0] for entry in said}
    return "-" if not said else both.pop() if len(said) == len(ARCHES) and len(both) == 1 else ", ".join(said)


def _seen(each: Wanted) -> list[str]:
    """The real Xens where one of its uses was seen."""
    return [
        found.release if found.arch == ARCHES[0] else f"{found.release} {found.arch}"
        for found in evidence()
        if not _before(found.release, each.since) and any(_covers(found, use) for use in each.uses)
    ]


def _covers(found: Evidence, use: Use) -> bool:
    return any(
        seen.how == use.how and seen.path == use.path and use.word in ("", _word(found, seen)) for seen in found.uses
    )


def _word(found: Evidence, seen: Use) -> str:
    """What was written; of what a scheduler holds, that scheduler, which is the host's where nothing else is noted."""
    if "/sched/" not in seen.path:
        return seen.word
    return seen.word if seen.word in _SCHEDULERS else found.scheduler


def _peers(each: Wanted) -> str:
    found = sorted({tool for use in each.uses for tool in peers().get(use.path, ())})
    return ", ".join(found) or "none"


def _before(release: str, since: str) -> bool:
    return bool(since) and simulated.RELEASES.index(release) < simulated.RELEASES.index(since)


def missing() -> list[str]:
    """Files that operations.tsv names and that nobody has written yet."""
    there = _nodes()
    return sorted({use.path for each in wanted() for use in each.uses if use.path not in there})
