"""Networks and disks of pretended domains: who serves them, what xenstore has of them, and what has gone through."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from typing import NamedTuple

from xenfs.hypervisor.devices import OFTEN, Counters, Device
from xenfs.politely import politely
from xenfs.simulator.world.domains import Domain

FIRST_DISK, DISK_STEP = 51712, 16  # xvda, xvdb, ...
_DRIVER_DOMAIN = 4  # mail: its network is served by
_SERVES = 1  # web-1
ODD_QEMU = 6  # whose QEMU may be silent, or lie
_BY_QEMU = {3: 1, ODD_QEMU: 1}  # by domain: of the database, and of another, the second disk


class Plugged(NamedTuple):
    """A device of a domain: its class and number, which domain serves it, and by what kind of backend."""

    device: Device
    backend: int
    kind: str


def of(domain: Domain, count: int) -> tuple[Plugged, ...]:
    """Half of its devices are networks, half disks; domain 0 and who is not in xenstore has none."""
    return () if domain.domid == 0 or domain.name is None else _of(domain.domid, count)


@lru_cache(maxsize=1 << 14)
def _of(domid: int, count: int) -> tuple[Plugged, ...]:
    networks = (count + 1) // 2
    found = []
    for number in range(networks):
        backend = _SERVES if domid == _DRIVER_DOMAIN else 0
        found.append(Plugged(Device("vif", domid, number), backend, "vif"))
    for index in range(count - networks):
        kind = "qdisk" if _BY_QEMU.get(domid) == index else "vbd"
        found.append(Plugged(Device("vbd", domid, FIRST_DISK + DISK_STEP * index), 0, kind))
    return tuple(found)


def may_have_qemu() -> Collection[int]:
    """The domains that have one, where they live and have so many devices."""
    return _BY_QEMU.keys()


def node_name(plugged: Plugged) -> str:
    """What QEMU calls the image that it has opened for a disk."""
    return f"{_vdev(plugged.device.number)}-qcow2"


def _vdev(number: int) -> str:
    return f"xvd{'abcdefghijklmnop'[(number - FIRST_DISK) // DISK_STEP]}"


def nodes(domain: Domain, count: int) -> dict[str, str]:
    """What the toolstack and the backends have written of its devices, below "/"."""
    found: dict[str, str] = {}
    for plugged in of(domain, count):
        kind, domid, number = plugged.device
        served = f"/local/domain/{plugged.backend}/backend/{plugged.kind}/{domid}/{number}"
        found[f"/libxl/{domid}/device/{kind}/{number}/backend"] = served
        found[f"/libxl/{domid}/device/{kind}/{number}/frontend"] = f"/local/domain/{domid}/device/{kind}/{number}"
        found[f"/local/domain/{domid}/device/{kind}/{number}/backend"] = served
        found[f"/local/domain/{domid}/device/{kind}/{number}/state"] = "4"
        said = _network(domid, number) if kind == "vif" else _disk(plugged)
        found |= {f"{served}/{name}": value for name, value in said.items()}
    return found


def _network(domid: int, number: int) -> dict[str, str]:
    return {
        "mac": f"00:16:3e:00:{domid & 0xFF:02x}:{number:02x}", "bridge": "xenbr0", "state": "4", "online": "1",
        "script": "/etc/xen/scripts/vif-bridge", "frontend-id": str(domid),
    }  # fmt: skip


def _disk(plugged: Plugged) -> dict[str, str]:
    _, domid, number = plugged.device
    vdev = _vdev(number)
    path = f"/dev/vg0/guest-{domid}-{vdev[-1]}"
    return {
        "params": f"qcow2:{path}.qcow2" if plugged.kind == "qdisk" else path, "dev": vdev, "mode": "w",
        "physical-device": f"fd:{domid & 0xFFFFF:x}", "state": "4", "online": "1", "device-type": "disk",
        "frontend-id": str(domid),
    }  # fmt: skip


class Traffic(Counters):
    """The counters of domain 0's backends: they grow with the time that a domain has run, and stop with it."""

    def __init__(
        self, plugged: Callable[[int | None], Iterator[tuple[Domain, Plugged]]], ticks: Callable[[], int]
    ) -> None:
        self._plugged, self._ticks = plugged, ticks

    def serves(self, device: Device) -> bool:
        """Whether domain 0's kernel does."""
        return any(plugged.device == device for _, plugged in self._served(device.domid))

    def one(self, device: Device) -> dict[str, int] | None:
        """The counters of one."""
        for domain, plugged in self._served(device.domid):
            if plugged.device == device:
                return self._counted(domain, device)
        return None

    def everything(self) -> dict[Device, dict[str, int]]:
        """The counters of all."""
        found = {}
        for domain, (device, _, _) in politely(self._served()):
            counted = self._counted(domain, device)
            found[device] = counted if device.kind == "vif" else {name: counted[name] for name in OFTEN}
        return found

    def by_qemu(self, domid: int) -> dict[str, dict[str, int]]:
        """The counters of each disk that a domain's QEMU serves, by QEMU's name for it."""
        return {
            node_name(plugged): self._counted(domain, plugged.device)
            for domain, plugged in (self._plugged(domid) if domid in _BY_QEMU else ())
            if plugged.kind == "qdisk"
        }

    def _served(self, domid: int | None = None) -> Iterator[tuple[Domain, Plugged]]:
        return ((domain, each) for domain, each in self._plugged(domid) if each.backend == 0 and each.kind != "qdisk")

    def _counted(self, domain: Domain, device: Device) -> dict[str, int]:
        ms = domain.cpu_time(self._ticks()) // 1_000_000
        share = 1 + (device.domid * 7 + device.number) % 5
        if device.kind == "vif":
            packets = ms * share
            return {
                "rx_bytes": packets * 900, "rx_packets": packets, "rx_errors": 0, "rx_dropped": packets // 100_000,
                "tx_bytes": packets // 2 * 120, "tx_packets": packets // 2, "tx_errors": 0, "tx_dropped": 0,
            }  # fmt: skip
        reads, writes = ms * share // 8, ms * share // 16
        return {
            "rd_req": reads, "wr_req": writes, "oo_req": 0, "f_req": writes // 50, "ds_req": 0,
            "rd_sect": reads * 16, "wr_sect": writes * 24,
        }  # fmt: skip
