"""Counters of networks and disks: what dom0's kernel says of the backends that it runs. No hypercall tells them.

Read from sysfs, and where there are many networks from one file of /proc. Who reads them all keeps the files of disks
open (kept.py): there is a file for each number.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import NamedTuple

from xenfs.hypervisor.kept import GONE, KeptFiles, close_all, open_all, read_all

NETWORK = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "tx_bytes", "tx_packets", "tx_errors", "tx_dropped")
"""Of a network, as its guest sees it: what the guest receives is what the backend's interface sends."""
BLOCK = ("rd_req", "wr_req", "oo_req", "f_req", "ds_req", "rd_sect", "wr_sect")
"""Of a disk: reads, writes, times that dom0 had no room for a request, flushes, discards; sectors of 512 bytes."""

OFTEN = ("rd_req", "wr_req", "oo_req", "rd_sect", "wr_sect")
"""Those of a disk that are asked of all of them together: each is a file to open."""

_BACKENDS = "sys/bus/xen-backend/devices"
_TABLES = ("proc/1/net/dev", "proc/net/dev")  # xenfs may have a network of its own, process 1 has dom0's
_TRANSMITTED = 8  # columns of what dom0 receives, which the guest has sent, come before
_COLUMNS = tuple(
    (f"{way}_{name}", first + column)
    for way, first in (("rx", _TRANSMITTED), ("tx", 0))
    for column, name in enumerate(("bytes", "packets", "errors", "dropped"))
)


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
    """Those of Linux. `root` is where /sys and /proc are. Thread-safe."""

    def __init__(self, root: str = "/") -> None:
        self._root = root
        self._home = os.path.join(root, _BACKENDS)
        self._disks = KeptFiles(self._home, "statistics", OFTEN)
        self._devices: dict[str, Device | None] = {}  # by the names that were listed last

    def serves(self, device: Device) -> bool:
        """Whether there is a backend for it, with statistics."""
        below = "net" if device.kind == "vif" else "statistics"
        return os.path.isdir(f"{self._home}/{_name(device)}/{below}")

    def one(self, device: Device) -> dict[str, int] | None:
        """From a file for each counter."""
        return self._unless_gone(device, {})

    def everything(self) -> dict[Device, dict[str, int]]:
        """All networks from one table, disks from their files."""
        listed = self._listed()
        disks = self._disks.read([name for name, device in listed.items() if device.kind == "vbd"])
        table = self._table()
        found = {listed[name]: counted for name, counted in disks.items()}
        for device in listed.values():
            if device.kind == "vif":
                row = table.get(b"vif%d.%d" % device[1:])
                counted = _of_row(row) if row else self._unless_gone(device, table)
                if counted is not None:
                    found[device] = counted
        return found

    def close(self) -> None:
        """Close what is kept open."""
        self._disks.close()

    def _listed(self) -> dict[str, Device]:
        """The backends that there are, by name. Those that were there before need no parsing."""
        try:
            names = os.listdir(self._home)
        except FileNotFoundError:
            names = []
        known = self._devices
        self._devices = now = {name: known[name] if name in known else _device(name) for name in names}
        return {name: device for name, device in now.items() if device is not None}

    def _unless_gone(self, device: Device, table: dict[bytes, list[bytes]]) -> dict[str, int] | None:
        try:
            if device.kind == "vif":
                return self._interface(device, table)
            return _files(f"{self._home}/{_name(device)}/statistics", BLOCK) or None
        except OSError as problem:
            if problem.errno in GONE:
                return None
            raise

    def _interface(self, device: Device, table: dict[bytes, list[bytes]]) -> dict[str, int] | None:
        """From the table, else from files. A toolstack may have given it any name, or moved it to another namespace."""
        nets = f"{self._home}/{_name(device)}/net"
        names = os.listdir(nets)
        if not names:
            return None
        row = table.get(os.fsencode(names[0]))
        if row:
            return _of_row(row)
        return {_turned(name): number for name, number in _files(f"{nets}/{names[0]}/statistics", NETWORK).items()}

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
    return {name: int(row[at]) for name, at in _COLUMNS}


def _name(device: Device) -> str:
    return f"{device.kind}-{device.domid}-{device.number}"


def _device(name: str) -> Device | None:
    kind, _, rest = name.partition("-")
    domid, _, number = rest.partition("-")
    if kind in ("vif", "vbd") and domid.isdecimal() and number.isdecimal():
        return Device(kind, int(domid), int(number))
    return None


def _files(directory: str, names: tuple[str, ...]) -> dict[str, int]:
    """A number from each file of a directory that is there."""
    files = open_all(directory, names)
    try:
        return read_all(files)
    finally:
        close_all(files.values())
