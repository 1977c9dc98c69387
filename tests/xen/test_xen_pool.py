"""The pool under real hypercalls: what faults without it, and that nothing faults with it.

Every experiment on the pool has a control beside it: the same hypercall on memory that lacks one of the pool's
precautions. The counts go to the terminal.
"""

from __future__ import annotations

import errno
import mmap
import os
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import cffi
import pytest
from children import a_child_that_shares_memory
from memory_facts import smaps

from xenfs.abi.numbers import Hypercall, Sysctl, Xenver
from xenfs.abi.operations import operation
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.privcmd import Privcmd, under_xen
from xenfs.pool import Buffer, Pool, Violation
from xenfs.pool.pages import DEVICE, PAGE

pytestmark = [
    pytest.mark.skipif(not under_xen(), reason="needs a real Xen"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),  # forks with threads are the experiment
]

SECONDS = float(os.environ.get("XENFS_POOL_SECONDS", "8"))
PAGES = 256
OF_THE_KERNEL = pytest.mark.once_a_dom0("what happens to pages is dom0's kernel's doing")
MADV_SOFT_OFFLINE = 101  # move what is in a page elsewhere and never use the page again

ffi = cffi.FFI()
ffi.cdef("int mlock(const void *start, size_t nbytes); int munlock(const void *start, size_t nbytes);")
libc = ffi.dlopen(None)

Tell = Callable[[str], None]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Prints a line that the terminal shows although the test passes."""

    def show(line: str) -> None:
        with capsys.disabled():
            print(f"\n  {line}", end="", flush=True)

    return show


@pytest.fixture(params=["hypercall", "anonymous"])
def backend(request: pytest.FixtureRequest) -> Iterator[Privcmd]:
    if request.param == "hypercall" and not os.path.exists(DEVICE):
        pytest.skip(f"there is no {DEVICE}")
    made = Privcmd(hypercall_device=request.param == "hypercall")
    assert made.pages.name == request.param
    yield made
    made.close()


@pytest.fixture
def pool(backend: Privcmd) -> Iterator[Pool]:
    with Pool(backend.pages) as made:
        yield made


def write_to(backend: Privcmd, address: int) -> int:
    """Let Xen write 16 bytes there: the hypercall that needs neither privilege nor an interface version."""
    return backend.hypercall(Hypercall.xen_version, (Xenver.extraversion, address))


def ask(backend: Privcmd, pool: Pool, buf: Buffer) -> int:
    """The same for a buffer. Returns how many times Xen answered EFAULT before it answered 0."""
    with pool.admitted((Xenver.extraversion, buf), "xen_version extraversion") as args:
        for faults in range(100):
            result = backend.hypercall(Hypercall.xen_version, args)
            if result != -errno.EFAULT:
                assert result == 0
                return faults
            pool.count_retry((buf,))
    raise AssertionError("Xen answered EFAULT a hundred times")


@contextmanager
def plain_page() -> Iterator[tuple[mmap.mmap, int]]:
    """A page of ordinary memory and its address."""
    memory = mmap.mmap(-1, PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with ffi.from_buffer(memory) as base:
        yield memory, int(ffi.cast("uintptr_t", base))
    memory.close()


def frames(start: int) -> int:
    """The physical frame behind an address."""
    with open("/proc/self/pagemap", "rb") as pagemap:
        pagemap.seek(start // PAGE * 8)
        return int.from_bytes(pagemap.read(8), "little") & (1 << 55) - 1


def move(pool: Pool, address: int) -> bool:
    """Let the kernel move one page of the pool to another frame, if it can."""
    mapping = pool._stock.block_at(address).mapping  # type: ignore[union-attr]
    before = frames(address)
    with suppress(OSError):
        mapping.memory.madvise(MADV_SOFT_OFFLINE, address - mapping.start, PAGE)
    return frames(address) != before


@contextmanager
def busy(*scripts: str) -> Iterator[None]:
    """Shell loops that run beside the test."""
    loops = [subprocess.Popen(["sh", "-c", f"while :; do {script}; done"]) for script in scripts]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


# One precaution left out at a time


@OF_THE_KERNEL
def test_a_page_that_was_not_written_to_faults_and_the_pools_do_not(backend: Privcmd, pool: Pool, tell: Tell) -> None:
    with plain_page() as (memory, address):
        untouched = write_to(backend, address)
        assert memory[0] == 0
        read = write_to(backend, address)
        memory[0] = 0
        assert write_to(backend, address) == 0
    assert untouched == -errno.EFAULT
    assert read in (0, -errno.EFAULT)
    with pool.take(PAGE) as buf:
        assert ask(backend, pool, buf) == 0
    tell(f"{pool.pages.name}: untouched {untouched}, only read {read}, written 0; in the pool 0 at the first call")


@OF_THE_KERNEL
def test_a_page_shared_with_a_child_faults_and_the_pools_do_not(backend: Privcmd, pool: Pool, tell: Tell) -> None:
    with plain_page() as (memory, address), pool.take(PAGE) as buf:
        libc.mlock(ffi.cast("void *", address), PAGE)  # type: ignore[attr-defined]
        memory[0] = 0
        assert write_to(backend, address) == 0
        with a_child_that_shares_memory():
            shared = write_to(backend, address)  # locked, and yet: copy on write, the page is read-only now
            faults = ask(backend, pool, buf)
    assert shared == -errno.EFAULT
    assert faults == 0
    tell(f"{pool.pages.name}: locked page after a fork {shared}; in the pool 0 at the first call")


@OF_THE_KERNEL
def test_a_neighbour_that_unlocks_its_part_of_the_page(backend: Privcmd, pool: Pool, tell: Tell) -> None:
    """The seed's first point with a real hypercall: the kernel takes back a page that one of two users unlocked."""
    with plain_page() as (memory, address):
        for part in (0, 2048):
            libc.mlock(ffi.cast("void *", address + part), 64)  # type: ignore[attr-defined]
        memory[0] = 0
        assert write_to(backend, address) == 0
        libc.munlock(ffi.cast("void *", address + 2048), 64)  # type: ignore[attr-defined]
        memory.madvise(mmap.MADV_DONTNEED)  # EINVAL on locked memory; here it may go: nothing holds it any more
        gone = write_to(backend, address)
    with pool.take(200) as kept:
        for _ in range(100):
            with pool.take(200), pool.take(200), pool.take(5000):
                pass
        assert ask(backend, pool, kept) == 0
        mapping = pool._stock.block_at(int(kept.address)).mapping  # type: ignore[union-attr]
        if pool.pages.name == "anonymous":
            with pytest.raises(OSError, match="Invalid argument"):
                mapping.memory.madvise(mmap.MADV_DONTNEED)
    assert gone == -errno.EFAULT
    tell(f"{pool.pages.name}: after the neighbour's munlock {gone}; in the pool 0 at the first call")


