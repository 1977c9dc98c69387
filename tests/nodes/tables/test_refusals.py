"""The error log: bounded, one line is one line whatever was written, and a guest's inside is not in it."""

from __future__ import annotations

import errno
import os
import re

from hypothesis import given
from hypothesis import strategies as st
from worlds import Host

from xenfs.errors import BadInput, XenfsError
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.cost import NOTHING
from xenfs.nodes.tables.harmless import harmless
from xenfs.nodes.tables.refusals import Refusals

NASTY = st.text(st.characters() | st.sampled_from("\n\r\x1b\x00\\\u202e\u2028^ "), max_size=300).map(
    lambda text: text.encode("utf-8", "surrogatepass")
) | st.binary(max_size=300)


@given(NASTY, NASTY, NASTY.map(os.fsdecode))
def test_no_line_can_be_forged(path: bytes, data: bytes, why: str) -> None:
    refusals = Refusals()
    refusals.add(os.fsdecode(path), data, XenfsError(why, errno.EINVAL))
    first, *rest = refusals.text().split("\n")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ .*: EINVAL: ", first)
    assert len(rest) == bool(data)
    assert all(line.isprintable() for line in (first, *rest))
    assert all(line.startswith("  ") for line in rest)


@given(NASTY)
def test_the_caret_stands_under_its_word(data: bytes) -> None:
    refusals = Refusals()
    text = data.decode("utf-8", "replace")
    refusals.add("x", data, BadInput("odd", at=min(3, len(text))))
    lines = refusals.text().split("\n")
    assert len(lines) <= 3
    if len(lines) == 3:
        before = harmless(text.removesuffix("\n")[: min(3, len(text))])
        assert lines[2] == "  " + " " * len(before) + "^"


@given(st.text(max_size=20), st.text(max_size=20))
def test_different_texts_are_shown_differently(one: str, two: str) -> None:
    assert (harmless(one) == harmless(two)) == (one == two)


def test_it_is_bounded() -> None:
    refusals = Refusals()
    for number in range(200):
        refusals.add("p" * 5000, b"\x00" * 100_000, XenfsError(f"{number} {'w' * 5000}"))
    assert len(refusals.text()) < 64 * 1000


def test_a_guests_inside_is_not_in_it() -> None:
    refusals = Refusals()
    refusals.add("domains/1/vcpus/0/context", b"secret", XenfsError("not so long", errno.EINVAL), hidden=True)
    assert "secret" not in refusals.text()
    assert "(6 bytes that are not shown)" in refusals.text()


def test_every_refusal_says_what_would_be_right(host: Host) -> None:
    """For each file that is written: nonsense is refused with a number, a word or a form that would be taken."""
    unhelpful = []
    for place in host.files():
        node = place.node
        assert isinstance(node, File)
        if node.write is None or node.binary or node.write_grows is not NOTHING:
            continue
        try:
            host.put(place, b"n\xc3\xb6nsense \x01 -7")
        except (XenfsError, OSError) as problem:
            why = problem.why if isinstance(problem, BadInput) else str(problem)
            helpful = re.search(r"\d|\"|must be|one of|such as|this (is|domain)|printable|not |no ", why)
            if not helpful or len(why) < 8:
                unhelpful.append((place.path, why))
    assert not unhelpful
