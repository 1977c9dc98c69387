"""Devices of the device tree (Arm): whose each is. Who asks has an IOMMU, which is looked at before."""

from __future__ import annotations

from errno import EBUSY, EINVAL, ENOBUFS, ENODEV, ESRCH

from xenfs.simulator.machine import Machine
from xenfs.simulator.world.domains import ALIVE, Domain
from xenfs.simulator.world.pci_bus import FREE
from xenfs.simulator.world.refused import Refused

_STRUCT = "xen_domctl_assign_device"
_LONGEST = 4096


def _node(xen: Machine, domain: Domain | None, op: memoryview) -> str:
    """The path; ENODEV for another kind of device, EINVAL for flags, ESRCH where the tree has no such node."""
    dev, flags, size, address = xen.get(op, _STRUCT, "dev", "flags", "u.dt.size", "u.dt.path")
    if dev != xen.constant("XEN_DOMCTL_DEV_DT"):
        raise Refused(ENODEV)
    if flags or (domain is not None and domain.dying != ALIVE):
        raise Refused(EINVAL)
    if size > _LONGEST:
        raise Refused(ENOBUFS)
    path = bytes(xen.at(address, size)).split(b"\0", 1)[0].decode("latin-1")
    if path not in xen.world.bus.nodes:
        raise Refused(ESRCH)
    return path


def test(xen: Machine, domain: Domain | None, op: memoryview) -> int:
    """EINVAL for what a domain has, 0 for all else in the tree."""
    owner = xen.world.bus.nodes[_node(xen, domain, op)]
    return 0 if owner in (FREE, None) else -EINVAL


def assign(xen: Machine, domain: Domain, op: memoryview) -> int:
    """EINVAL where no IOMMU knows the device, EBUSY where a domain has it."""
    path = _node(xen, domain, op)
    owner = xen.world.bus.nodes[path]
    if owner is None:
        return -EINVAL
    if owner != FREE:
        return -EBUSY
    xen.world.bus.nodes[path] = domain.domid
    return 0


def deassign(xen: Machine, domain: Domain, op: memoryview) -> int:
    """ESRCH of one that this domain has not."""
    path = _node(xen, domain, op)
    owner = xen.world.bus.nodes[path]
    if owner is None:
        return -EINVAL
    if owner != domain.domid:
        return -ESRCH
    xen.world.bus.nodes[path] = FREE
    return 0
