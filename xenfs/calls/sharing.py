"""Memory sharing between domains, and forks that live of it: domctl mem_sharing_op, memory_op sharing_op (x86)."""

from __future__ import annotations

from xenfs.abi.numbers import Domctl, ForkFlag, Memory, MemSharing, SharingOp
from xenfs.abi.operations import Operation, operation
from xenfs.calls.control import domctl, numbered
from xenfs.hypervisor.base import Hypervisor

CONTROL = operation(Domctl.mem_sharing_op, "CONTROL")
FORK = operation(Memory.sharing_op, "fork")
FORK_RESET = operation(Memory.sharing_op, "fork_reset")


def enable(xen: Hypervisor, domid: int, wanted: bool) -> None:
    """Whether pages of an HVM domain may be shared; mem_sharing_op CONTROL.

    EOPNOTSUPP but on Intel's CPUs, ENODEV without nested page tables, EXDEV where it has an IOMMU.
    """
    domctl(xen, CONTROL, domid, "mem_sharing_op", op=MemSharing.CONTROL, u={"enable": wanted})


def fork(xen: Hypervisor, domid: int, parent: int, flags: int) -> None:
    """Let a domain that was just created go on where its parent is, with only what differs its own. sharing_op fork.

    EINVAL for another number of vCPUs, ESRCH without the parent, and what `enable` says of it.
    """
    _fork_op(xen, FORK, SharingOp.fork, domid, parent, flags)


def fork_reset(xen: Hypervisor, domid: int, flags: ForkFlag) -> None:
    """Take a fork back to where its parent is: its memory, its state, both before Xen 4.17. sharing_op fork_reset.

    ENOSYS of a domain that is no fork.
    """
    _fork_op(xen, FORK_RESET, SharingOp.fork_reset, domid, 0, flags)


def _fork_op(xen: Hypervisor, op: Operation, what: SharingOp, domid: int, parent: int, flags: int) -> None:
    given = {"op": what, "domain": domid, "u.fork.parent_domain": parent, "u.fork.flags": flags}
    numbered(xen, op, domid, **given)
