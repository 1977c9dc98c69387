"""Rows of many structs at once."""

from __future__ import annotations

from worlds import Host

from xenfs.calls.rows import Rows, freed, repeated


def test_what_is_freed_is_freed_one_by_one_and_comes_in_order() -> None:
    rows = [(number,) for number in range(5)]
    for number, row in enumerate(freed(rows)):
        assert (row, len(rows)) == ((number,), 4 - number)
    assert not rows


def test_a_struct_repeated_has_the_numbers_of_each_list_where_they_belong() -> None:
    with Host() as host:
        abi = host.xen.abi
        base = bytes(range(1, 17))[: abi.sizeof("struct gnttab_query_size")]
        made = repeated(abi, "struct gnttab_query_size", base, {"dom": [7, 0, 0x7FF0], "nr_frames": [1, 2**32 - 1, 0]})
        rows = Rows(abi, "struct gnttab_query_size", ("dom", "nr_frames", "max_nr_frames"))
        (most,) = Rows(abi, "struct gnttab_query_size", ("max_nr_frames",)).one(base)
        assert list(rows(made, 3)) == [(7, 1, most), (0, 2**32 - 1, most), (0x7FF0, 0, most)]
        assert len(made) == 3 * len(base)
        assert repeated(abi, "struct gnttab_query_size", base, {"dom": []}) == b""
