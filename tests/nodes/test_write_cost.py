"""What a write costs, refused or not: no question is asked of Xen twice, unless something was done in between."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from worlds import Host, Place

from xenfs.abi.operations import Does
from xenfs.errors import XenfsError
from xenfs.nodes.tables.base import Exchange, File
from xenfs.pool import Buffer

WHICH_LIFE = frozenset({"domctl getdomaininfo", "domctl get_domain_state"})  # once before the deed, and once after it
# What is asked for its size first is another question then: it has a buffer.
OTHER_THAN_IT_SHOWS = {
    "memory/max": "4000000", "sched/weight": "300", "sched/cap": "50", "memory/claim": "4", "cpupool": "1",
    "cpus": "0-2", "scaling_governor": "performance", "parked_cpus": "1", "smt": "off", "memory/pod/target": "8192",
}  # fmt: skip
WORDS = {
    "trigger": "power", "shutdown": "poweroff", "preset": "powersave", "policy": "performance", "debug_keys": "q",
    "availheap": "0 0 0", "page_status": "0-1", "soft_offline_page": "0-1", "online_page": "0-1",
    "test": "0000:00:1f.2",
}  # fmt: skip


def of_path(table: dict[str, str], path: str) -> str | None:
    return next((text for end, text in table.items() if f"/{path}".endswith(f"/{end}")), None)


def texts(place: Place, host: Host) -> list[str]:
    """What may be written there: what it shows, and something else."""
    node = place.node
    assert isinstance(node, File)
    if node.read is None or isinstance(node, Exchange):
        return [of_path(WORDS, place.path) or "1"]
    shown = node.produce(host.xen, place.ids).decode(errors="surrogateescape")
    flipped = {"0\n": "1", "1\n": "0"}.get(shown) or of_path(OTHER_THAN_IT_SHOWS, place.path)
    return [shown, *([flipped] if flipped else [])]


def asked_again(host: Host, place: Place, text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], bool]:
    """The calls of one write that were made with the same bytes before, and whether it went well."""
    asked: Counter[Any] = Counter()
    again: list[str] = []
    make = host.xen._made

    def seen(op: Any, args: tuple[Any, ...], *more: Any) -> int:
        question = op.name, tuple(bytes(arg.memory) if isinstance(arg, Buffer) else arg for arg in args)
        asked[question] += 1
        if asked[question] > (2 if op.name in WHICH_LIFE else 1):
            again.append(op.name)
        try:
            return make(op, args, *more)
        finally:
            if op.does is not Does.LOOKS:  # what there is may be another now
                for each in [each for each in asked if each[0] not in WHICH_LIFE]:
                    del asked[each]

    with monkeypatch.context() as patch:
        patch.setattr(host.xen, "_made", seen)
        try:
            host.put(place, text.encode(errors="surrogateescape"))
        except XenfsError:
            return again, False
    return again, True


@pytest.mark.parametrize("settings", ["xen=4.17", "xen=4.22,profile=full", "xen=4.14,processor=intel,psr=on"])
def test_no_write_asks_the_same_question_twice(settings: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried, odd, went_well = set(), [], 0
    with Host(settings) as host:
        writable = [place.path for place in host.files() if isinstance(place.node, File) and place.node.write]
        for path in writable:
            kind = re.sub(r"/\d+", "/N", path)
            if kind in tried or path.startswith("domains/0/") or not host.has(path):
                continue
            tried.add(kind)
            for text in texts(host.at(path), host):
                again, well = asked_again(host, host.at(path), text, monkeypatch)
                went_well += well
                odd += [(path, text, name) for name in again]
    assert not odd, "\n".join(map(str, odd))
    assert went_well > 30


FREEZE_COSTS = {  # what the domain is before, what is written: how often each is asked (docs/one-read-one-write.md)
    ("running", "1"): {"domctl getdomaininfo": 1, "domctl pausedomain": 1},
    ("paused", "1"): {"domctl getdomaininfo": 1},
    ("paused", "0"): {"domctl getdomaininfo": 2, "domctl unpausedomain": 1},
    ("running", "0"): {"domctl getdomaininfo": 1},
}


@pytest.mark.parametrize("release", ["4.20", "4.22"])
@pytest.mark.parametrize(("before", "text"), FREEZE_COSTS)
def test_what_freeze_costs(release: str, before: str, text: str) -> None:
    """One look, one deed, and one look more where other pauses may be left; from 4.21 on a look takes two questions."""
    costs = dict(FREEZE_COSTS[before, text])
    if release == "4.22":
        costs["domctl get_domain_state"] = costs["domctl getdomaininfo"]
    with Host(f"xen={release}") as host:
        host.write("domains/1/freeze", "1" if before == "paused" else "0")
        place, asked = host.at("domains/1/freeze"), host.counts.copy()
        host.put(place, text.encode())
        assert host.asked(asked) == costs


def test_what_another_write_costs() -> None:
    """The guard, the deed, and whether it was done to the one that was meant."""
    with Host("xen=4.20") as host:
        place, asked = host.at("domains/1/memory/max"), host.counts.copy()
        host.put(place, b"4000000")
        assert host.asked(asked) == {"domctl getdomaininfo": 2, "domctl max_mem": 1}
