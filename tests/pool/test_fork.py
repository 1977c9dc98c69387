"""Children: they cannot use the pool, they cannot harm it, and they do not die of trying."""

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable

import cffi
import pytest
from children import a_child_that_shares_memory
from memory_facts import frames, locked

from xenfs.errors import PoolError
from xenfs.pool import HypercallDevice, LockedAnonymous, Pages, Pool, SimulatedPages

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # fork with threads: it is the test

HANDLES = cffi.FFI()
HANDLES.cdef("typedef struct xen_guest_memory *guest_handle; struct holder { guest_handle to; };")
ZERO = "/dev/zero"  # mapped shared, it stands for the device


@pytest.fixture(params=[LockedAnonymous, lambda: HypercallDevice(ZERO)], ids=["anonymous", "device"])
def pages(request: pytest.FixtureRequest) -> Pages:
    return request.param()  # type: ignore[no-any-return]


def in_child(work: Callable[[], None]) -> int:
    """Run something in a forked child: 0 when all its assertions held, else 1 or the signal that ended it."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as problem:
            os.write(2, f"{problem!r}\n".encode())
            os._exit(1)
    return os.waitpid(child, 0)[1]


def test_a_child_is_refused_and_survives(pages: Pages) -> None:
    ffi = cffi.FFI()
    with Pool(pages) as pool:
        buf, large, flying = pool.take(200), pool.take(1 << 20), pool.take(64)
        pool.admit((flying,))
        buf.fill(b"parent")
        memory, raw = buf.memory, buf.cast(ffi, "char *")

        def work() -> None:
            refusal = rf"this is a forked child, the pool belongs to process {os.getppid()}"
            for use in (
                lambda: pool.take(64),
                buf.release,
                lambda: buf.memory,
                lambda: pool.admit((buf,)),
                large.release,
            ):
                with pytest.raises(PoolError, match=refusal):
                    use()
            with pytest.raises(PoolError, match="forked child"):
                buf.__exit__(None, None, None)
            with pytest.raises(PoolError, match="forked child"):
                pool.retire_flight((flying,))
            pool.trim()
            pool.close()
            assert pool.stat()["in_use"] == 0
            with pytest.raises(ValueError, match="released"):
                memory[0]
            assert raw[0] == b"\0"  # neither a SIGSEGV nor the parent's bytes
            raw[0] = b"x"

        assert in_child(work) == 0
        assert bytes(buf)[:6] == b"parent"
        with pool.take(64):
            pass
        pool.retire_flight((flying,))
        for each in (buf, large, flying):
            each.release()


def test_a_child_that_drops_the_pool_unmaps_nothing_of_its_own(pages: Pages) -> None:
    script = f"""
import gc, os
from xenfs.pool import *
pools = [Pool({"LockedAnonymous()" if pages.name == "anonymous" else f"HypercallDevice({ZERO!r})"})]
pools[0].take(200).release()
if os.fork() == 0:
    memory = [bytearray(256 << 10) for _ in range(200)]  # would come to lie where the pool was
    pools.clear()
    gc.collect()
    for each in memory:
        each[:] = b"x" * len(each)
else:
    raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0


def test_a_pool_made_in_the_child_works_there(pages: Pages) -> None:
    with Pool(pages):

        def work() -> None:
            with Pool(LockedAnonymous()) as pool, pool.take(100) as buf:
                buf.fill(b"child")

        assert in_child(work) == 0


def test_subprocesses_do_not_mind(pages: Pages) -> None:
    with Pool(pages) as pool, pool.take(200) as buf:
        buf.fill(b"kept")
        subprocess.run(["true"], check=True)
        subprocess.run(["true"], check=True, preexec_fn=lambda: None)
        assert bytes(buf)[:4] == b"kept"


def test_pages_keep_their_frames_through_forks() -> None:
    """A page shared with a child would be copied at the parent's next write: Xen would write to the old one."""
    with Pool(LockedAnonymous()) as pool:
        buf = pool.take(64 << 10)
        start = int(buf.address)
        before = frames(start, 64 << 10)
        plain = bytearray(64 << 10)
        plain_start = int(cffi.FFI().cast("uintptr_t", cffi.FFI().from_buffer(plain))) + 4095 & ~4095
        plain[:] = b"1" * len(plain)
        plain_before = frames(plain_start, 32 << 10)
        ready, go = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(go)
            os.read(ready, 1)  # stay until the parent has written
            os._exit(0)
        buf.memory[:] = b"2" * (64 << 10)
        plain[:] = b"2" * len(plain)
        assert frames(start, 64 << 10) == before
        assert frames(plain_start, 32 << 10) != plain_before  # as it goes without the advice
        os.close(go)
        os.waitpid(child, 0)
        os.close(ready)
        buf.release()


def test_before_a_retry_every_page_is_made_this_processes_own_again() -> None:
    """What a fork left read-only is writable once it was touched; here on memory that children do share."""
    with Pool(SimulatedPages()) as pool, pool.take(32 << 10) as buf, pool.take(32 << 10) as other:
        holder, mine = pool.take(64), (int(buf.address), 32 << 10)
        buf.fill(b"x" * (32 << 10))
        other.fill(b"y" * (32 << 10))
        holder.attach(holder.view(HANDLES, "struct holder"), "to", buf)
        with a_child_that_shares_memory():
            before = frames(*mine), frames(int(other.address), 32 << 10)
            with pool.admitted((1, holder)) as args:
                pool.count_retry((1, holder))
                assert len(args) == 2
            after = frames(*mine), frames(int(other.address), 32 << 10)
        assert not set(before[0]) & set(after[0])  # copied: what Xen would have written to before was the child's too
        assert before[1] == after[1]  # and what the call does not use was left alone
        assert bytes(buf) == b"x" * (32 << 10)
        holder.release()


def test_fork_storm(pages: Pages) -> None:
    """Threads use the pool and fork all the time; nobody's bytes change and every page stays locked."""
    with Pool(pages, check=True) as pool:
        failures: list[object] = []
        stop = threading.Event()

        def use(seed: int) -> None:
            dice = random.Random(seed)
            while not stop.is_set():
                data = dice.randbytes(dice.choice((64, 200, 4096, 70_000)))
                with pool.take(len(data)) as buf:
                    buf.fill(data)
                    stop.wait(0.0005)
                    if bytes(buf) != data:
                        failures.append("bytes changed")

        def spoil() -> None:
            for mapping in pool._stock.mappings:
                cffi.FFI().memmove(cffi.FFI().cast("char *", mapping.start), b"\xee" * mapping.nbytes, mapping.nbytes)
            with pytest.raises(PoolError, match="forked child"):
                pool.take(64)

        threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        try:
            failures += [status for _ in range(60) if (status := in_child(spoil))]
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert failures == []
        assert pool.stat()["red_zone_hits"] == 0
        if pages.name == "anonymous":
            assert all(locked(mapping.start, mapping.nbytes) for mapping in pool._stock.mappings)
