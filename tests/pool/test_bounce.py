"""Memory that is not the pool's, on its way to Xen and back."""

import array
import errno
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenfs.errors import PoolError
from xenfs.pool import Buffer, Pool, SimulatedPages, Way

KINDS: dict[str, Callable[[], Any]] = {
    "bytearray": lambda: bytearray(b"12345678"),
    "memoryview": lambda: memoryview(bytearray(b"12345678")),
    "array": lambda: array.array("I", b"12345678"),
    "matrix": lambda: memoryview(bytearray(b"12345678")).cast("H", shape=[2, 2]),
}


def content(user: Any) -> bytes:
    return memoryview(user).tobytes()


def refuse(*buffers: Buffer) -> None:
    """A hypercall that writes half of an answer and then fails."""
    for buf in buffers:
        buf.memory[:] = b"halfway"[: len(buf)]
    raise OSError("refused")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", Way)
def test_each_way_makes_the_copies_it_says(pool: Pool, kind: str, way: Way) -> None:
    user = KINDS[kind]()
    with pool.bounce(user, way) as buf:
        assert bytes(buf.memory) == (b"12345678" if way in (Way.IN, Way.BOTH) else bytes(8))
        buf.memory[:] = b"abcdefgh"
    assert content(user) == (b"abcdefgh" if way in (Way.OUT, Way.BOTH) else b"12345678")
    stat = pool.stat()
    assert (stat["bytes_in"], stat["bytes_out"]) == (8 * (way in (Way.IN, Way.BOTH)), 8 * (way in (Way.OUT, Way.BOTH)))


def test_numpy_arrays_bounce_too(pool: Pool) -> None:
    numpy = pytest.importorskip("numpy")
    user = numpy.arange(6, dtype="u8").reshape(2, 3)
    with pool.bounce(user) as buf:
        buf.memory.cast("Q")[4] = 40
    assert user[1, 1] == 40


@pytest.mark.parametrize("way", [Way.IN, Way.NONE])
def test_constant_memory_goes_in(pool: Pool, way: Way) -> None:
    with pool.bounce(b"constant", way) as buf:
        assert len(buf) == 8


@pytest.mark.parametrize("way", [Way.OUT, Way.BOTH])
def test_constant_memory_is_refused_before_anything_happens(pool: Pool, way: Way) -> None:
    with pytest.raises(PoolError, match="cannot bounce a bytes") as caught:
        pool.bounce(b"constant", way)
    assert caught.value.errno == errno.EINVAL
    assert pool.stat()["takes"] == 0


def test_scattered_memory_is_refused(pool: Pool) -> None:
    with pytest.raises(PoolError, match="cannot bounce a memoryview"):
        pool.bounce(memoryview(bytearray(8))[::2])


@pytest.mark.parametrize("wrong", ["text", 12, None])
def test_what_has_no_bytes_is_a_type_error(pool: Pool, wrong: Any) -> None:
    with pytest.raises(TypeError):
        pool.bounce(wrong)


def test_a_part_of_a_longer_buffer(pool: Pool) -> None:
    user = bytearray(b"0123456789")
    with pool.bounce(user, at=3, nbytes=4) as buf:
        assert bytes(buf.memory) == b"3456"
        buf.memory[:] = b"abcd"
    assert user == b"012abcd789"
    with pool.bounce(user, Way.IN, at=8) as rest:
        assert bytes(rest.memory) == b"89"


@pytest.mark.parametrize(("at", "nbytes"), [(-1, 4), (0, 11), (10, 1), (11, None), (3, -1)])
def test_a_part_that_is_not_there_is_refused(pool: Pool, at: int, nbytes: int | None) -> None:
    with pytest.raises(PoolError, match="not in a bytearray of 10 bytes"):
        pool.bounce(bytearray(10), at=at, nbytes=nbytes)


def test_nothing_comes_out_of_a_failed_call(pool: Pool) -> None:
    user = bytearray(b"before")
    with pytest.raises(OSError, match="refused"), pool.bounce(user) as buf:
        refuse(buf)
    assert user == b"before"
    assert pool.stat()["bytes_out"] == 0


def test_unless_asked(pool: Pool) -> None:
    user = bytearray(b"before")
    with pytest.raises(OSError, match="refused"), pool.bounce(user, even_failed=True) as buf:
        refuse(buf)
    assert user == b"halfwa"


def test_several_at_once_come_out_together_or_not_at_all(pool: Pool) -> None:
    question, answer, both = b"question", bytearray(6), bytearray(b"both")
    parts = [(question, Way.IN), (answer, Way.OUT), (both, Way.BOTH)]
    with pool.bounce_all(parts) as (first, second, third):
        assert bytes(first.memory) + bytes(third.memory) == b"questionboth"
        second.memory[:], third.memory[:] = b"answer", b"BOTH"
    assert [answer, both] == [b"answer", b"BOTH"]
    with pytest.raises(OSError, match="refused"), pool.bounce_all(parts) as (_, second, third):
        refuse(second, third)
    assert [answer, both] == [b"answer", b"BOTH"]
    assert pool.stat()["in_use"] == 0


def test_several_that_do_not_all_fit_leave_nothing_behind() -> None:
    with Pool(SimulatedPages(), max_bytes=8192) as pool:
        with pytest.raises(PoolError, match="no room"), pool.bounce_all([(bytearray(4096), Way.BOTH)] * 3):
            raise AssertionError
        assert pool.stat()["in_use"] == 0


def test_the_user_cannot_resize_memory_that_is_on_its_way(pool: Pool) -> None:
    user = bytearray(8)
    with pool.bounce(user), pytest.raises(BufferError):
        user.append(1)
    user.append(1)


@given(data=st.binary(min_size=1, max_size=9000), cut=st.data())
def test_what_goes_in_comes_out(data: bytes, cut: Any) -> None:
    at = cut.draw(st.integers(0, len(data) - 1))
    nbytes = cut.draw(st.integers(1, len(data) - at))
    with Pool(SimulatedPages(), check=True) as pool:
        user = bytearray(data)
        with pool.bounce(user, at=at, nbytes=nbytes) as buf:
            buf.memory[:] = bytes(byte ^ 0xFF for byte in buf.memory)
        flipped = bytes(byte ^ 0xFF for byte in data[at : at + nbytes])
        assert user == data[:at] + flipped + data[at + nbytes :]
        assert pool.stat()["red_zone_hits"] == 0
