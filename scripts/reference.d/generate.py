"""Every generated text, and whether the one that is checked in is current."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT), str(Path(__file__).parent)]

import completion  # noqa: E402
import coverage_table  # noqa: E402
import from_xl  # noqa: E402
import manual  # noqa: E402
import picture  # noqa: E402
import simulated  # noqa: E402
import tree_page  # noqa: E402

from xenfs.nodes.tables import reference  # noqa: E402


def presence() -> str:
    """Which releases have a path, of paths that not every release and architecture has."""
    rows = simulated.spans(simulated.found())
    return "{\n" + ",\n".join(f"  {json.dumps(path)}: {json.dumps(rows[path])}" for path in sorted(rows)) + "\n}\n"


# In this order: the others show what the first one finds out.
TEXTS: dict[str, Callable[[], str]] = {
    "xenfs/nodes/tables/presence.json": presence,
    "docs/tree.md": tree_page.text,
    "docs/coverage.md": coverage_table.text,
    "docs/from-xl.md": from_xl.text,
    "docs/top.svg": picture.text,
    "docs/xenfs.5": manual.section_5,
    "docs/xenfs.8": manual.section_8,
    "contrib/completions/bash/xenfs": completion.bash,
    "contrib/completions/zsh/_xenfs": completion.zsh,
    "contrib/completions/fish/xenfs.fish": completion.fish,
}


def main() -> int:
    """Write, or only compare."""
    parser = argparse.ArgumentParser(prog="scripts/reference")
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    status = 0
    for name, make in TEXTS.items():
        path = CHECKOUT / name
        wanted, now = make(), path.read_text(encoding="utf-8") if path.exists() else ""
        if wanted != now and check:
            print(f"scripts/reference: {name} is not current", file=sys.stderr)
            status = 1
        elif wanted != now:
            path.write_text(wanted, encoding="utf-8")
            print(f"scripts/reference: wrote {name}", file=sys.stderr)
        if not check:
            reference.presence.cache_clear()
    return status


if __name__ == "__main__":
    sys.exit(main())
