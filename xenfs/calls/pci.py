"""PCI devices: on which node each is, and whether it could be given to a guest. Which there are only dom0 knows."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from xenfs.abi.numbers import DeviceKind, Domctl, Domid, Invalid, Sysctl
from xenfs.abi.operations import operation
from xenfs.calls import version
from xenfs.calls.control import domctl, sysctl
from xenfs.calls.many import asked_about
from xenfs.errors import HypercallError, answered_by
from xenfs.hypervisor.base import Hypervisor

PCITOPOINFO = operation(Sysctl.pcitopoinfo)
TEST_ASSIGN_DEVICE = operation(Domctl.test_assign_device)
GET_DEVICE_GROUP = operation(Domctl.get_device_group)

UNKNOWN_NODE = -1
_BATCH = 512  # devices a call; Xen may stop after 64
_NAME = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([01][0-9a-f])\.([0-7])")
_NO_SUCH_FLAG = 1 << 31
_MOST_IN_A_GROUP = 256
# The first point release that bears a question about no domain.
_TOLERANT: dict[tuple[int, ...], int] = {(4, 15): 3, (4, 16): 2}


class Address(NamedTuple):
    """Where a PCI function is."""

    segment: int
    bus: int
    devfn: int

    @classmethod
    def parse(cls, name: str) -> Address | None:
        """Of a name such as 0000:00:1f.2; None for any other, and for a segment that Xen could not name."""
        words = _NAME.fullmatch(name)
        if not words:
            return None
        segment, bus, device, function = (int(word, 16) for word in words.groups())
        return cls(segment, bus, device << 3 | function) if segment <= 0xFFFF else None

    def __str__(self) -> str:
        return f"{self.segment:04x}:{self.bus:02x}:{self.devfn >> 3:02x}.{self.devfn & 7}"

    @property
    def sbdf(self) -> int:
        """The number that domctls want."""
        return self.segment << 16 | self.bus << 8 | self.devfn


def nodes(xen: Hypervisor, devices: Sequence[Address]) -> dict[Address, int]:
    """The NUMA node, UNKNOWN_NODE for none, of each of these devices that Xen knows; sysctl pcitopoinfo."""
    found: dict[Address, int] = {}
    done = 0
    while done < len(devices):
        some = devices[done : done + _BATCH]
        answers = _nodes(xen, some)
        for device, node in zip(some, answers, strict=False):
            if node != Invalid.DEV:
                found[device] = UNKNOWN_NODE if node == Invalid.NODE_ID else node
        done += len(answers)
    return found


def _nodes(xen: Hypervisor, devices: Sequence[Address]) -> list[int]:
    """The words for those that Xen came to before it stopped: it wants to be asked again for the others."""
    count = len(devices)
    packed = b"".join(d.segment.to_bytes(2, "little") + bytes((d.bus, d.devfn)) for d in devices)
    with xen.pool.take(4 * max(1, count)) as devs, xen.pool.take(4 * max(1, count)) as words:
        devs.fill(packed)
        done = sysctl(xen, PCITOPOINFO, "pcitopoinfo", num_devs=count, devs=devs, nodes=words).num_devs
        if count and not 0 < done <= count:
            raise HypercallError(PCITOPOINFO.name, errno.EIO, f"Xen answered for {done} devices of {count}")
        return words.memory[: 4 * done].cast("I").tolist()


def require_pci(xen: Hypervisor) -> None:
    """Raise ENOSYS where this Xen knows nothing of PCI; sysctl pcitopoinfo of no device."""
    _nodes(xen, ())


def assignable(xen: Hypervisor, device: Address, domid: int = Domid.INVALID) -> bool:
    """Whether neither a guest nor Xen itself has this device; domctl test_assign_device.

    For a domain: whether the device could be given to it. False, too, of a device that Xen does not know.
    """
    with answered_by(errno.EINVAL):
        _test(xen, domid, device.sbdf, 0)
        return True
    return False


def have_iommu(xen: Hypervisor, domids: Sequence[int]) -> list[bool]:
    """Whether devices can be given to each domain; test_assign_device with a flag that there is not.

    Xen looks at the flag after it has looked for the domain's IOMMU and before it looks at the device.
    """
    kind = DeviceKind.PCI if xen.abi.arch == "x86_64" else DeviceKind.DT
    wrong = {"dev": kind, "flags": _NO_SUCH_FLAG}
    results = asked_about(xen, TEST_ASSIGN_DEVICE, domids, "assign_device", "domain", **wrong)
    return [result >= 0 or result == -errno.EINVAL for result, _ in results]


def bears_no_domain(xen: Hypervisor) -> bool:
    """Whether test_assign_device may be asked about no domain: older ones follow a null pointer, and the host dies."""
    if xen.abi.release >= (4, 17):
        return True
    point = re.fullmatch(rb"\.(\d+)(?!-pre).*", version.extra(xen), re.DOTALL)
    first = _TOLERANT.get(xen.abi.release[:2])
    return bool(point and first is not None and int(point[1]) >= first)


def _test(xen: Hypervisor, domid: int, sbdf: int, flags: int) -> None:
    domctl(
        xen, TEST_ASSIGN_DEVICE, domid, "assign_device",
        dev=DeviceKind.PCI, flags=flags, u={"pci": {"machine_sbdf": sbdf}},
    )  # fmt: skip


def group(xen: Hypervisor, device: Address, domid: int) -> list[Address]:
    """The other devices of a domain that the IOMMU cannot tell from this one; domctl get_device_group."""
    with xen.pool.take(4 * _MOST_IN_A_GROUP) as words:
        arm = domctl(
            xen, GET_DEVICE_GROUP, domid, "get_device_group",
            machine_sbdf=device.sbdf, max_sdevs=_MOST_IN_A_GROUP, sdev_array=words,
        )  # fmt: skip
        found = words.memory[: 4 * arm.num_sdevs].cast("I").tolist()
    return [Address(device.segment, word >> 16 & 0xFF, word >> 8 & 0xFF) for word in found]


def known(xen: Hypervisor, names: Iterable[str]) -> dict[str, Address]:
    """Those of these names whose devices Xen knows, in order."""
    parsed = {name: address for name in sorted(names) if (address := Address.parse(name))}
    there = nodes(xen, list(parsed.values()))
    return {name: address for name, address in parsed.items() if address in there}
