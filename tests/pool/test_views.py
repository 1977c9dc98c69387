"""Memory views end with their buffer. Those that do not are heard of, and the memory is not lent meanwhile."""

import mmap

import cffi
import pytest

from xenfs.errors import PoolError
from xenfs.pool import Pages, Pool


def test_a_view_is_revoked_at_release(pool: Pool) -> None:
    with pool.take(100) as buf:
        view = buf.memory
        assert buf.memory is view
    with pytest.raises(ValueError, match="released"):
        view[0]


@pytest.mark.parametrize("make", [lambda m: m[10:20], lambda m: m.cast("I"), lambda m: cffi.FFI().from_buffer(m)])
def test_what_outlives_its_buffer_is_refused_by_name(pages: Pages, make: object) -> None:
    with Pool(pages) as pool:
        buf = pool.take(100)
        held = make(buf.memory)  # type: ignore[operator]
        with pytest.raises(PoolError, match=f"views of {buf.name} outlive it"):
            buf.release()
        assert not buf.live
        others = [pool.take(100) for _ in range(64)]
        held[0] = held[0]  # the memory is still there, and nobody else's
        held[1] = b"x" if isinstance(held[1], bytes) else 7
        assert not any(any(other.memory) for other in others)
        with pytest.raises(PoolError, match="cannot be closed"):
            pool.close()
        for other in others:
            other.release()
        del held
        pool.trim()
        assert pool.size_classes() == [(128, 128, 0)]
        assert len({id(pool.take(100)._block) for _ in range(128)}) == 128  # it is lent again
        for block in pool._stock.blocks():
            block.lent.release()  # type: ignore[union-attr]


def test_an_exception_on_its_way_is_not_hidden_by_the_view_it_holds(pool: Pool) -> None:
    def fail() -> None:
        with pool.take(100) as buf:
            part = buf.memory[1:3]
            raise KeyError(len(part))

    with pytest.raises(KeyError) as caught:
        fail()
    assert "outlive" in caught.value.__notes__[0]
    del caught
    assert pool.stat()["in_use"] == 0


def test_a_large_mapping_is_not_unmapped_under_a_view(pool: Pool) -> None:
    buf = pool.take(8 << 20)
    part = buf.memory[-mmap.PAGESIZE :]
    with pytest.raises(PoolError, match="outlive"):
        buf.release()
    pool.trim()
    part[0] = 1  # would be a SIGSEGV
    assert pool.stat()["bytes_mapped"] == 8 << 20
    del part
    pool.trim()
    assert pool.stat()["bytes_mapped"] == 0