@OF_THE_KERNEL
def test_every_page_is_locked_or_the_devices(backend: Privcmd, pool: Pool) -> None:
    for _ in range(5):
        lent = [pool.take(nbytes) for nbytes in (64, 200, 4096, 9000, 300_000)]
        for buf in lent[::2]:
            buf.release()
        for mapping in pool._stock.mappings:
            for facts in smaps(mapping.start, mapping.nbytes):
                if pool.pages.name == "hypercall":
                    assert facts["of"] == DEVICE
                    assert {"sh", "dc"} <= set(facts["VmFlags"].split())
                else:
                    assert facts["Locked"] == facts["Size"]
        for buf in lent[1::2]:
            buf.release()


# Everything at once, for a while


@OF_THE_KERNEL
def test_real_hypercalls_under_memory_compaction(backend: Privcmd, pool: Pool, tell: Tell) -> None:
    lent = [pool.take(PAGE) for _ in range(PAGES)]
    before = [frames(int(buf.address)) for buf in lent]
    calls = faults = 0
    holes = [mmap.mmap(-1, PAGE) for _ in range(20_000)]  # free every other one: something to compact
    for hole in holes:
        hole[0] = 1
    for hole in holes[::2]:
        hole.close()
    with busy("echo 1 > /proc/sys/vm/compact_memory", "echo 1 > /proc/sys/vm/drop_caches; sleep 0.2"):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for buf in lent:
                faults += ask(backend, pool, buf)
            calls += len(lent)
    moved = sum(frames(int(buf.address)) != frame for buf, frame in zip(lent, before, strict=True))
    for hole in holes[1::2]:
        hole.close()
    for buf in lent:
        buf.release()
    tell(f"{pool.pages.name}: {calls} hypercalls under compaction, {moved} of {PAGES} pages moved, {faults} EFAULT")
    assert pool.stat()["efault_retries"] == faults
    if not pool.pages.faults:
        assert (faults, moved) == (0, 0)


@OF_THE_KERNEL
def test_a_page_that_the_kernel_moves(backend: Privcmd, pool: Pool, tell: Tell) -> None:
    """The seed's third point, page by page: locked memory can be moved to another frame, the device's cannot."""
    with pool.take(64 * PAGE) as buf:
        start = int(buf.address)
        moved = still = mended = 0
        for address in range(start, start + 64 * PAGE, PAGE):
            moved += move(pool, address)
            first, second = write_to(backend, address), write_to(backend, address)
            still += first == second == -errno.EFAULT
            if first:
                pool.count_retry((buf,))
                mended += write_to(backend, address) == 0
    faults = pool.stat()["efault_retries"]
    tell(f"{pool.pages.name}: {moved} of 64 pages moved, {faults} EFAULT, {still} twice, {mended} mended by touch")
    assert mended == faults
    if not pool.pages.faults:
        assert moved == faults == 0


