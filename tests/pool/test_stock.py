"""How memory is cut, shared, bounded and given back."""

import errno
import threading
import time
from itertools import pairwise

import pytest

from xenfs.errors import BadAddress, PoolError
from xenfs.pool import Pages, Pool, SimulatedPages
from xenfs.pool.blocks import SHELVED, large_size
from xenfs.pool.pages import PAGE


def test_a_small_buffer_costs_little_more_than_its_bytes(pages: Pages) -> None:
    with Pool(pages) as pool:
        lent = [pool.take(200) for _ in range(1024)]
        assert pool.stat()["bytes_mapped"] / len(lent) <= 256
        for buf in lent:
            buf.release()


@pytest.mark.parametrize("nbytes", [1, 65, 200, 1025, 4096, 5000, 65536, 65537, 200_000])
@pytest.mark.parametrize("align", [1, 8, 64, 128, 512, 2048, 4096])
def test_alignment_is_as_asked(pool: Pool, nbytes: int, align: int) -> None:
    lent = [pool.take(nbytes, align=align) for _ in range(5)]
    assert [int(buf.address) % align for buf in lent] == [0] * 5
    starts = sorted(int(buf.address) for buf in lent)
    assert all(after - before >= nbytes for before, after in pairwise(starts))
    for buf in lent:
        buf.release()


@pytest.mark.parametrize("align", [0, -8, 3, 24, 8192])
def test_an_impossible_alignment_is_refused(pool: Pool, align: int) -> None:
    with pytest.raises(PoolError, match=f"multiple of {align}") as caught:
        pool.take(64, align=align)
    assert caught.value.errno == errno.EINVAL


def test_classes_waste_a_third_at_most_and_divide_pages() -> None:
    for smaller, size in pairwise(SHELVED):
        assert smaller + 1 > size / 2
    assert all(large_size(nbytes) <= nbytes * 5 // 4 + PAGE for nbytes in range(65537, 1 << 22, 4099))
    assert all(large_size(nbytes) % PAGE == 0 for nbytes in range(65537, 1 << 22, 4099))


def test_beyond_the_bound_is_enomem_at_once(pool: Pool) -> None:
    with pytest.raises(PoolError, match=f"{65 << 20} bytes is more than the pool may hold") as caught:
        pool.take(65 << 20)
    assert caught.value.errno == errno.ENOMEM


def test_an_exhausted_pool_says_so_and_recovers() -> None:
    with Pool(SimulatedPages(), max_bytes=64 << 10) as pool:
        lent = [pool.take(4096) for _ in range(16)]
        with pytest.raises(PoolError, match="holds 65536 bytes and may hold 65536") as caught:
            pool.take(4096)
        assert caught.value.errno == errno.ENOMEM
        lent.pop().release()
        with pool.take(100) as small:  # from the larger block that is free
            assert len(small) == 100
        for buf in lent:
            buf.release()


def test_a_bounded_wait_ends_with_a_buffer_or_with_enomem() -> None:
    with Pool(SimulatedPages(), max_bytes=PAGE, wait_s=0.05) as pool:
        buf = pool.take(4096)
        begin = time.monotonic()
        with pytest.raises(PoolError, match=r"in 0\.05 s"):
            pool.take(4096)
        assert time.monotonic() - begin >= 0.05
        pool._stock.wait_s = 30
        threading.Timer(0.02, buf.release).start()
        pool.take(4096).release()


def test_large_mappings_are_kept_a_little_and_given_back_whole(pool: Pool) -> None:
    big = pool.take(3 << 20)
    big.release()
    assert pool.stat()["bytes_mapped"] == 3 << 20
    with pool.take(5 << 19) as fits:
        assert len(fits) == 5 << 19
    assert pool.stat()["too_big"] == 1
    pool.take(6 << 20).release()
    assert pool.stat()["bytes_mapped"] == 0
    assert pool.stat()["takes"] == pool.stat()["releases"] == 3


def test_idle_large_mappings_make_room_for_others() -> None:
    with Pool(SimulatedPages(), max_bytes=1 << 20) as pool:
        pool.take(200 << 10).release()
        assert pool.stat()["bytes_mapped"] > 0
        with pool.take(900 << 10):
            assert pool.stat()["bytes_mapped"] <= 1 << 20


def test_a_source_that_gives_little_is_asked_for_little() -> None:
    class Meagre(SimulatedPages):
        def map(self, nbytes: int):  # type: ignore[no-untyped-def]
            if nbytes > PAGE:
                raise PoolError("too much", errno.EAGAIN)
            return super().map(nbytes)

    with Pool(Meagre()) as pool:
        with pool.take(64), pool.take(4096):
            assert pool.stat()["bytes_mapped"] == 2 * PAGE
        with pytest.raises(PoolError, match="too much"):
            pool.take(PAGE + 1)


def test_growth_is_over_after_one_per_class(pool: Pool) -> None:
    for _ in range(100):
        for nbytes in (64, 200, 4096):
            for buf in [pool.take(nbytes) for _ in range(16)]:
                buf.release()
    assert pool.stat()["misses"] == 3
    assert pool.stat()["hits"] == 16 * 3 * 100 - 3


def test_locate_finds_bytes_of_one_buffer_on_loan_and_no_others(pool: Pool) -> None:
    first, second = pool.take(64), pool.take(64)
    at = int(first.address)
    pool.locate(at + 10, 54)[:] = b"y" * 54
    assert bytes(first) == bytes(10) + b"y" * 54
    for address, nbytes in ((at, 65), (at + 64, 1), (at - 1, 1), (at, -1), (0, 1), (2**64 - 1, 1), (at - (1 << 30), 8)):
        if address == int(second.address):
            continue
        with pytest.raises(BadAddress):
            pool.locate(address, nbytes)
    assert len(pool.locate(at, 0)) == 0
    first.release()
    with pytest.raises(BadAddress):
        pool.locate(at, 1)
    second.release()


def test_the_counters_come_in_the_order_of_the_tree(pool: Pool) -> None:
    with pool.take(10) as buf:
        buf.fill(b"1234")
        assert bytes(buf)
        pool.count_retry()
        assert pool.size_classes() == [(64, 64, 1)]
        assert " ".join(f"{name}={value}" for name, value in pool.stat().items()) == (
            "takes=1 releases=0 in_use=1 peak=1 hits=0 misses=1 too_big=0 bytes_mapped=262144 bytes_in=4 bytes_out=10"
            " efault_retries=1 red_zone_hits=0"
        )


def test_close_is_refused_while_anything_is_lent() -> None:
    pool = Pool(SimulatedPages())
    buf = pool.take(64)
    with pytest.raises(PoolError, match=f"1 buffers are in use, as <{buf.name}") as caught:
        pool.close()
    assert caught.value.errno == errno.EBUSY
    buf.release()
    pool.close()
    pool.close()
    with pytest.raises(PoolError, match="the pool is closed"):
        pool.take(64)
    assert pool.stat()["takes"] == pool.stat()["releases"] == 1
    assert pool.stat()["bytes_mapped"] == 0
