"""Buffers that users hold: bounds, lengths, and that nothing of one use is seen by the next."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from xenfs.errors import PoolError
from xenfs.pool import Holdings, Pool, SimulatedPages

MIB = 1 << 20


def code(work: Callable[[], object]) -> int:
    with pytest.raises(PoolError) as caught:
        work()
    return caught.value.errno


@pytest.fixture
def held(pool: Pool) -> Holdings:
    return Holdings(pool)


def test_made_found_and_given_back(pool: Pool, held: Holdings) -> None:
    one = held.make("one", 7)
    assert (one.owner, one.nbytes, one.part(0, 9000), one.live) == (7, 4096, bytes(4096), True)
    assert held.find("one") is one
    assert held.listed() is held.listed()
    assert [name for name, _ in held.listed()] == ["one"]
    assert code(lambda: held.make("one", 8)) == errno.EEXIST
    held.give_back(one)
    assert (held.find("one"), one.live, pool.stat()["in_use"]) == (None, False, 0)


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "-x", "a b", "a/b", "%a", "a" * 65, "é", "a\n"])
def test_names_that_no_question_could_spell(held: Holdings, name: str) -> None:
    assert code(lambda: held.make(name, 0)) == errno.EINVAL


@pytest.mark.parametrize("check", [False, True])
def test_nothing_of_an_old_content_shows(check: bool) -> None:
    with Pool(SimulatedPages(), check=check) as pool:
        held = Holdings(pool)
        for nbytes in (100, 4096, 5000, 200_000):
            first = held.make("a", 1)
            first.resize(nbytes)
            first.fill(0, b"\xaa" * nbytes)
            held.give_back(first)
            second = held.make("b", 2)
            second.resize(nbytes)
            assert second.part(0, nbytes) == bytes(nbytes)
            held.give_back(second)


def test_a_new_length_keeps_what_fits(held: Holdings) -> None:
    one = held.make("one", 0)
    one.fill(0, b"abcdef")
    one.resize(4)
    one.resize(9000)
    assert one.part(0, 10) == b"abcd" + bytes(6)
    assert one.part(8990, 100) == bytes(10)
    assert one.part(9000, 1) == one.part(10**9, 1) == b""
    one.clear(2)
    assert one.part(0, 4) == b"ab\0\0"
    assert code(lambda: one.fill(8999, b"xy")) == errno.ENOSPC
    assert code(lambda: one.clear(9001)) == errno.EFBIG
    assert code(lambda: one.resize(0)) == errno.EINVAL
    assert one.part(0, 2) == b"ab"
    held.close()


def test_bounds_for_each_user_and_for_all() -> None:
    with Pool(SimulatedPages(), max_bytes=16 * MIB) as pool:
        held = Holdings(pool)
        mine = held.make("mine", 1)
        mine.resize(4 * MIB)
        assert code(lambda: held.make("more", 1)) == errno.ENOMEM
        assert code(lambda: mine.resize(4 * MIB + 1)) == errno.ENOMEM
        theirs = held.make("theirs", 2)
        theirs.resize(4 * MIB - 4096)
        held.make("third", 3)
        assert code(lambda: held.make("fourth", 4)) == errno.ENOMEM, "together they have half of the pool"
        with pool.take(4 * MIB):
            pass
        mine.resize(4096)
        held.make("fourth", 4)
        held.close()
        assert len(held) == pool.stat()["in_use"] == 0


def test_so_many_of_one_user(held: Holdings) -> None:
    for number in range(256):
        held.make(f"n{number}", 1)
    assert code(lambda: held.make("last", 1)) == errno.ENOMEM
    held.make("other", 2)
    held.close()


def test_what_is_in_use_stays_as_it_is(held: Holdings) -> None:
    one = held.make("one", 0)
    with one.used() as buf:
        for work in (
            lambda: one.resize(9),
            lambda: one.fill(0, b"x"),
            lambda: one.clear(0),
            lambda: held.give_back(one),
        ):
            assert code(work) == errno.EBUSY
        assert buf.live
        assert one.part(0, 1) == b"\0"
    with one.used(), one.used():
        assert code(lambda: one.used(alone=True).__enter__()) == errno.EBUSY
    with one.used(alone=True):
        assert code(lambda: one.used().__enter__()) == errno.EBUSY
    held.give_back(one)
    assert code(lambda: one.used().__enter__()) == errno.ESTALE


def test_a_held_buffer_costs_no_copy(pool: Pool, held: Holdings) -> None:
    one = held.make("one", 0)
    before = pool.stat()
    with one.used() as buf, pool.admitted((buf,)):
        assert buf.state == "in flight"
    after = pool.stat()
    assert (after["bytes_in"], after["bytes_out"]) == (before["bytes_in"], before["bytes_out"])
    held.close()
