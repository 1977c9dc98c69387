"""The NUMA nodes that a pretended domain believes to have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Vnuma:
    """As a toolstack sets it: distances row by row, the node of each vCPU, ranges as (start, end, flags, node)."""

    distances: list[list[int]]
    vcpu_nodes: list[int]
    ranges: list[tuple[int, int, int, int]]
