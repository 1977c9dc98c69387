"""What is shipped for monitoring uses metrics and labels that there are. Needs none of the programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prom import Family, families
from worlds import Host

CONTRIB = Path(__file__).parents[2] / "contrib"
RULES = CONTRIB / "prometheus" / "xenfs.rules.yml"
DASHBOARDS = [json.loads(path.read_text()) for path in sorted((CONTRIB / "grafana").glob("*.json"))]
RECORDED = set(re.findall(r"record: (\S+)", RULES.read_text()))
METRIC = re.compile(r"\b(?:xen|xenfs)_[a-z0-9_]+\b")
SELECTED = re.compile(r"\b((?:xen|xenfs)_[a-z0-9_]+)\{([^}]*)\}")
RECORD = re.compile(r"\b\w+:xen\w*:\w+\b")
ADDED = {"instance", "job"}  # by whoever scrapes
each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each["uid"])


@pytest.fixture(scope="module")
def known() -> Iterator[dict[str, Family]]:
    """All metrics that there are, of every scheduler."""
    with Host() as host:
        host.world.pools.by_id[1].scheduler = 8
        yield families(host.read("metrics/xen.prom"))


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return list(dashboard["panels"])


def expressions(dashboard: dict[str, Any]) -> list[str]:
    found = [target["expr"] for panel in panels(dashboard) for target in panel.get("targets", ())]
    return found + [each["definition"] for each in dashboard["templating"]["list"] if "definition" in each]


def recorded_and_plain(expression: str) -> tuple[set[str], str]:
    """The names of recording rules in an expression, and what is left of it."""
    return set(RECORD.findall(expression)), RECORD.sub("recorded", expression)


def labels_of(family: Family) -> set[str]:
    return {name for at in family.samples for name, _ in at}


@each_dashboard
def test_a_dashboard_uses_what_there_is(dashboard: dict[str, Any], known: dict[str, Family]) -> None:
    recorded, used = set[str](), set[str]()
    for each in expressions(dashboard):
        names, plain = recorded_and_plain(each)
        recorded |= names
        used |= set(METRIC.findall(plain))
        for name, selectors in SELECTED.findall(plain):
            assert set(re.findall(r"(\w+)\s*=~?", selectors)) <= labels_of(known[name]) | ADDED, each
    assert len(used | recorded) > 8
    assert used <= set(known)
    assert recorded <= RECORDED


@each_dashboard
def test_legends_use_labels_that_there_are(dashboard: dict[str, Any], known: dict[str, Family]) -> None:
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            recorded, plain = recorded_and_plain(target["expr"])
            offered = {label for name in METRIC.findall(plain) for label in labels_of(known[name])}
            offered |= {label for name in recorded for label in name.split(":")[0].split("_")} | {"instance"}
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= offered, target


@each_dashboard
def test_a_dashboard_is_well_formed(dashboard: dict[str, Any]) -> None:
    numbers = [panel["id"] for panel in panels(dashboard)]
    assert len(set(numbers)) == len(numbers) > 10
    assert all(panel["title"] for panel in panels(dashboard))
    covered: set[tuple[int, int]] = set()
    for panel in panels(dashboard):
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & covered, panel["title"]
        assert all(x < 24 for x, _ in cells)
        covered |= cells
    names = {each["name"] for each in dashboard["templating"]["list"]}
    used = {name for each in expressions(dashboard) for name in re.findall(r"\$\{?(\w+)", each)} - {"__rate_interval"}
    assert used <= names
    assert dashboard["title"]


def test_dashboards_lead_to_each_other() -> None:
    """Each has an identifier of its own, and every link goes to one of them."""
    there = [dashboard["uid"] for dashboard in DASHBOARDS]
    assert len(set(there)) == len(there) == 2
    linked = set(re.findall(r'"/d/([\w-]+)', json.dumps(DASHBOARDS)))
    assert linked
    assert linked <= set(there)


def test_the_rules_use_what_there_is(known: dict[str, Family]) -> None:
    text = RULES.read_text()
    used = set(METRIC.findall(RECORD.sub("", text)))
    assert len(used) > 10
    assert used <= set(known)
    assert set(RECORD.findall(text)) == RECORDED
    tested = (CONTRIB / "prometheus" / "xenfs.rules.test.yml").read_text()
    for each in [*RECORDED, *re.findall(r"alert: (\S+)", text)]:
        assert each in tested, f"{each} has no test"
