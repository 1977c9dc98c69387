"""Xen's trace buffers, as xentrace(8) uses them: sysctl tbuf_op."""

from __future__ import annotations

from typing import Any

from xenfs.abi.numbers import Sysctl, TbufOp
from xenfs.abi.operations import operation
from xenfs.calls.control import sysctl
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.sources import asks

GET_INFO = operation(Sysctl.tbuf_op, "get_info")


@asks(GET_INFO)
def buffers(xen: Hypervisor) -> Any:
    """struct xen_sysctl_tbuf_op: evt_mask, and buffer_mfn and size in bytes of the page that tells where the buffers
    are, both 0 while there are none; tbuf_op get_info. ENOSYS where Xen was built without them."""
    return sysctl(xen, GET_INFO, "tbuf_op", cmd=TbufOp.get_info)
