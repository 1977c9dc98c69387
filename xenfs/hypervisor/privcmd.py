"""Real hypercalls, through Linux's privcmd device: the one file that needs a control domain."""

from __future__ import annotations

import errno
import os
import platform
import struct
from collections.abc import Sequence
from fcntl import ioctl
from pathlib import Path

from xenfs import pool, xenstore
from xenfs.errors import StartError
from xenfs.hypervisor.base import Backend
from xenfs.hypervisor.devices import Counters, SysfsCounters

_IOCTL_HYPERCALL = 0x305000  # 'P', 0, with { u64 op; u64 arg[5]; }
_PCI_DEVICES = "/sys/bus/pci/devices"
_ARGUMENTS = struct.Struct("=6Q")
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

    def hypercall(self, number: int, args: tuple[int, ...]) -> int:
        """One ioctl in the calling thread, not interruptible; results beyond 31 bits need a multicall."""
        words = [arg & _MASK for arg in args] + [0] * (5 - len(args))
        try:
            return int(ioctl(self._fd, _IOCTL_HYPERCALL, bytearray(_ARGUMENTS.pack(number, *words))))
        except OSError as problem:
            return -(problem.errno or errno.EIO)

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
        return SysfsCounters()

    def booted_s(self) -> float | None:
        """As /proc/stat has it, in whole seconds."""
        try:
            lines = Path("/proc/stat").read_text().splitlines()
        except OSError:
            return None
        return next((float(line.split()[1]) for line in lines if line.startswith("btime ")), None)

    def close(self) -> None:
        """Close the device."""
        os.close(self._fd)


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
