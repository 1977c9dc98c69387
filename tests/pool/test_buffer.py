"""One buffer: its bytes, its types, and what it refuses."""

import array
import errno
import sys
from collections.abc import Callable
from typing import Any

import cffi
import pytest

from xenfs.errors import PoolError
from xenfs.pool import Address, Buffer, Pages, Pool, SimulatedPages


def test_a_buffer_is_zeroed_and_exactly_as_long_as_asked(pages: Pages) -> None:
    with Pool(pages) as pool:
        for nbytes in (1, 63, 64, 65, 200, 4096, 4097, 70_000, 1 << 20):
            with pool.take(nbytes) as buf:
                assert bytes(buf) == bytes(nbytes)
                assert len(buf) == buf.nbytes == buf.memory.nbytes == nbytes
                buf.memory[:] = b"\xff" * nbytes
            with pool.take(nbytes) as again:
                assert not any(again.memory), nbytes


WRITES: dict[str, Callable[[Buffer], object]] = {
    "memory": lambda buf: buf.memory.__setitem__(slice(None), b"\xff" * buf.nbytes),
    "fill": lambda buf: buf.fill(b"\xff" * buf.nbytes),
    "view": lambda buf: buf.view(cffi.FFI(), "uint64_t").__setitem__(0, 2**64 - 1),
    "cast": lambda buf: buf.cast(cffi.FFI(), "uint8_t *").__setitem__(buf.nbytes - 1, 255),
    "from outside": lambda buf: cffi.FFI().memmove(buf.cast(cffi.FFI(), "char *"), b"\xff" * buf.nbytes, buf.nbytes),
}


@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("nbytes", [64, 200, 4096, 9000, 300_000])
@pytest.mark.parametrize("check", [False, True])
def test_the_next_borrower_sees_zeros_however_it_was_written(how: str, nbytes: int, check: bool) -> None:
    with Pool(SimulatedPages(), check=check) as pool:
        with pool.take(nbytes) as buf:
            WRITES[how](buf)
            assert any(bytes(buf))
            block = buf._block
        lent = []
        while not lent or lent[-1]._block is not block:
            lent.append(pool.take(nbytes))
        assert bytes(lent[-1]) == bytes(nbytes)
        for each in lent:
            each.release()


def test_a_buffer_knows_its_pool_its_state_and_its_name(pool: Pool) -> None:
    buf = pool.take(200)
    assert buf.pool is pool
    assert buf.live
    assert "200 bytes, live" in repr(buf)
    buf.release()
    assert not buf.live
    assert "200 bytes, released" in repr(buf)
    assert buf.state == "released"


def test_an_address_is_a_type_of_its_own(pool: Pool) -> None:
    with pool.take(64) as buf:
        address = buf.address
        assert isinstance(address, Address)
        assert not isinstance(address, int)
        assert pool.locate(int(address), 64) == bytes(64)
        assert buf.name in repr(address)
        with pytest.raises(TypeError):
            hex(address)  # type: ignore[arg-type]
    with pytest.raises(PoolError, match=r"of 64 bytes cannot be addressed: it was released before"):
        int(address)


@pytest.mark.parametrize("nbytes", [0, -1, -64, -4096])
def test_sizes_that_make_no_sense_are_refused(pool: Pool, nbytes: int) -> None:
    with pytest.raises(PoolError, match=f"a buffer of {nbytes} bytes") as caught:
        pool.take(nbytes)
    assert caught.value.errno == errno.EINVAL


def test_a_size_must_be_a_whole_number(pool: Pool) -> None:
    with pytest.raises(TypeError):
        pool.take(2.5)  # type: ignore[arg-type]


USES: list[Any] = [
    lambda buf: buf.release(),
    lambda buf: buf.memory,
    lambda buf: buf.address,
    lambda buf: bytes(buf),
    lambda buf: buf.fill(b"x"),
    lambda buf: buf.touch(),
    lambda buf: buf.view(cffi.FFI(), "long"),
    lambda buf: buf.cast(cffi.FFI(), "long *"),
]


@pytest.mark.parametrize("use", USES)
def test_any_use_after_release_is_refused_by_name(pool: Pool, use: Any) -> None:
    buf = pool.take(96)
    buf.release()
    with pytest.raises(PoolError, match=rf"{buf.name} cannot be .*: it was released before") as caught:
        use(buf)
    assert caught.value.errno == errno.ESTALE


def test_a_stale_buffer_stays_stale_when_its_memory_is_lent_again(pool: Pool) -> None:
    old = pool.take(200)
    old.release()
    with pool.take(200) as new:
        assert new.name != old.name
        with pytest.raises(PoolError, match="released before"):
            old.release()
        with pytest.raises(PoolError, match="released before"):
            old.fill(b"mischief")
        assert new.live
        assert bytes(new) == bytes(200)


