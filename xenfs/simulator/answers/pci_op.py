"""What Xen tells of PCI devices: their nodes (sysctl), whether they can be given away, and their groups (domctl)."""

from __future__ import annotations

from errno import EINVAL, ENODEV, EOPNOTSUPP, ESRCH

from xenfs.errors import XenfsError
from xenfs.simulator.answers import dt_devices
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.pci_bus import FREE

AT_ONCE = 64  # Xen looks for something better to do after so many
DOMID_INVALID = 0x7FF4
TOLERANT = {(4, 15): 3, (4, 16): 2}  # the first point release that bears DOMID_INVALID


class HostIsDown(XenfsError):
    """The pretended Xen followed a null pointer: on a real machine everything would be over."""

    def __init__(self) -> None:
        super().__init__("Xen has crashed: test_assign_device of no domain, in a release that does not bear it")


def pcitopoinfo(xen: Machine, op: memoryview) -> int:
    """The node of each device; stops after some, and says so by their number."""
    struct = "xen_sysctl_pcitopoinfo"
    count, devices, nodes = xen.get(op, struct, "num_devs", "devs", "nodes")
    if not devices or not nodes:
        return -EINVAL
    done = min(count, AT_ONCE)
    size = xen.layouts.size("physdev_pci_device")
    for index in range(done):
        asked = xen.at(devices + index * size, size)
        segment, bus, devfn = xen.get(asked, "physdev_pci_device", "seg", "bus", "devfn")
        xen.copy_out(nodes + index * 4, _node(xen, segment << 16 | bus << 8 | devfn).to_bytes(4, "little"))
    if done != count:
        xen.put(op, struct, num_devs=done)
    return 0


def _node(xen: Machine, sbdf: int) -> int:
    device = xen.world.bus.devices.get(sbdf)
    if device is None:
        return xen.constant("XEN_INVALID_DEV") & 0xFFFFFFFF
    return xen.constant("XEN_INVALID_NODE_ID") & 0xFFFFFFFF if device.node is None else device.node


def test_assign_device(xen: Machine, memory: memoryview) -> int:
    """0 where the device is dom0's or nobody's. About a domain, or about none."""
    struct = "xen_domctl_assign_device"
    (domid,) = xen.get(memory, "xen_domctl", "domain")
    op = memory[xen.layouts.offset("xen_domctl", "u") :]
    domain = None if domid == DOMID_INVALID else xen.world.domain(domid)
    if domain is None and domid != DOMID_INVALID:
        return -ESRCH
    if domain is None and not _bears_no_domain(xen):
        raise HostIsDown
    if not has_iommu(xen, domain):
        return -EOPNOTSUPP
    dev, flags, sbdf = xen.get(op, struct, "dev", "flags", "u.pci.machine_sbdf")
    if not xen.x86:
        return dt_devices.test(xen, domain, op)
    if domid == 0:
        return -EINVAL
    if dev != xen.constant("XEN_DOMCTL_DEV_PCI"):
        return -ENODEV
    device = xen.world.bus.devices.get(sbdf)
    return -EINVAL if flags or device is None or device.owner not in (0, FREE) else 0


def _bears_no_domain(xen: Machine) -> bool:
    return xen.release >= (4, 17) or xen.settings.point >= TOLERANT.get(xen.release, 1 << 16)


def has_iommu(xen: Machine, domain: Domain | None) -> bool:
    """A domain has one from its creation on: dom0, those that a toolstack expects to get devices, or none."""
    return xen.iommu and (domain is None or domain.domid == 0 or bool(domain.kept.get("iommu")))


def get_device_group(xen: Machine, domain: Domain, op: memoryview) -> int:
    """The domain's other devices in the same group; numbers without the segment, and shifted by a byte."""
    struct = "xen_domctl_get_device_group"
    if not has_iommu(xen, domain):
        return -EOPNOTSUPP
    sbdf, room, address = xen.get(op, struct, "machine_sbdf", "max_sdevs", "sdev_array")
    bus = xen.world.bus.devices
    mine = bus.get(sbdf)
    found = [
        (device.sbdf & 0xFFFF) << 8
        for device in bus.values()
        if mine and device is not mine and device.owner == domain.domid and device.group == mine.group
    ][:room]
    xen.copy_out(address, b"".join(word.to_bytes(4, "little") for word in found))
    xen.put(op, struct, num_sdevs=len(found))
    return 0


SYSCTL_X86: Answers = {"XEN_SYSCTL_pcitopoinfo": pcitopoinfo}


def assign_node(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Arm: a device of the device tree becomes the domain's."""
    return dt_devices.assign(xen, domain, op) if has_iommu(xen, domain) else -EOPNOTSUPP


def deassign_node(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Arm: it is nobody's from then on."""
    return dt_devices.deassign(xen, domain, op) if has_iommu(xen, domain) else -EOPNOTSUPP


DOMCTL_ARM: Answers = {
    "XEN_DOMCTL_assign_device": assign_node,
    "XEN_DOMCTL_deassign_device": deassign_node,
}
DOMCTL: Answers = {"XEN_DOMCTL_get_device_group": get_device_group}
WITHOUT: Answers = {"XEN_DOMCTL_test_assign_device": test_assign_device}
"""Those that take the whole struct, because the domain in it need not exist."""
