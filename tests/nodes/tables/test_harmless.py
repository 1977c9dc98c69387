"""Names that others chose, for a terminal and as names of files: nothing is obeyed, and no two look the same."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from worlds import Host

from xenfs.nodes.tables.harmless import cut, exact, file_name, harmless

TEXTS = [
    "\x85\x9b31m", "\u2028\u2029", "\u202efdp.exe", "\u2066x\u2069\u200f", "\u00ad\ufeff", "caf\u00e9",
    "back\\slash", "back\\x5cslash", "100%", "100%25", "a/b", "a%2Fb", ".", "..", "%2E",
    "\x1b[2Jgone", "a\rb", "a\nb", "\x7f",
]  # fmt: skip
ODD = [*(text.encode() for text in TEXTS), b"\xff\xfe", b"\x9b31mred"]
TEXT = st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass"))
NAMES = st.sampled_from(ODD) | st.binary(max_size=40) | TEXT


@given(NAMES)
def test_nothing_reaches_a_terminal(name: bytes) -> None:
    assert harmless(name).isprintable()
    listed = file_name(name)
    assert listed.isprintable()
    assert listed not in (".", "..")
    assert "/" not in listed


@given(NAMES)
@example("\x85".encode())
@example(b"\x85")
def test_it_can_be_told_back(name: bytes) -> None:
    assert exact(harmless(name)).encode("utf-8", "surrogateescape") == name
    listed = file_name(name)
    if listed:
        assert unquote_to_bytes(listed.encode("utf-8", "surrogateescape")) == name
    else:
        assert not name or len(name) * 3 > 255


@given(NAMES, NAMES)
def test_no_two_look_the_same(one: bytes, two: bytes) -> None:
    assert (harmless(one) == harmless(two)) == (one == two)
    if file_name(one):
        assert (file_name(one) == file_name(two)) == (one == two)


@given(NAMES, st.integers(0, 60))
def test_what_is_cut_is_cut_between_characters(name: bytes, longest: int) -> None:
    shown = cut(name, longest)
    whole = harmless(name)
    if shown != whole:
        assert shown.endswith("…")
        assert whole.startswith(shown[:-1])
        assert len(shown[:-1].encode()) <= longest
        assert harmless(exact(shown[:-1])) == shown[:-1], "no half of an escape"


@pytest.mark.parametrize("name", ODD)
def test_in_the_tree(name: bytes) -> None:
    with Host("domains=4") as host:
        host.world.rename(2, name.decode("utf-8", "surrogateescape"))
        shown = host.value("domains/2/name")
        assert shown.isprintable()
        assert f"2 {shown}" in host.read("domains/names").splitlines()
        assert exact(shown).encode("utf-8", "surrogateescape") == name
        assert file_name(name) in host.names("domains/by-name")
