"""`xenfs describe PATH`: all that the tables say about one path."""

from __future__ import annotations

import argparse
import errno
from collections.abc import Iterator

from xenfs.cli.paths import Match, inside, match_of, shapes
from xenfs.errors import XenfsError
from xenfs.nodes.policy.tellers import TELLERS
from xenfs.nodes.tables import reference
from xenfs.nodes.tables.base import Dir, Exchange, File, Stream
from xenfs.nodes.tables.refusals import Refusals
from xenfs.nodes.tables.region import Region
from xenfs.nodes.tree import whole
from xenfs.options import Options

TIERS = {"A": "daily", "B": "regular", "C": "rare, dangerous or for debugging", "D": "only through raw/"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `xenfs describe`."""
    parser.add_argument("path", metavar="PATH", help="such as domains/3/freeze, domains/<d>/freeze or /run/xenfs/host")


def run(args: argparse.Namespace) -> int:
    """Print what there is to say; XenfsError when no table has such a path."""
    match = match_of(whole(Options(), Refusals()), inside(args.path))
    if match is None:
        raise XenfsError(f"the tree has no {args.path}: xenfs tree lists what it has", errno.ENOENT)
    print("\n".join(described(match)))
    return 0


def described(match: Match) -> Iterator[str]:
    """The lines about one entry."""
    yield match.pattern or "/"
    yield f"  {match.node.help}."
    for label, said in _facts(match):
        yield f"  {label:<10} {said}"
    if isinstance(match.node, Dir):
        below = [(label + "/" * isinstance(node, Dir), node) for e in match.node.entries for label, node in shapes(e)]
        width = max((len(label) for label, _ in below), default=0)
        yield from (f"    {label:<{width}}  {node.help}" for label, node in below)


def _facts(match: Match) -> Iterator[tuple[str, str]]:
    node = match.node
    changed = isinstance(node, Dir) and (node.make or node.remove)
    needs = (
        (*match.options, node.make_option) if isinstance(node, Dir) and changed and node.make_option else match.options
    )
    yield "mode", reference.mode_of(node, needs)
    yield "tier", f"{node.tier} ({TIERS[node.tier]})"
    if isinstance(node, File):
        yield "use", _use(node)
        if not isinstance(node, Region):
            yield "size", f"{node.size}" if node.size else "0: it may be longer than a page, or is not there yet"
    if changed or not isinstance(node, Dir):
        yield "format", reference.format_of(node)
    if operations := reference.operations_of(node):
        yield "hypercall", ", ".join(operations)
    if changed or not isinstance(node, Dir):
        yield "since", f"Xen {reference.since_of(match.pattern + '/' * isinstance(node, Dir))}"
    if errnos := reference.errnos_of(node):
        yield "errno", " ".join(errnos)
    if told := TELLERS.get(match.pattern):
        yield "tells", f"{told}, also those that a policy denies"
    if cost := reference.cost_of(node):
        yield "work", cost
    if node.when is not None:
        yield "absent", "where this Xen, its build or its architecture lacks it"
    elif node.only is not None:
        yield "absent", "where this domain, CPU or pool lacks it"


def _use(node: File) -> str:
    if isinstance(node, Exchange):
        return "write the question, then read the answer on the same open file"
    if isinstance(node, Stream):
        return "it grows: a file that is kept open reads what is new, and can be waited for (xenfs watch, poll)"
    if node.write is None:
        return "read"
    return "write" if node.read is None else "read and write"
