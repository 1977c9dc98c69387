"""What looking through the tree costs: hypercalls, counted while every name is looked up as the kernel does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import pytest
from worlds import Clock, Host

from xenfs.hypervisor.recent import RecentAnswers
from xenfs.nodes.tables.base import Dir, Ids, Node

Order = Callable[[Iterable[tuple[str, Node, Ids]]], list[tuple[str, Node, Ids]]]

_STEP_NS = 200_000  # of the clock, for each name


def look_up_all(host: Host, clock: Clock, directory: Dir, ids: Ids = (), order: Order = list) -> int:
    """Open, list, and look each name up again; how many names there were."""
    directory.require_recent(host.xen, ids)
    names = 0
    for name, node, below in order(directory.children(host.xen, ids)):
        clock.ns += _STEP_NS
        directory.require_recent(host.xen, ids)
        assert directory.child(host.xen, ids, name) == (node, below), name
        node.require_recent(host.xen, below)
        names += 1
        if isinstance(node, Dir):
            names += look_up_all(host, clock, node, below, order)
    return names


def calls(host: Host) -> Counter[str]:
    return Counter({name: tally.count for name, tally in host.xen.calls.tallies()})


def cost(settings: str, order: Order = list) -> tuple[int, Counter[str]]:
    """(names, hypercalls by name) of a walk over a whole host."""
    with Host(settings) as host:
        clock = Clock()
        host.xen.recent = RecentAnswers(lambda: clock.ns / 1e9)
        before = calls(host)
        names = look_up_all(host, clock, host.root, order=order)
        return names, calls(host) - before


@pytest.mark.parametrize(
    ("settings", "most"), [("xen=4.17", 1000), ("xen=4.22,profile=full", 1300), ("xen=4.20,arch=arm64", 1000)]
)
def test_a_walk_over_a_thousand_domains_makes_about_one_hypercall_for_each(settings: str, most: int) -> None:
    names, counts = cost(f"{settings},domains=1000")
    assert names > 50_000
    assert counts.total() < most, counts.most_common(8)


def test_ls_goes_by_the_alphabet() -> None:
    names, counts = cost("domains=1000", order=lambda found: sorted(found, key=lambda each: each[0]))
    assert counts.total() < names // 90, counts.most_common(8)


def test_a_name_looked_up_alone_costs_what_it_is() -> None:
    with Host("xen=4.20,domains=1000") as host:
        host.counts.clear()
        host.at("domains/500/state")
        assert host.counts == {"domctl getdomaininfo": 1}
