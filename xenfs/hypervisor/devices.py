"""Counters of networks and disks: what dom0's kernel says of the backends that it runs. No hypercall tells them.

Read from sysfs, and where there are many networks from one file of /proc. Nothing is kept open: a thousand domains have
more such files than a process may open.
"""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from typing import NamedTuple

NETWORK = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "tx_bytes", "tx_packets", "tx_errors", "tx_dropped")
"""Of a network, as its guest sees it: what the guest receives is what the backend's interface sends."""
BLOCK = ("rd_req", "wr_req", "oo_req", "f_req", "ds_req", "rd_sect", "wr_sect")
"""Of a disk: reads, writes, times that dom0 had no room for a request, flushes, discards; sectors of 512 bytes."""

OFTEN = ("rd_req", "wr_req", "oo_req", "rd_sect", "wr_sect")
"""Those of a disk that are asked of all of them together: each is a file to open."""

_BACKENDS = "sys/bus/xen-backend/devices"
_TABLES = ("proc/1/net/dev", "proc/net/dev")  # xenfs may have a network of its own, process 1 has dom0's
_COLUMNS = {"bytes": 0, "packets": 1, "errors": 2, "dropped": 3}
_TRANSMITTED = 8  # columns of what is received come before
_GONE = (errno.ENOENT, errno.ENODEV, errno.ENOTDIR, errno.EINVAL)


class Device(NamedTuple):
    """A device of a domain: its class (vif or vbd), the domain, and its number there."""

    kind: str
    domid: int
    number: int


class Counters(ABC):
    """What has gone through the backends of this domain's own kernel."""

    @abstractmethod
    def serves(self, device: Device) -> bool:
        """Whether this kernel is the backend of the device."""

    @abstractmethod
    def one(self, device: Device) -> dict[str, int] | None:
        """The counters of one device, by name; None where this kernel does not serve it."""

    @abstractmethod
    def everything(self) -> dict[Device, dict[str, int]]:
        """The counters of all devices that this kernel serves: NETWORK, and OFTEN of disks."""


class SysfsCounters(Counters):
    """Those of Linux. `root` is where /sys and /proc are."""

    def __init__(self, root: str = "/") -> None:
        self._root = root

    def serves(self, device: Device) -> bool:
        """Whether there is a backend for it, with statistics."""
        below = "net" if device.kind == "vif" else "statistics"
        return os.path.isdir(f"{self._home(device)}/{below}")

    def one(self, device: Device) -> dict[str, int] | None:
        """From a file for each counter."""
        return self._counted(device, BLOCK)

    def everything(self) -> dict[Device, dict[str, int]]:
        """All networks from one table, disks from their files."""
        try:
            names = os.listdir(os.path.join(self._root, _BACKENDS))
        except FileNotFoundError:
            return {}
        table, found = self._table(), dict[Device, dict[str, int]]()
        for device in filter(None, map(_device, names)):
            row = table.get(b"vif%d.%d" % device[1:]) if device.kind == "vif" else None
            counted = _of_row(row) if row else self._counted(device, OFTEN)
            if counted is not None:
                found[device] = counted
        return found

    def _counted(self, device: Device, names: tuple[str, ...]) -> dict[str, int] | None:
        """From a file for each counter; of a disk these."""
        try:
            return self._interface(device) if device.kind == "vif" else self._disk(device, names)
        except OSError as problem:
            if problem.errno in _GONE:
                return None
            raise

    def _home(self, device: Device) -> str:
        return os.path.join(self._root, _BACKENDS, f"{device.kind}-{device.domid}-{device.number}")

    def _interface(self, device: Device) -> dict[str, int] | None:
        """A toolstack may have given it any name, or have moved it to another namespace."""
        nets = f"{self._home(device)}/net"
        names = os.listdir(nets)
        if not names:
            return None
        return {_turned(name): number for name, number in _files(f"{nets}/{names[0]}/statistics", NETWORK).items()}

    def _disk(self, device: Device, names: tuple[str, ...]) -> dict[str, int] | None:
        return _files(f"{self._home(device)}/statistics", names) or None

    def _table(self) -> dict[bytes, list[bytes]]:
        for path in _TABLES:
            try:
                with open(os.path.join(self._root, path), "rb", buffering=0) as table:
                    lines = table.readall().split(b"\n")[2:]
            except OSError:
                continue
            return {name.strip(): rest.split() for name, _, rest in (line.partition(b":") for line in lines)}
        return {}


def _turned(name: str) -> str:
    """The guest's word for what the backend calls the other way round."""
    return name.replace("rx_", "tx_") if name.startswith("rx_") else name.replace("tx_", "rx_")


def _of_row(row: list[bytes]) -> dict[str, int]:
    """A line of /proc/net/dev, turned round."""
    received = {f"tx_{name}": int(row[at]) for name, at in _COLUMNS.items()}
    sent = {f"rx_{name}": int(row[at + _TRANSMITTED]) for name, at in _COLUMNS.items()}
    return sent | received


def _device(name: str) -> Device | None:
    kind, _, rest = name.partition("-")
    domid, _, number = rest.partition("-")
    if kind in ("vif", "vbd") and domid.isdecimal() and number.isdecimal():
        return Device(kind, int(domid), int(number))
    return None


def _files(directory: str, names: tuple[str, ...]) -> dict[str, int]:
    """A number from each file of a directory that is there. Without Python's file objects: these are thousands."""
    found, at = {}, os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            try:
                fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=at)
            except FileNotFoundError:  # a kernel that does not count this
                continue
            try:
                found[name] = int(os.read(fd, 64))
            finally:
                os.close(fd)
    finally:
        os.close(at)
    return found
