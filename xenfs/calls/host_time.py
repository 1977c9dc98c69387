"""Xen's clock: the one by which it counts every nanosecond that it tells of; hvm_op get_time. x86."""

from __future__ import annotations

from xenfs.abi.numbers import HvmOp
from xenfs.abi.operations import operation
from xenfs.calls.control import numbered
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.sources import asks

GET_TIME = operation(HvmOp.get_time)


@asks(GET_TIME)
def system_ns(xen: Hypervisor) -> int:
    """Nanoseconds since Xen booted; hvm_op get_time, which needs no domain."""
    return int(numbered(xen, GET_TIME).now)
