"""raw/: every hypercall as a file, with `-o raw`; what users hold of the pool lies in buffers/.

Open posed.py first: it goes from a question to its answer. question.py understands the text, words.py its words."""

from __future__ import annotations

from xenfs.nodes.raw.bare import HYPERCALL
from xenfs.nodes.raw.batch import batch
from xenfs.nodes.raw.buffers import BUFFERS
from xenfs.nodes.raw.operations import by_path, directories
from xenfs.nodes.tables.base import Dir


def raw(debug: bool) -> Dir:
    """The directory. `debug` says whether a batch may have what can end the host."""
    return Dir(
        "raw",
        "Every operation of every hypercall, with members as Xen's structs have them",
        (BUFFERS, HYPERCALL, batch(by_path, debug), *directories()),
        option="raw",
        tier="D",
    )