def test_an_object_serves_again_only_when_nobody_holds_it(pool: Pool) -> None:
    held = pool.take(200)
    name, address = held.name, held.address
    held.release()
    others = [pool.take(200) for _ in range(64)]
    assert all(other is not held for other in others)
    assert len({id(other) for other in others}) == 64
    for other in others:
        other.release()
    assert held.name == name
    del held, other, others
    with pytest.raises(PoolError, match="released before"):
        int(address)  # an address holds its buffer, too

    def use() -> int:
        with pool.take(200) as buf:
            return id(buf)

    assert use() == use()  # nothing is made anew in steady state


def test_fill_takes_any_buffer_object_at_any_place(pool: Pool) -> None:
    with pool.take(16) as buf:
        buf.fill(b"ab")
        buf.fill(bytearray(b"cd"), at=2)
        buf.fill(memoryview(b"efgh")[0:2], 4)
        buf.fill(array.array("I", [1, 2]), at=8)
        assert bytes(buf) == b"abcdef\0\0" + array.array("I", [1, 2]).tobytes()


@pytest.mark.parametrize(("data", "at"), [(b"x" * 17, 0), (b"x", 16), (b"x", -1), (b"xx", 15)])
def test_fill_beyond_the_buffer_is_refused(pool: Pool, data: bytes, at: int) -> None:
    with pool.take(16) as buf:
        with pytest.raises(PoolError, match=f"do not fit at byte {at} of {buf.name}"):
            buf.fill(data, at)
        assert bytes(buf) == bytes(16)


@pytest.mark.parametrize("nbytes", [1, 4096, 4097, 300_000])
def test_a_touch_changes_nothing(pool: Pool, nbytes: int) -> None:
    with pool.take(nbytes) as buf:
        buf.fill(b"\x07" * nbytes)
        with pool.admitted((1, buf)) as args:
            pool.count_retry((1, buf))
            assert pool.locate(args[1], nbytes) == b"\x07" * nbytes


def test_a_struct_is_laid_over_the_bytes_without_a_copy(pool: Pool, ffi: cffi.FFI) -> None:
    with pool.take(ffi.sizeof("struct op")) as buf:
        op = buf.view(ffi, "struct op")
        op.cmd = 0x01020304
        assert bytes(buf.memory[:4]) == (0x01020304).to_bytes(4, sys.byteorder)
        assert buf.cast(ffi, "uint32_t *")[0] == op.cmd


def test_a_struct_that_is_longer_than_the_buffer_is_refused(pool: Pool, ffi: cffi.FFI) -> None:
    with pool.take(100) as buf, pytest.raises(PoolError, match=f"struct op needs 136 bytes, more than {buf.name}"):
        buf.view(ffi, "struct op")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="classes cannot offer the buffer protocol before Python 3.12")
def test_a_buffer_is_a_buffer_object(pool: Pool) -> None:
    with pool.take(10) as buf, memoryview(buf) as view:  # type: ignore[arg-type]
        view[0] = 7
        assert bytes(buf)[0] == 7


def test_handles_in_a_row_point_to_structs_in_a_row(pool: Pool) -> None:
    with pool.take(48 * 3) as structs, pool.take(64 * 3) as entries:
        entries.attach_each(16, 64, structs, 48, 3)
        words = array.array("Q", bytes(entries))
        start = int(structs.address)
        assert [words[at] for at in (2, 10, 18)] == [start, start + 48, start + 96]
        assert sum(word != 0 for word in words) == 3
        assert entries.attached == (structs,)
        with pool.admitted((entries, 3)), pytest.raises(PoolError, match="a hypercall is using it"):
            structs.release()
    with pool.take(64 * 3) as again:
        assert not any(bytes(again))


@pytest.mark.parametrize(
    ("at", "step", "count"), [(16, 64, 4), (-8, 64, 1), (188, 64, 1), (192, 64, 1), (16, 0, 2), (16, 4, 2), (16, 64, 0)]
)
def test_handles_in_a_row_lie_in_the_buffer(pool: Pool, at: int, step: int, count: int) -> None:
    with pool.take(512) as structs, pool.take(64 * 3) as entries:
        with pytest.raises(PoolError, match="do not lie in"):
            entries.attach_each(at, step, structs, 48, count)
        assert not any(bytes(entries))


def test_structs_in_a_row_must_all_be_there(pool: Pool) -> None:
    with pool.take(100) as structs, pool.take(64 * 3) as entries:
        entries.attach_each(16, 64, structs, 48, 3)
        with pytest.raises(PoolError, match="needs 144 bytes"):
            pool.admit((entries, 3))
        entries.attach_each(16, 64, structs, 48, 2)
        with pool.admitted((entries, 2)):
            pass
    with pool.take(64) as entries:
        with pytest.raises(TypeError, match="live buffer"):
            entries.attach_each(16, 64, structs, 48, 1)
        with pytest.raises(TypeError, match="live buffer"):
            entries.attach_each(16, 64, 4096, 48, 1)  # type: ignore[arg-type]


def test_a_with_block_does_not_hide_a_second_release(pool: Pool) -> None:
    with pytest.raises(PoolError, match="cannot be released"), pool.take(64) as buf:
        buf.release()
