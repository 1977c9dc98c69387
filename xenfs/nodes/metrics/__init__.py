"""metrics/: the whole host for a monitoring system, in one file that is read where it lies.

snapshot.py asks for everything in a handful of hypercalls, text.py writes the format. Open table.py first: it has the
metrics, a line for each.
"""

from __future__ import annotations

from collections.abc import Iterator

from xenfs.calls.rows import free
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.metrics.snapshot import take
from xenfs.nodes.metrics.table import GROUPS
from xenfs.nodes.metrics.text import families
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.pieces import Pieces
from xenfs.politely import politely


def prometheus(xen: Hypervisor) -> Iterator[bytes]:
    """The text format's families, always in the same order, piece by piece."""
    snap = take(xen)
    for group in GROUPS:
        for piece in politely(families(group.metrics, list(group.items(xen, snap))), 1):
            yield piece.encode("utf-8", "surrogateescape")
    for rows in vars(snap).values():
        if isinstance(rows, list | dict):
            free(rows)


METRICS = Dir(
    "metrics",
    "The whole host for monitoring systems",
    (
        File(
            "xen.prom", "Prometheus's text format 0.0.4, for node_exporter's textfile collector and whoever reads it",
            read=prometheus, show=Pieces, grows=Cost.DOMAINS | Cost.CPUS | Cost.WAITS, fresh=True,
            format="lines of Prometheus's text format",
            call="sysctl physinfo, getcpuinfo, cputopoinfo, numainfo, cpupool_op, getdomaininfolist, multicall batch",
        ),
    ),
)  # fmt: skip
