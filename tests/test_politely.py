"""Going through rows: all come, in order, and whoever has to go first is asked for often enough, where there is one."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from xenfs.politely import polite, politely


@pytest.mark.parametrize("count", [0, 1, 64, 65, 10_000])
def test_every_row_comes_in_order_and_a_pause_before_every_few(count: int) -> None:
    rows = list(range(count))
    events: list[int | str] = []
    with polite(lambda: events.append("pause")):
        for row in politely(rows, 64):
            events.append(row)
    assert [event for event in events if event != "pause"] == rows
    assert [at for at, event in enumerate(events) if event == "pause"] == [65 * n for n in range(-(-count // 64))]


def test_where_nobody_goes_first_rows_are_taken_as_they_are() -> None:
    asked: list[str] = []
    with polite(lambda: asked.append("pause")):
        pass
    rows = iter([1, 2])
    assert politely(rows) is rows
    assert list(politely([1, 2])) == [1, 2]
    assert not asked


def test_no_more_rows_are_taken_than_come_before_the_next_pause() -> None:
    """What makes the rows may be the work: it is done between two pauses, and not before the first."""
    made = 0

    def making() -> Iterator[int]:
        nonlocal made
        for number in range(1000):
            made += 1
            yield number

    seen: list[int] = []
    with polite(lambda: seen.append(made)):
        for _ in politely(making(), 10):
            pass
    assert seen == [*range(10, 1001, 10)]


def test_what_is_new_is_looked_at_before_there_is_much_of_it() -> None:
    """Rows that take the place of others: Python would not look before the end, and then at all of them in one step."""
    kept, young = [[number] for number in range(20_000)], list[int]()

    def look(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 0:
            young.append(len(gc.get_objects(generation=0)))

    gc.collect()
    gc.callbacks.append(look)
    try:
        with polite(lambda: None):
            for number in politely(range(20_000)):
                kept[number] = [number]
        gc.collect(0)
    finally:
        gc.callbacks.remove(look)
    assert max(young) < 3_000
