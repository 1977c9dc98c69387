"""`xenfs tree`: the reference of paths, printed from the tables."""

from __future__ import annotations

import argparse
import errno

from xenfs.cli.paths import inside, match_of
from xenfs.errors import XenfsError
from xenfs.nodes.tables.refusals import Refusals
from xenfs.nodes.tree import Row, reference, whole
from xenfs.options import Options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `xenfs tree`."""
    parser.add_argument("path", nargs="?", default="", metavar="PATH", help="only what is below this one")


def run(args: argparse.Namespace) -> int:
    """Print a line for each path there can be: path, mode, tier, hypercall, help."""
    match = match_of(whole(Options(), Refusals()), inside(args.path))  # domains/3 is domains/<d>
    below = match.pattern if match else inside(args.path)
    rows = [row for row in reference() if not below or row.path == below or row.path.startswith(f"{below}/")]
    if not rows:
        raise XenfsError(f"there is nothing below {args.path}: xenfs tree alone lists everything", errno.ENOENT)
    print(aligned(rows))
    return 0


def aligned(rows: list[Row]) -> str:
    """The rows in columns. No column but the last has blanks in it, so awk takes them as they are."""
    cells = [str(row).split(" ", 4) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    return "\n".join("  ".join([*map(str.ljust, line, widths), line[4]]) for line in cells)
