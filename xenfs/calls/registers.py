"""The registers of a vCPU; domctl getvcpucontext."""

from __future__ import annotations

import errno
from typing import Any

from xenfs.abi.numbers import Domctl
from xenfs.abi.operations import operation
from xenfs.calls.control import domctl
from xenfs.errors import answered_by
from xenfs.hypervisor.base import Hypervisor

GETVCPUCONTEXT = operation(Domctl.getvcpucontext)
_STRUCT = "struct vcpu_guest_context"


def context(xen: Hypervisor, domid: int, vcpu: int) -> Any:
    """struct vcpu_guest_context; Xen pauses the vCPU meanwhile. domctl getvcpucontext.

    EINVAL for a vCPU that does not exist or makes the call, ENODATA for one that was never started.
    """
    with xen.pool.take(xen.abi.sizeof(_STRUCT)) as buf:
        domctl(xen, GETVCPUCONTEXT, domid, "vcpucontext", vcpu=vcpu, ctxt=(buf, xen.abi.sizeof(_STRUCT)))
        return xen.abi.copy(xen.abi.view(_STRUCT, buf))


def started(xen: Hypervisor, domid: int, vcpu: int) -> bool:
    """Whether a vCPU ever got registers; to ask this of one that runs would pause it."""
    with answered_by(errno.ENODATA, errno.EINVAL):
        context(xen, domid, vcpu)
        return True
    return False
