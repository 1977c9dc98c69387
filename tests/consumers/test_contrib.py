"""What is shipped for monitoring uses metrics and labels that there are. Needs none of the programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prom import Family, families
from worlds import Host

CONTRIB = Path(__file__).parents[2] / "contrib"
RULES = CONTRIB / "prometheus" / "xenfs.rules.yml"
DASHBOARD = json.loads((CONTRIB / "grafana" / "xen.json").read_text())
RECORDED = set(re.findall(r"record: (\S+)", RULES.read_text()))
METRIC = re.compile(r"\b(?:xen|xenfs)_[a-z0-9_]+\b")
SELECTED = re.compile(r"\b((?:xen|xenfs)_[a-z0-9_]+)\{([^}]*)\}")
ADDED = {"instance", "job"}  # by whoever scrapes


@pytest.fixture(scope="module")
def known() -> Iterator[dict[str, Family]]:
    """All metrics that there are, of every scheduler."""
    with Host() as host:
        host.world.pools.by_id[1].scheduler = 8
        yield families(host.read("metrics/xen.prom"))


def panels() -> list[dict[str, object]]:
    return list(DASHBOARD["panels"])


def expressions() -> list[str]:
    found = [target["expr"] for panel in panels() for target in panel.get("targets", ())]  # type: ignore[attr-defined]
    return found + [each["definition"] for each in DASHBOARD["templating"]["list"] if "definition" in each]


def labels_of(family: Family) -> set[str]:
    return {name for at in family.samples for name, _ in at}


def test_the_dashboard_uses_what_there_is(known: dict[str, Family]) -> None:
    used = {name for each in expressions() for name in METRIC.findall(each)}
    assert len(used) > 15
    assert used <= set(known)
    for each in expressions():
        for name, selectors in SELECTED.findall(each):
            assert set(re.findall(r"(\w+)\s*=~?", selectors)) <= labels_of(known[name]) | ADDED, each


def test_legends_use_labels_that_there_are(known: dict[str, Family]) -> None:
    for panel in panels():
        for target in panel.get("targets", ()):  # type: ignore[attr-defined]
            wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            offered = {label for name in METRIC.findall(target["expr"]) for label in labels_of(known[name])}
            assert wanted <= offered, target


def test_the_dashboard_is_well_formed() -> None:
    numbers = [panel["id"] for panel in panels()]
    assert len(set(numbers)) == len(numbers) > 10
    assert all(panel["title"] for panel in panels())
    covered: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}  # type: ignore[index]
        assert not cells & covered, panel["title"]
        assert all(x < 24 for x, _ in cells)
        covered |= cells
    names = {each["name"] for each in DASHBOARD["templating"]["list"]}
    used = {name for each in expressions() for name in re.findall(r"\$\{?(\w+)", each)} - {"__rate_interval"}
    assert used <= names
    assert DASHBOARD["title"]
    assert DASHBOARD["uid"]


def test_the_rules_use_what_there_is(known: dict[str, Family]) -> None:
    text = RULES.read_text()
    used = set(METRIC.findall(re.sub(r"\w+:xen\w+(:\w+)?", "", text)))
    assert len(used) > 10
    assert used <= set(known)
    assert set(re.findall(r"\b\w+:xen\w*:\w+\b", text)) == RECORDED
    tested = (CONTRIB / "prometheus" / "xenfs.rules.test.yml").read_text()
    for each in [*RECORDED, *re.findall(r"alert: (\S+)", text)]:
        assert each in tested, f"{each} has no test"
