"""Real hypercalls, through Linux's privcmd device: the one file that needs a control domain."""

from __future__ import annotations

import errno
import mmap
import os
import platform
import struct
from array import array
from collections.abc import Callable, Sequence
from fcntl import ioctl
from functools import partial
from pathlib import Path

from xenfs import pool, xenstore
from xenfs.errors import StartError
from xenfs.hypervisor.base import Backend
from xenfs.hypervisor.devices import Counters, SysfsCounters
from xenfs.hypervisor.foreign import PAGE, Foreign, Wanted

_IOCTL_HYPERCALL = 0x305000  # 'P', 0, with { u64 op; u64 arg[5]; }
_PCI_DEVICES = "/sys/bus/pci/devices"
_ARGUMENTS = struct.Struct("=6Q")
_MMAPBATCH_V2 = 0x205004  # 'P', 4, with { u32 num; u16 dom; u64 addr; u64 *arr; int *err }
_BATCH = struct.Struct("=IHxxQQQ")
_MMAP_RESOURCE = 0x205007  # 'P', 7, with { u16 dom; u32 type; u32 id; u32 idx; u64 num; u64 addr }
_RESOURCE = struct.Struct("=HxxIIIQQ")
_DEVICES = ("/dev/xen/privcmd", "/proc/xen/privcmd")
_ARCHES = {"x86_64": "x86_64", "aarch64": "arm64"}
_MASK = 2**64 - 1


class Privcmd(Backend):
    """The hypervisor that this domain runs on. Opening the device is the whole authorisation: root only."""

    name = "privcmd"

    def __init__(self, *, hypercall_device: bool = True) -> None:
        machine = platform.machine()
        if machine not in _ARCHES:
            raise StartError(f"xenfs does not know Xen on {machine}, only on {' and '.join(_ARCHES)}")
        self.arch = _ARCHES[machine]
        self._fd = _opened()
        self.pages = pool.best_pages(hypercall_device)
        self._counters = SysfsCounters()

    def hypercall(self, number: int, args: tuple[int, ...]) -> int:
        """One ioctl in the calling thread, not interruptible; results beyond 31 bits need a multicall."""
        words = [arg & _MASK for arg in args] + [0] * (5 - len(args))
        try:
            return int(ioctl(self._fd, _IOCTL_HYPERCALL, bytearray(_ARGUMENTS.pack(number, *words))))
        except OSError as problem:
            return -(problem.errno or errno.EIO)

    def foreign(self, domid: int, frames: Sequence[int], *, write: bool) -> Foreign:
        """Pages of another domain, mapped."""
        return MappedPages(self._fd, len(frames), partial(_put, self._fd, domid, frames), write=write)

    def resource(self, domid: int, wanted: Wanted) -> Foreign:
        """Pages that Xen keeps for another domain, mapped."""
        return MappedPages(self._fd, len(wanted.frames), partial(_put_resource, self._fd, domid, wanted), write=False)

    def xenstore(self) -> xenstore.Xenstore | None:
        """The host's xenstore, over /dev/xen/xenbus or its socket."""
        return xenstore.connect()

    def pci_devices(self) -> Sequence[str]:
        """As Linux lists them; none where it has no PCI."""
        try:
            return os.listdir(_PCI_DEVICES)
        except OSError:
            return ()

    def counters(self) -> Counters:
        """Those of dom0's kernel."""
        return self._counters

    def booted_s(self) -> float | None:
        """As /proc/stat has it, in whole seconds."""
        try:
            lines = Path("/proc/stat").read_text().splitlines()
        except OSError:
            return None
        return next((float(line.split()[1]) for line in lines if line.startswith("btime ")), None)

    def close(self) -> None:
        """Close the device."""
        self._counters.close()
        os.close(self._fd)


class MappedPages(Foreign):
    """Room for so many pages, and what `put` puts there: it says of each whether it is."""

    def __init__(self, device: int, count: int, put: Callable[[mmap.mmap], list[bool]], *, write: bool) -> None:
        access = mmap.PROT_READ | (mmap.PROT_WRITE if write else 0)
        self._area = mmap.mmap(device, count * PAGE, mmap.MAP_SHARED, access)
        self.pages = []
        try:
            there = put(self._area)
            whole = memoryview(self._area)
            self._views = [whole, *(whole[at * PAGE : (at + 1) * PAGE] for at in range(count))]
            self.pages = [view if found else None for view, found in zip(self._views[1:], there, strict=True)]
        except BaseException:
            self._area.close()
            raise

    def close(self) -> None:
        """Unmap them."""
        self.pages = []
        for view in reversed(self._views):
            view.release()
        self._area.close()


def _put(device: int, domid: int, frames: Sequence[int], area: mmap.mmap) -> list[bool]:
    """Have pages put there by frame numbers as Xen knows them: of a PV domain those of the machine, else its own.

    Whether each is there: to touch one that is not would end the process.
    """
    wanted, errors = array("Q", frames), array("i", [0]) * len(frames)
    asked = _BATCH.pack(len(frames), domid, pool.address_of(area), wanted.buffer_info()[0], errors.buffer_info()[0])
    try:
        ioctl(device, _MMAPBATCH_V2, asked)
    except OSError as problem:
        if problem.errno != errno.ENOENT:  # some are paged out
            raise
    return [not error for error in errors]


def _put_resource(device: int, domid: int, wanted: Wanted, area: mmap.mmap) -> list[bool]:
    """Have the frames of a resource put there; whether each is. Linux does not tell where the domain goes meanwhile."""
    count, first = len(wanted.frames), wanted.frames.start
    ioctl(
        device, _MMAP_RESOURCE, _RESOURCE.pack(domid, wanted.kind, wanted.number, first, count, pool.address_of(area))
    )
    return [is_there(area, at * PAGE) for at in range(count)]


def is_there(area: mmap.mmap, at: int) -> bool:
    """Whether memory can be read, as the kernel finds it: that says EFAULT where we would be ended by SIGBUS."""
    out, into = os.pipe2(os.O_CLOEXEC)
    try:
        with memoryview(area) as whole, whole[at : at + 1] as byte:
            return os.write(into, byte) == 1
    except OSError as problem:
        if problem.errno != errno.EFAULT:
            raise
        return False
    finally:
        os.close(out)
        os.close(into)


def under_xen() -> bool:
    """True where a Xen is underneath and this domain has the device for hypercalls."""
    kind = Path("/sys/hypervisor/type")
    return any(map(os.path.exists, _DEVICES)) and (not kind.exists() or kind.read_text().strip() == "xen")


def _opened() -> int:
    for path in _DEVICES:
        try:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        except PermissionError:
            raise StartError(f"no permission to open {path}: run xenfs as root", errno.EACCES) from None
        except OSError as problem:
            raise StartError(
                f"{path} is there but does not open ({problem.strerror}): is this booted under Xen?"
            ) from None
    raise StartError(
        "there is no /dev/xen/privcmd: run this in Xen's control domain with the xen-privcmd module loaded, "
        "or try xenfs with --hypervisor simulator"
    )
