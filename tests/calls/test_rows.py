"""Rows of many structs at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import Host

from xenfs import abi
from xenfs.calls import grants, many
from xenfs.calls.rows import Rows, free, freed, repeated
from xenfs.politely import polite


def test_what_is_freed_is_freed_one_by_one_and_comes_in_order() -> None:
    rows = [(number,) for number in range(5)]
    for number, row in enumerate(freed(rows)):
        assert (row, len(rows)) == ((number,), 4 - number)
    assert not rows


def test_what_nobody_wants_is_freed_a_few_at_a_time() -> None:
    rows, left = [(number,) for number in range(1000)], list[int]()
    with polite(lambda: left.append(len(rows))):
        free(rows)
    assert not rows
    assert left == list(range(1000, 0, -16))
    named = {number: str(number) for number in range(40)}
    with polite(lambda: left.append(len(named))):
        free(named)
    assert not named
    assert left[-3:] == [40, 24, 8]


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


INFO = "struct xen_domctl_getdomaininfo"
LAYOUT = abi.load((4, 17))
MEMBERS = st.sampled_from([("domain", "handle"), ("flags",), ("cpu_time", "cpupool"), ("domain", "arch_config")])


@given(MEMBERS, st.integers(1, 4), st.randoms(use_true_random=False))
def test_columns_differ_where_rows_do(members: tuple[str, ...], count: int, dice: Random) -> None:
    """Of two lists that differ in one byte, anywhere: in a member, or in what nobody looks at."""
    rows = Rows(LAYOUT, INFO, members)
    one = bytearray(dice.randbytes(rows.stride * count))
    other = bytearray(one)
    other[dice.randrange(len(other))] ^= 1 << dice.randrange(8)
    alike = list(rows(memoryview(one), count)) == list(rows(memoryview(other), count))
    assert (rows.columns(memoryview(one), count) == rows.columns(memoryview(other), count)) == alike


@given(MEMBERS, st.integers(0, 4), st.integers(0, 4))
def test_columns_of_lists_of_other_lengths_differ(members: tuple[str, ...], count: int, more: int) -> None:
    rows = Rows(LAYOUT, INFO, members)
    memory = memoryview(bytes(rows.stride * 9))
    assert (rows.columns(memory, count) == rows.columns(memory, count + more)) == (more == 0)


Asking = Callable[[Any, Sequence[int]], Sequence[object]]


@pytest.mark.parametrize(
    ("module", "ask"),
    [
        (many, lambda xen, domids: many.vcpu_times(xen, [(domid, 0) for domid in domids])),
        (many, lambda xen, domids: many.parameters(xen, domids, 6)),
        (grants, grants.sizes),
    ],
)
def test_questions_about_many_are_put_together_a_batch_at_a_time(
    monkeypatch: pytest.MonkeyPatch, module: Any, ask: Asking
) -> None:
    """To make 40,000 structs in one step keeps every other thread waiting for milliseconds."""
    made: list[int] = []

    def counted(abi: Any, name: str, struct: bytes, members: Mapping[str, Sequence[int]]) -> bytearray:
        made.append(len(next(iter(members.values()))))
        return repeated(abi, name, struct, members)

    monkeypatch.setattr(module, "repeated", counted)
    with Host("domains=1100") as host:
        assert len(ask(host.xen, range(1100))) == 1100
    assert made == [512, 512, 76]
