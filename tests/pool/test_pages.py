"""Where pages come from, and what the kernel promises about them."""

import errno
import mmap
import resource
import subprocess
import sys
from types import SimpleNamespace

import cffi
import pytest
from memory_facts import locked, smaps

from xenfs.errors import PoolError
from xenfs.pool import HypercallDevice, LockedAnonymous, Pool, SimulatedPages, best_pages
from xenfs.pool.libc import libc as used
from xenfs.pool.pages import PAGE

libc = cffi.FFI()
libc.cdef("int mlock(const void *start, size_t nbytes); int munlock(const void *start, size_t nbytes);")


def test_each_source_says_what_it_is() -> None:
    assert [(pages.name, pages.faults) for pages in (SimulatedPages, LockedAnonymous, HypercallDevice)] == [
        ("simulator", False),
        ("anonymous", True),
        ("hypercall", False),
    ]


def test_two_locks_on_one_page_do_not_nest() -> None:
    """The seed's first point, as an experiment on memory that is not the pool's."""
    c = libc.dlopen(None)
    with mmap.mmap(-1, PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page, libc.from_buffer(page) as base:
        start = int(libc.cast("uintptr_t", base))
        assert c.mlock(base + 100, 200) == c.mlock(base + 500, 200) == 0
        assert locked(start, PAGE)
        assert c.munlock(base + 100, 200) == 0
        assert not locked(start, PAGE)  # though the second object is still in use


def test_pool_pages_stay_locked_while_neighbours_come_and_go() -> None:
    """The same with the pool: many buffers share pages, and no release unlocks any."""
    with Pool(LockedAnonymous()) as pool:
        kept = pool.take(200)
        for _ in range(20):
            crowd = [pool.take(nbytes) for nbytes in (64, 200, 200, 700, 4096, 9000, 300_000)]
            for buf in crowd:
                buf.release()
            for mapping in pool._stock.mappings:
                assert locked(mapping.start, mapping.nbytes)
        (facts,) = smaps(int(kept.address), 200)
        assert {"lo", "dc"} <= set(facts["VmFlags"].split())  # locked, and not copied to children
        assert facts["Private_Dirty"] == facts["Size"]  # each page was written to
        kept.release()


def test_every_page_is_written_to_whatever_the_lock_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that takes effect only when a page is used would leave pages that Xen cannot write to."""
    functions = {name: getattr(used, name) for name in ("memset", "munmap", "mmap")}
    monkeypatch.setattr("xenfs.pool.pages.libc", SimpleNamespace(**functions, mlock=lambda start, nbytes: 0))
    with Pool(LockedAnonymous()) as pool, pool.take(300_000) as buf:
        (facts,) = smaps(int(buf.address), 300_000)
        assert facts["Private_Dirty"] == facts["Size"]


def test_no_page_is_left_locked_when_the_pool_is_closed() -> None:
    before = resource.getpagesize() and _locked_kib()
    with Pool(LockedAnonymous()) as pool:
        pool.take(200).release()
        assert _locked_kib() == before + 256
    assert _locked_kib() == before


def _locked_kib() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmLck:"))


LIMITED = """
import ctypes, os, resource, sys
from xenfs.pool import LockedAnonymous, Pool
from xenfs.errors import PoolError
resource.setrlimit(resource.RLIMIT_MEMLOCK, (LIMIT, LIMIT))
if os.getuid() == 0:
    os.setuid(65534)  # root may lock as much as it likes
pool = Pool(LockedAnonymous())
try:
    lent = [pool.take(4096) for _ in range(100)]
except PoolError as problem:
    print(problem.errno, problem)
print(pool.stat()["bytes_mapped"])
"""


def limited(limit: int) -> list[str]:
    script = LIMITED.replace("LIMIT, LIMIT", f"{limit}, {limit}")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def test_a_limit_on_locked_memory_is_told_with_its_numbers() -> None:
    told, mapped = limited(0)
    assert told.startswith(f"{errno.EPERM} cannot lock 65536 bytes") or told.startswith(
        f"{errno.EPERM} cannot lock 4096"
    )
    assert "RLIMIT_MEMLOCK is 0 bytes" in told
    assert mapped == "0"


def test_what_the_limit_allows_is_used() -> None:
    told, mapped = limited(64 << 10)
    assert told.startswith(f"{errno.ENOMEM} cannot lock 4096 bytes")
    assert "RLIMIT_MEMLOCK is 65536 bytes, 65536 bytes are locked already, 69632 are needed" in told
    assert mapped == "65536"


def test_no_device_no_buffers() -> None:
    with pytest.raises(PoolError, match="cannot open /dev/xen/nowhere: No such file") as caught:
        HypercallDevice("/dev/xen/nowhere")
    assert caught.value.errno == errno.ENOENT


def test_a_device_that_refuses_is_named_with_the_number_of_bytes() -> None:
    pages = HypercallDevice("/dev/null")  # cannot be mapped
    with pytest.raises(PoolError, match=r"/dev/null refused \d+ bytes: No such device") as caught:
        Pool(pages).take(200)
    assert caught.value.errno == errno.ENODEV
    pages.close()
    pages.close()


def test_a_device_is_mapped_shared_and_kept_from_children() -> None:
    with Pool(HypercallDevice("/dev/zero")) as pool, pool.take(200) as buf:  # it can be mapped in the same way
        (facts,) = smaps(int(buf.address), 200)
        assert {"sh", "dc"} <= set(facts["VmFlags"].split())
        assert facts["Rss"] == facts["Size"]
        assert facts["of"] == "/dev/zero"


def test_the_device_is_used_only_where_it_is_wanted() -> None:
    assert best_pages(use_device=False).name == "anonymous"
