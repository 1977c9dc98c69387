"""Where hypercall-safe pages come from: the hypercall buffer device, locked anonymous memory, or the simulator's."""

from __future__ import annotations

import errno
import mmap
import os
import resource
from abc import ABC, abstractmethod
from pathlib import Path

from xenfs.errors import PoolError
from xenfs.pool.libc import ffi, libc

PAGE = mmap.PAGESIZE
DEVICE = "/dev/xen/hypercall"

_MAP_FIXED_NOREPLACE = 0x100000  # the same on x86 and Arm; the mmap module does not have it


class Pages(ABC):
    """A source of mappings. `faults`: Xen may meet a page that is not there for a moment and answer EFAULT."""

    name: str
    faults: bool

    @abstractmethod
    def map(self, nbytes: int) -> mmap.mmap:
        """A zeroed, writable mapping of whole pages, each of them written to; PoolError when there is none."""

    def unmap(self, memory: mmap.mmap) -> None:
        """Give a mapping back whole."""
        memory.close()

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Let go of what the source itself holds; its mappings stay."""


class HypercallDevice(Pages):
    """/dev/xen/hypercall: kernel pages that are never moved, compacted or reclaimed, so Xen never faults on them."""

    name = "hypercall"
    faults = False

    def __init__(self, path: str = DEVICE) -> None:
        self.path = path
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as exc:
            raise PoolError(f"cannot open {path}: {exc.strerror}", exc.errno or errno.ENODEV) from exc

    def map(self, nbytes: int) -> mmap.mmap:
        """A shared mapping of the device, which children do not inherit; the device refuses private ones."""
        try:
            memory = mmap.mmap(self._fd, nbytes, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            memory.madvise(mmap.MADV_DONTFORK)
        except OSError as exc:
            raise PoolError(f"{self.path} refused {nbytes} bytes: {exc.strerror}", exc.errno or errno.ENOMEM) from exc
        return _touched(memory)

    def close(self) -> None:
        """Close the device; mappings made from it stay valid."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class LockedAnonymous(Pages):
    """Anonymous memory, locked and kept from children. The kernel may still move a page: Xen may see EFAULT."""

    name = "anonymous"
    faults = True

    def map(self, nbytes: int) -> mmap.mmap:
        """A private mapping, all of it locked at once and never unlocked piecewise."""
        memory = _anonymous(nbytes)
        # The advice comes first: a page that exists before it could be shared, copy on write, with a child
        # that another thread forks meanwhile. A huge page would be split or collapsed, which moves it.
        memory.madvise(mmap.MADV_DONTFORK)
        _without_huge_pages(memory)
        with ffi.from_buffer(memory, require_writable=True) as start:
            code = ffi.errno if libc.mlock(start, nbytes) else 0
        if code:
            memory.close()
            raise PoolError(_cannot_lock(nbytes, code), code)
        return _touched(memory)


class SimulatedPages(Pages):
    """Ordinary memory, for the simulator, which reads and writes it in this process."""

    name = "simulator"
    faults = False

    def map(self, nbytes: int) -> mmap.mmap:
        """A private anonymous mapping, neither locked nor hidden from children."""
        return _anonymous(nbytes)


def best_pages(use_device: bool = True) -> Pages:
    """The safest pages of this host: the hypercall buffer device where it is there, else locked memory."""
    if use_device and os.path.exists(DEVICE):
        return HypercallDevice()
    return LockedAnonymous()


def plug(start: int, nbytes: int) -> None:
    """In a forked child: put ordinary memory where a mapping was that the child did not inherit.

    A stray view then reads zeros instead of ending the process. Nor does anything else come to lie there, which Python
    would unmap when it drops the mapping's object. A range that is taken is left alone.
    """
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED_NOREPLACE
    wanted = ffi.cast("void *", start)
    got = libc.mmap(wanted, nbytes, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    if got != wanted and got != ffi.cast("void *", -1):  # before Linux 4.17 the address is but a hint
        libc.munmap(got, nbytes)


def is_mapped(address: int) -> bool:
    """Whether memory of this process lies at an address."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            low, _, high = line.split(" ", 1)[0].partition("-")
            if int(low, 16) <= address < int(high, 16):
                return True
    return False


def _anonymous(nbytes: int) -> mmap.mmap:
    try:
        return mmap.mmap(-1, nbytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE)
    except OSError as exc:
        raise PoolError(
            f"no memory for a mapping of {nbytes} bytes: {exc.strerror}", exc.errno or errno.ENOMEM
        ) from exc


def _without_huge_pages(memory: mmap.mmap) -> None:
    try:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    except OSError as exc:
        if exc.errno != errno.EINVAL:  # EINVAL: this kernel was built without huge pages
            raise


def _touched(memory: mmap.mmap) -> mmap.mmap:
    # Reading is not enough: Xen answers EFAULT to a write through a page table entry that is still clean.
    for offset in range(0, len(memory), PAGE):
        memory[offset] = 0
    return memory


def _cannot_lock(nbytes: int, code: int) -> str:
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    allowed = "unlimited" if limit == resource.RLIM_INFINITY else f"{limit} bytes"
    return (
        f"cannot lock {nbytes} bytes of memory: {os.strerror(code)}; RLIMIT_MEMLOCK is {allowed}, "
        f"{_locked_bytes()} bytes are locked already, {_locked_bytes() + nbytes} are needed"
    )


def _locked_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmLck:"):
            return int(line.split()[1]) * 1024
    return 0
