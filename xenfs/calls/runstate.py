"""What a vCPU of xenfs's own domain has spent its time with; vcpu_op get_runstate_info. Xen tells nobody of others'."""

from __future__ import annotations

from typing import Any

from xenfs.abi.numbers import VcpuOp
from xenfs.abi.operations import operation
from xenfs.hypervisor.base import Hypervisor

GET_RUNSTATE_INFO = operation(VcpuOp.get_runstate_info)


def runstate(xen: Hypervisor, vcpu: int) -> Any:
    """struct vcpu_runstate_info: the RunState, since when, and ns in each; ENOENT for no vCPU, EINVAL on Arm."""
    with xen.pool.take(xen.abi.sizeof("struct vcpu_runstate_info")) as buf:
        xen.hypercall(GET_RUNSTATE_INFO, GET_RUNSTATE_INFO.cmd, vcpu, buf)
        return xen.abi.copy(xen.abi.view("struct vcpu_runstate_info", buf))
