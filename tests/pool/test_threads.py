"""Many threads on one pool, switching as often as Python can."""

import random
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from xenfs.errors import PoolError
from xenfs.pool import Pool, SimulatedPages, Way

THREADS = 16


@pytest.fixture(autouse=True)
def _nervous() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def together(work: Callable[[int], None], threads: int = THREADS) -> None:
    """Run work(0), work(1), ... at once; the first exception is raised here."""
    failures: list[BaseException] = []
    start = threading.Barrier(threads)

    def guarded(number: int) -> None:
        try:
            start.wait()
            work(number)
        except BaseException as problem:
            failures.append(problem)

    crowd = [threading.Thread(target=guarded, args=(number,)) for number in range(threads)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    if failures:
        raise failures[0]


@pytest.mark.parametrize("check", [False, True])
def test_no_two_threads_share_bytes_and_every_count_is_right(check: bool) -> None:
    rounds = 200 if check else 500
    with Pool(SimulatedPages(), check=check) as pool:

        def work(number: int) -> None:
            dice, mine = random.Random(number), bytes([number + 1])
            for _ in range(rounds):
                nbytes = dice.choice((8, 64, 200, 200, 4096, 9000))
                with pool.take(nbytes) as buf, pool.take(64) as other:
                    assert bytes(buf.memory) == bytes(nbytes)
                    buf.memory[:] = mine * nbytes
                    other.fill(mine * 64)
                    with pool.admitted((buf, 1, other)) as numbers:
                        assert pool.locate(numbers[0], nbytes) == mine * nbytes
                    assert bytes(buf) == mine * nbytes
                    with pool.bounce(bytearray(mine), Way.OUT):
                        pass

        together(work)
        stat = pool.stat()
        assert stat["takes"] == stat["releases"] == THREADS * rounds * 3
        assert stat["in_use"] == stat["red_zone_hits"] == 0
        assert stat["bytes_in"] == THREADS * rounds * 64
        assert 3 <= stat["peak"] <= 3 * THREADS
        assert all(lent == 0 for _, _, lent in pool.size_classes())


def test_of_two_that_release_at_once_one_is_refused() -> None:
    with Pool(SimulatedPages()) as pool:
        buffers = [pool.take(64) for _ in range(2000)]
        refused: list[str] = []

        def work(number: int) -> None:
            for buf in buffers:
                try:
                    buf.release()
                except PoolError as problem:
                    refused.append(str(problem))

        together(work, 2)
        assert len(refused) == len(buffers)
        assert pool.stat()["releases"] == len(buffers)
        assert len({id(pool.take(64)._block) for _ in buffers}) == len(buffers)
        for block in pool._stock.blocks():
            if block.lent:
                block.lent.release()


def test_a_buffer_is_either_released_or_in_flight() -> None:
    with Pool(SimulatedPages()) as pool:
        buffers = [pool.take(64) for _ in range(2000)]
        admitted: set[int] = set()
        released: set[int] = set()

        def work(number: int) -> None:
            for index, buf in enumerate(buffers):
                try:
                    if number:
                        buf.release()
                        released.add(index)
                    else:
                        pool.admit((buf,))
                        admitted.add(index)
                except PoolError:
                    continue

        together(work, 2)
        assert not admitted & released
        assert admitted | released == set(range(len(buffers)))
        for index in admitted:
            pool.retire_flight((buffers[index],))
            buffers[index].release()


def test_threads_that_wait_for_room_all_get_it() -> None:
    with Pool(SimulatedPages(), max_bytes=16384, wait_s=60) as pool:

        def work(number: int) -> None:
            for _ in range(20):
                with pool.take(4096) as buf:
                    buf.fill(bytes([number]) * 4096)

        together(work)
        assert pool.stat()["peak"] <= 4
