"""vm_event_op: the interface by which other programs look into guests."""

from __future__ import annotations

from xenfs.abi.numbers import Domctl, Domid, VmEventOp
from xenfs.abi.operations import operation
from xenfs.calls.control import domctl
from xenfs.hypervisor.base import Hypervisor

VM_EVENT_OP = operation(Domctl.vm_event_op, "GET_VERSION").as_whole()


def interface_version(xen: Hypervisor) -> int:
    """The version of that interface; domctl vm_event_op GET_VERSION, which needs no domain."""
    arm = domctl(xen, VM_EVENT_OP, Domid.INVALID, "vm_event_op", op=VmEventOp.GET_VERSION)
    return int(arm.u.version)
