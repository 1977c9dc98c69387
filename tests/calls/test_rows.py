"""Rows of many structs at once."""

from __future__ import annotations

from xenfs.calls.rows import freed


def test_what_is_freed_is_freed_one_by_one_and_comes_in_order() -> None:
    rows = [(number,) for number in range(5)]
    for number, row in enumerate(freed(rows)):
        assert (row, len(rows)) == ((number,), 4 - number)
    assert not rows
