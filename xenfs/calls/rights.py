"""What of the machine a domain may use: pirq, gsi, iomem and ioport permissions, devices, and another domain (domctl).

Xen keeps these and tells none of them.
"""

from __future__ import annotations

import errno
from typing import Any

from xenfs.abi.numbers import DeviceKind, Domctl
from xenfs.abi.operations import Operation, operation
from xenfs.calls.control import domctl
from xenfs.calls.pci import Address
from xenfs.errors import answered_by
from xenfs.hypervisor.base import Hypervisor

IRQ_PERMISSION = operation(Domctl.irq_permission)
GSI_PERMISSION = operation(Domctl.gsi_permission)
IOMEM_PERMISSION = operation(Domctl.iomem_permission)
IOPORT_PERMISSION = operation(Domctl.ioport_permission)
SET_TARGET = operation(Domctl.set_target)
ASSIGN_PCI = operation(Domctl.assign_device, "PCI")
DEASSIGN_PCI = operation(Domctl.deassign_device, "PCI")
TEST_ASSIGN_NODE = operation(Domctl.test_assign_device, "DT")
ASSIGN_NODE = operation(Domctl.assign_device, "DT")
DEASSIGN_NODE = operation(Domctl.deassign_device, "DT")


def irq(xen: Hypervisor, domid: int, pirq: int, allow: bool) -> None:
    """The interrupt that is this one of the control domain's; irq_permission (x86).

    EINVAL for a number beyond all, EPERM for one that the control domain itself has not.
    """
    domctl(xen, IRQ_PERMISSION, domid, "irq_permission", pirq=pirq, allow_access=allow)


def gsi(xen: Hypervisor, domid: int, number: int, allow: bool) -> None:
    """A global interrupt by its number; gsi_permission (x86, Xen 4.20).

    EINVAL for a number beyond all, EACCES for one that is bound to nothing, EPERM for what the control domain has not.
    """
    domctl(xen, GSI_PERMISSION, domid, "gsi_permission", gsi=number, flags=allow)


def iomem(xen: Hypervisor, domid: int, first: int, last: int, allow: bool) -> None:
    """Machine frames, for mapping; EPERM where the control domain has not all of them. iomem_permission."""
    domctl(
        xen, IOMEM_PERMISSION, domid, "iomem_permission", first_mfn=first, nr_mfns=last - first + 1, allow_access=allow
    )


def ioport(xen: Hypervisor, domid: int, first: int, last: int, allow: bool) -> None:
    """I/O ports; EPERM where the control domain has not all of them. ioport_permission (x86)."""
    domctl(
        xen, IOPORT_PERMISSION, domid, "ioport_permission", first_port=first, nr_ports=last - first + 1,
        allow_access=allow,
    )  # fmt: skip


def set_target(xen: Hypervisor, domid: int, target: int) -> None:
    """Let a domain do to another, an HVM one, what a device model does, for as long as it lives; set_target.

    EINVAL where it has one already, or of itself; EOPNOTSUPP for a target that is not HVM; ESRCH without one.
    """
    domctl(xen, SET_TARGET, domid, "set_target", target=target)


def assign(xen: Hypervisor, domid: int, device: Address, flags: int) -> None:
    """Give a domain a PCI device; EBUSY, EINVAL where another has it, ENODEV without it. assign_device PCI."""
    given: dict[str, Any] = {"dev": DeviceKind.PCI, "flags": flags, "u": {"pci": {"machine_sbdf": device.sbdf}}}
    domctl(xen, ASSIGN_PCI, domid, "assign_device", **given)


def deassign(xen: Hypervisor, domid: int, device: Address) -> None:
    """Take it back; EINVAL, ENODEV of one that the domain has not. deassign_device PCI."""
    given: dict[str, Any] = {"dev": DeviceKind.PCI, "flags": 0, "u": {"pci": {"machine_sbdf": device.sbdf}}}
    domctl(xen, DEASSIGN_PCI, domid, "assign_device", **given)


def node_assignable(xen: Hypervisor, domid: int, path: str) -> bool:
    """Whether nobody has a device of the device tree; test_assign_device DT (Arm). ESRCH without the node."""
    with answered_by(errno.EINVAL):
        _with_node(xen, TEST_ASSIGN_NODE, domid, path)
        return True
    return False


def assign_node(xen: Hypervisor, domid: int, path: str) -> None:
    """Give a domain a device of the device tree; assign_device DT (Arm).

    ESRCH without the node, EBUSY where another has it, EINVAL where no IOMMU is between it and memory.
    """
    _with_node(xen, ASSIGN_NODE, domid, path)


def deassign_node(xen: Hypervisor, domid: int, path: str) -> None:
    """Take it back; ESRCH without the node, or of one that the domain has not. deassign_device DT (Arm)."""
    _with_node(xen, DEASSIGN_NODE, domid, path)


def _with_node(xen: Hypervisor, op: Operation, domid: int, path: str) -> None:
    data = path.encode("ascii") + b"\0"
    with xen.pool.take(len(data)) as text:
        text.fill(data)
        node = {"dt": {"size": len(data), "path": (text, len(data))}}
        domctl(xen, op, domid, "assign_device", dev=DeviceKind.DT, flags=0, u=node)
