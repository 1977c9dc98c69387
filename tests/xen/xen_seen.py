"""Which nodes answered on a real Xen, and which took a write: noted while the suite runs, for docs/coverage.md.

With $XENFS_OUT set (scripts/on-xen --out DIR) a run adds what it saw to seen-RELEASE-ARCH.txt there; what is in
tests/xen/seen/ came about so.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

HEAD = "# What the acceptance tests saw on a real Xen: r read, w written, with the word where one was, mkdir, rmdir."
_WORD = re.compile(r"[a-z_]{1,20}|[01]")
_noted: set[str] = set()


def note(how: str, node: str, text: str | bytes = b"") -> None:
    """A node answered, or took this text."""
    word = (text if isinstance(text, str) else text.decode("utf-8", "replace")).strip().split(" ")[0]
    kind = word[0] if word[:1] in ("+", "-") else word if _WORD.fullmatch(word) else ""
    _noted.add(f"{how} {pattern(node)} {kind}".strip())


def pattern(node: str) -> str:
    """A path with numbers and names of this machine taken out."""
    node = re.sub(r"^domains/(by-name|by-uuid)/[^/]*", r"domains/\1/*", node)
    node = re.sub(r"^host/(pci|livepatch)/[^/]+", r"host/\1/*", node.strip("/"))
    return re.sub(r"(?<=/)\d+(?=/|$)", "*", node)


def keep(release: str, arch: str, scheduler: str) -> None:
    """Add what was noted to the file of this Xen, where there is a place for it."""
    folder = os.environ.get("XENFS_OUT")
    if not folder or not _noted:
        return
    path = Path(folder, f"seen-{release}-{arch}.txt")
    before = path.read_text().splitlines() if path.exists() else []
    lines = {line for line in before if not line.startswith("#")} | _noted | {f"scheduler {scheduler}"}
    path.write_text("\n".join([HEAD, *sorted(lines)]) + "\n")
