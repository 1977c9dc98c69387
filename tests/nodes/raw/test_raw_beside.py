"""What raw/ answers is what the nodes show: the table of tests/raw_beside.py, on the simulator of every release."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from raw_beside import APART, BESIDE, compare
from worlds import MORE_COMBINATIONS, Host

from xenfs.abi.operations import Does
from xenfs.nodes.raw.operations import by_path
from xenfs.nodes.tables.base import File

OPERATIONS = Path(__file__).resolve().parents[3] / "scripts" / "reference.d" / "operations.tsv"


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
    looks = {path for path, op in by_path().items() if op.does is Does.LOOKS}
    with OPERATIONS.open(encoding="utf-8") as file:
        rows = [row for row in csv.reader((line for line in file if not line.startswith("#")), delimiter="\t") if row]
    shown = {_path(row) for row in rows if re.search(r"(^|, )r ", row[3])} & looks
    compared = {line.path for line in BESIDE}
    assert compared | set(APART) >= shown
    assert not compared & set(APART)
    assert compared | set(APART) <= looks


def _path(row: list[str]) -> str:
    """An operation's file; a last word that says which half of it is meant is none of its name."""
    known = {path.lower(): path for path in by_path()}
    words = f"{row[0]}/{row[1].replace(' ', ':')}".lower()
    return known.get(words) or known.get(words.rpartition(":")[0]) or words
