"""Content in pieces is as the bytes would be, and whole-host files are in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import Host

from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.pieces import Pieces
from xenfs.nodes.tables.show import many_lines

_MOST = 1 << 17


@given(st.lists(st.binary(max_size=5), max_size=8), st.integers(0, 50), st.integers(0, 50))
def test_a_part_is_that_of_the_whole(pieces: list[bytes], offset: int, size: int) -> None:
    whole, made = b"".join(pieces), Pieces(pieces)
    assert made[offset : offset + size] == whole[offset : offset + size]
    assert (len(made), bool(made), bytes(made)) == (len(whole), bool(whole), whole)


def test_thousands_of_lines_are_as_a_few_are() -> None:
    assert bytes(many_lines([])) == b""
    assert bytes(many_lines(["a", "\udcff"])) == b"a\n\xff\n"
    many = [str(number) for number in range(5000)]
    assert bytes(many_lines(iter(many))) == "".join(f"{line}\n" for line in many).encode()


@pytest.mark.parametrize("path", ["metrics/xen.prom", "domains/stat", "domains/names"])
def test_what_has_lines_of_all_domains_is_never_in_one_piece(path: str) -> None:
    """Nothing of it is made, sliced or freed in a step that grows with the number of domains."""
    longest = []
    for domains in (1000, 3000):
        with Host(f"domains={domains}") as host:
            place = host.at(path)
            assert isinstance(place.node, File)
            content = place.node.content(host.xen, place.ids)
            assert isinstance(content, Pieces)
            longest.append(max(map(len, content.pieces)))
            assert bytes(content) == place.node.produce(host.xen, place.ids) or path == "metrics/xen.prom"
    assert max(longest) < _MOST
    assert longest[1] < 1.2 * longest[0]