@OF_THE_KERNEL
def test_real_hypercalls_while_pages_are_moved(backend: Privcmd, pool: Pool, tell: Tell) -> None:
    stop = threading.Event()
    moves = [0]

    def mover() -> None:
        while not stop.is_set():
            moves[0] += move(pool, start)

    with pool.take(PAGE) as buf:
        start = int(buf.address)
        thread = threading.Thread(target=mover)
        thread.start()
        calls = faults = worst = 0
        end = time.monotonic() + SECONDS / 3
        try:
            while time.monotonic() < end:
                again = ask(backend, pool, buf)
                calls, faults, worst = calls + 1, faults + again, max(worst, again)
        finally:
            stop.set()
            thread.join()
    tell(f"{pool.pages.name}: {calls} hypercalls beside {moves[0]} moves of it, {faults} EFAULT, {worst} in a row")
    assert faults == 0 or pool.pages.faults


@OF_THE_KERNEL
def test_real_hypercalls_in_a_fork_storm(backend: Privcmd, pool: Pool, tell: Tell) -> None:
    calls, faults, stop = [0] * 4, [0] * 4, threading.Event()

    def use(number: int) -> None:
        while not calls[number] or not stop.is_set():
            with pool.take(200) as buf:
                faults[number] += ask(backend, pool, buf)
                assert any(buf.memory[:16])
            calls[number] += 1

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    children = statuses = 0
    end = time.monotonic() + SECONDS / 3
    try:
        while time.monotonic() < end:
            child = os.fork()
            if child == 0:
                os._exit(0)
            statuses |= os.waitpid(child, 0)[1]
            subprocess.run(["true"], check=True)
            children += 2
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    tell(f"{pool.pages.name}: {sum(calls)} hypercalls beside {children} children, {sum(faults)} EFAULT")
    assert statuses == 0
    assert min(calls) > 0
    assert sum(faults) == 0 or pool.pages.faults


@OF_THE_KERNEL
def test_real_hypercalls_in_a_thread_storm(backend: Privcmd, pool: Pool, tell: Tell) -> None:
    """Each thread lets Xen write into buffers of its own, beside marks that must stay."""
    calls, faults, end = [0] * 16, [0] * 16, time.monotonic() + SECONDS / 3
    broken: list[int] = []

    def use(number: int) -> None:
        mark = bytes([number + 1]) * 48
        while not calls[number] or time.monotonic() < end:
            with pool.take((64, 200, 5000)[calls[number] % 3]) as buf, pool.take(64) as other:
                buf.fill(mark[:48], 16)
                other.fill(mark[:48])
                faults[number] += ask(backend, pool, buf)
                if not any(buf.memory[:16]) or bytes(buf)[16:64] != mark or bytes(other)[:48] != mark:
                    broken.append(number)
            calls[number] += 1

    threads = [threading.Thread(target=use, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tell(f"{pool.pages.name}: {sum(calls)} hypercalls from 16 threads, {sum(faults)} EFAULT")
    assert not broken
    assert min(calls) > 0
    assert pool.stat()["in_use"] == 0
    assert sum(faults) == 0 or pool.pages.faults


@OF_THE_KERNEL
def test_the_device_does_not_count_as_locked_memory(backend: Privcmd) -> None:
    if backend.pages.name != "hypercall":
        pytest.skip("about the device")
    limits = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    with Pool(backend.pages) as pool, pool.take(1 << 20) as buf:
        assert ask(backend, pool, buf) == 0
        with open("/proc/self/status") as status:
            assert "VmLck:\t       0 kB" in status.read()
    assert resource.getrlimit(resource.RLIMIT_MEMLOCK) == limits


# A wrong layout


@pytest.mark.logs("write past the end of")
def test_a_stride_that_is_too_short_is_caught_in_the_act(xen: Hypervisor, tell: Tell) -> None:
    """Xen writes a domain list whose rows are eight bytes longer than the caller believed."""
    right = xen.abi.sizeof("struct xen_domctl_getdomaininfo")
    seen: list[Violation] = []
    with Pool(xen.backend.pages, check=True, on_violation=seen.append) as pool:
        other = Hypervisor(xen.backend, pool, xen.abi)
        with pool.take(right - 8) as rows:
            _domain_list(other, rows)
        assert len(seen) == 1, "Xen wrote no further than it was told"
        with pool.take(right) as rows:
            _domain_list(other, rows)
    assert len(seen) == 1
    assert seen[0].operation == "sysctl getdomaininfolist"
    assert seen[0].nbytes == right - 8 <= seen[0].offset < right
    tell(str(seen[0]))


def _domain_list(xen: Hypervisor, rows: Buffer) -> None:
    """One row of the list of domains, wherever it fits or not."""
    op = operation(Sysctl.getdomaininfolist)
    with xen.pool.take(xen.abi.sizeof("struct xen_sysctl")) as buf:
        view = xen.abi.view("struct xen_sysctl", buf)
        view.cmd, view.interface_version = op.cmd, xen.abi.sysctl
        view.u.getdomaininfolist.max_domains = 1
        buf.attach(view.u.getdomaininfolist, "buffer", rows)
        with xen.pool.admitted((buf,), op.name) as args:
            assert xen.backend.hypercall(op.hypercall, args) == 0
