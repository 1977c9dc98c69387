"""Overlays of the device tree: nodes that come and go while Xen runs. Arm, in few builds.

Xen looks into a blob before it has checked it, and goes down its nodes by calling itself: what it is given has to be
whole, and not deep.
"""

from __future__ import annotations

import errno

from xenfs.abi.numbers import Domctl, DtOverlay, Sysctl
from xenfs.abi.operations import operation
from xenfs.calls.control import domctl, sysctl
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor

ADD, REMOVE = (operation(Sysctl.dt_overlay, each.name) for each in (DtOverlay.ADD, DtOverlay.REMOVE))
ATTACH = operation(Domctl.dt_overlay)
MOST_BYTES = 500 << 10
_ATTACH = 1  # XEN_DOMCTL_DT_OVERLAY_ATTACH, the only one


def has_overlays(xen: Hypervisor) -> bool:
    """Whether this Xen was built with them: to nothing it says EINVAL then, else EOPNOTSUPP. sysctl dt_overlay."""
    try:
        sysctl(xen, ADD, "dt_overlay")
    except HypercallError as problem:
        if problem.errno == errno.EINVAL:
            return True
        raise
    return True


def add(xen: Hypervisor, blob: bytes) -> None:
    """Add an overlay's nodes to Xen's device tree. sysctl dt_overlay ADD.

    EINVAL where a node is there already, ENOMEM. Up to 18 it is an error of libfdt's, and no errno. Where Xen had to
    take nodes back it may say nothing: its console does.
    """
    _change(xen, DtOverlay.ADD, blob)


def remove(xen: Hypervisor, blob: bytes) -> None:
    """Take away what these same bytes have added; EINVAL for others, and of a guest's node. dt_overlay REMOVE."""
    _change(xen, DtOverlay.REMOVE, blob)


def _change(xen: Hypervisor, what: DtOverlay, blob: bytes) -> None:
    with xen.pool.take(len(blob)) as data:
        data.fill(blob)
        sysctl(
            xen, ADD if what is DtOverlay.ADD else REMOVE, "dt_overlay", overlay_fdt_size=len(blob), overlay_fdt=data
        )


def attach(xen: Hypervisor, domid: int, blob: bytes) -> None:
    """Give a domain the memory and the interrupts of an overlay's nodes; since Xen 4.19. domctl dt_overlay.

    EINVAL of an overlay that was not added, EOPNOTSUPP of a domain whose addresses are not the machine's.
    """
    with xen.pool.take(len(blob)) as data:
        data.fill(blob)
        domctl(xen, ATTACH, domid, "dt_overlay", overlay_fdt_size=len(blob), overlay_fdt=data, overlay_op=_ATTACH)
