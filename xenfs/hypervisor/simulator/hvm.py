"""hvm_op: the host's time, so far."""

from __future__ import annotations

from xenfs.hypervisor.simulator.machine import Machine, Operations


def get_time(xen: Machine, address: int) -> int:
    """Nanoseconds since Xen booted."""
    xen.put(xen.struct(address, "xen_hvm_get_time"), "xen_hvm_get_time", now=xen.world.clock.now())
    return 0


OPERATIONS_X86: Operations = {"HVMOP_get_time": get_time}
