"""raw/: every hypercall as a file, with `-o raw`; what users hold of the pool lies in buffers/.

Open this file first: it joins what the others make."""

from __future__ import annotations

from xenfs.nodes.raw.buffers import BUFFERS
from xenfs.nodes.tables.base import Dir

RAW = Dir(
    "raw",
    "Every operation of every hypercall, with members as Xen's structs have them",
    (BUFFERS,),
    option="raw",
    tier="D",
)
