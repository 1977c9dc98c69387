"""Which simulated releases have which path of the reference."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

from xenfs import abi
from xenfs.calls import altp2m
from xenfs.connect import opening
from xenfs.errors import answered_by
from xenfs.nodes import tree
from xenfs.nodes.tables.base import Dir, Each, Ids, Node
from xenfs.nodes.tables.reference import ARCHES
from xenfs.nodes.tables.refusals import Refusals
from xenfs.options import Options
from xenfs.simulator import Simulator

# Declarations are parsed once for each release: most of the time goes there.
opening.abi = SimpleNamespace(load=cache(abi.load))  # type: ignore[assignment, attr-defined]

RELEASES = tuple(f"4.{minor}" for minor in range(14, 23))
RTDS, _WITH_VIEWS = 8, 2  # a scheduler, and a domain that may have alternate views of its memory
_EVERYTHING = Options(lifecycle=True, debug=True, raw=True)

Found = dict[tuple[str, str], frozenset[str]]
"""By release and architecture, the paths that there are."""


@cache
def found() -> Found:
    """Walk a host of every release and architecture."""
    return {(release, arch): frozenset(_paths(release, arch)) for arch in ARCHES for release in RELEASES}


def _paths(release: str, arch: str) -> set[str]:
    paths = _of(f"xen={release},arch={arch},cpus=8,profile=full")
    if arch == ARCHES[0]:  # one thing drives the frequency of all CPUs: the full profile has HWP
        for driver in ("acpi", "amd-cppc-epp"):
            paths |= _of(f"xen={release},arch={arch},cpus=2,domains=1,cpufreq={driver}")
        paths |= _of(f"xen={release},arch={arch},cpus=2,domains=1,dom0=pvh")
    return paths


def _of(settings: str) -> set[str]:
    sim = Simulator.from_settings(settings)
    if len(sim.world.domains) > 1:
        _schedule_with_rtds(sim)
    if frequency := sim.world.power.frequency(sim.world.host.cpus[1]):
        frequency.set_governor("userspace")  # which has a file of its own
    xen = opening.open_hypervisor(sim)
    xen.held.make("one", 0)
    xen.templates.make("one")
    with answered_by(errno.EOPNOTSUPP, errno.ENOSYS, errno.ESRCH, errno.EINVAL):
        altp2m.set_state(xen, _WITH_VIEWS, True)  # its views are files of their own
    try:
        return set(_walk(xen, tree.build(xen, _EVERYTHING, Refusals()), (), ""))
    finally:
        xen.close()


def _schedule_with_rtds(sim: Simulator) -> None:
    """A pool of a scheduler that no domain has from the start."""
    world = sim.world
    if not any(pool.scheduler == RTDS for pool in world.pools.by_id.values()):
        cpu = world.pools.free & -world.pools.free
        world.pools.create(RTDS, 97)
        world.pools.by_id[97].cpus, world.pools.free = cpu, world.pools.free & ~cpu
        world.pools.move(world.domains[4], world.pools.by_id[97])


def _walk(xen: Any, directory: Dir, ids: Ids, prefix: str) -> Iterator[str]:
    """The patterns below a directory; one child of each shape stands for all that hang on nothing else."""
    for entry in directory.entries:
        if isinstance(entry, Node):
            if entry.only is None or entry.only(xen, *ids):
                yield from _entry(xen, entry, ids, prefix + entry.name)
        else:
            yield from _each(xen, entry, ids, prefix)


def _each(xen: Any, each: Each, ids: Ids, prefix: str) -> Iterator[str]:
    prefix = prefix.removesuffix(f"{each.label}/")  # a tree of any depth has one line
    for _, ident in each.list(xen, *ids):
        yield from _entry(xen, each.shape(ident), (*ids, ident), prefix + each.label)


def _entry(xen: Any, node: Node, ids: Ids, path: str) -> Iterator[str]:
    if isinstance(node, Dir):
        yield f"{path}/"
        yield from _walk(xen, node, ids, f"{path}/")
    else:
        yield path


def spans(paths: Found) -> dict[str, dict[str, list[str]]]:
    """By path and architecture, the first and the last release that has it; nothing of what all have."""
    whole = {arch: [RELEASES[0], RELEASES[-1]] for arch in ARCHES}
    rows = {}
    for row in (*tree.reference(), *tree.directories()):
        has = {arch: [release for release in RELEASES if row.path in paths[release, arch]] for arch in ARCHES}
        span = {arch: [releases[0], releases[-1]] for arch, releases in has.items() if releases}
        if span != whole:
            rows[row.path] = span
    return rows
