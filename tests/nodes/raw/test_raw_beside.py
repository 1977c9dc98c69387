"""What raw/ answers is what the nodes show: the table of tests/raw_beside.py, on the simulator of every release."""

from __future__ import annotations

from pathlib import Path

import pytest
from raw_beside import APART, BESIDE, compare
from worlds import MORE_COMBINATIONS, Host

from xenfs.abi.operations import Does
from xenfs.nodes.raw.operations import by_path
from xenfs.nodes.tables.base import File

COVERAGE = Path(__file__).resolve().parents[3] / "docs" / "coverage.md"


class Pretended:
    """A simulated host, as the table looks at it."""

    def __init__(self, host: Host) -> None:
        self.has, self.names, self._host = host.has, host.names, host

    def value(self, path: str) -> str:
        """A file's text, or bytes that are none."""
        place = self._host.at(path)
        assert isinstance(place.node, File)
        return place.node.produce(self._host.xen, place.ids).decode("utf-8", "surrogateescape").removesuffix("\n")

    def answer(self, path: str, question: str) -> str:
        """What a question is answered."""
        return self._host.put(self._host.at(path), question.encode()).decode()


@pytest.mark.parametrize(("release", "arch"), MORE_COMBINATIONS, ids="-".join)
def test_answers_are_those_of_the_nodes(release: str, arch: str) -> None:
    with Host(f"xen={release},arch={arch},domains=8,cpus=4") as host:
        found = {path for domain in (1, 2, 3) for path in compare(Pretended(host), domain, alone=domain > 1)}
        assert len(found) > 25, found


def test_every_operation_that_has_a_node_is_compared_or_said_why_not() -> None:
    """By the table of all operations: each that looks and has a file outside of raw/, whether that is read or asked."""
    looks = {path for path, op in by_path().items() if op.does is Does.LOOKS}
    shown = {path for path, row in _rows().items() if row[5].startswith("files above")} & looks
    compared = {line.path for line in BESIDE}
    assert len(shown) > 150
    assert shown - compared - set(APART) == set()
    assert not compared & set(APART)
    assert compared | set(APART) <= looks


def test_of_each_family_something_that_changes_was_made_on_a_real_xen() -> None:
    """But for Argo, which no Xen of these tests has, and for counters of CPUs, which none of their machines has."""
    changes = {path for path, op in by_path().items() if op.does is not Does.LOOKS}
    made = {path for path, row in _rows().items() if not row[6].startswith("no")} & changes
    families = {path.partition("/")[0] for path in changes}
    assert len(families) > 15
    assert families - {path.partition("/")[0] for path in made} == {"argo_op", "xenpmu_op"}


def _rows() -> dict[str, list[str]]:
    """The table of every operation, by the paths of its files below raw/."""
    rows = [line.strip("| ").split(" | ") for line in COVERAGE.read_text(encoding="utf-8").splitlines()]
    return {f"{row[0]}/{row[1].replace(' ', ':')}": row for row in rows if len(row) == 7 and "`raw/" in row[5]}
