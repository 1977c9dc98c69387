"""What ends, wakes, prods and names domains: sched_op remote_shutdown and the domctls beside it."""

from __future__ import annotations

from typing import Any

from xenfs.abi.numbers import Domctl, SchedOp, ShutdownReason, Trigger
from xenfs.abi.operations import operation
from xenfs.calls.control import domctl, numbered
from xenfs.calls.domains import GET_DOMAIN_STATE
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.sources import asks

SENDTRIGGER = operation(Domctl.sendtrigger)
SETDOMAINHANDLE = operation(Domctl.setdomainhandle)
RESUMEDOMAIN = operation(Domctl.resumedomain)
SOFT_RESET = operation(Domctl.soft_reset)
SETTIMEOFFSET = operation(Domctl.settimeoffset)
REMOTE_SHUTDOWN = operation(SchedOp.remote_shutdown)


@asks(GET_DOMAIN_STATE)
def state(xen: Hypervisor, domid: int) -> Any:
    """struct xen_domctl_get_domain_state: state, caps, unique_id; domctl get_domain_state (Xen 4.21)."""
    return domctl(xen, GET_DOMAIN_STATE, domid, "get_domain_state", version=0)


def trigger(xen: Hypervisor, domid: int, what: Trigger, vcpu: int = 0) -> None:
    """Send an NMI to a vCPU, or press the power or sleep button; sendtrigger (x86).

    ESRCH for a vCPU that does not exist, EINVAL for a button of a PV domain.
    """
    domctl(xen, SENDTRIGGER, domid, "sendtrigger", trigger=what, vcpu=vcpu)


def rename(xen: Hypervisor, domid: int, handle: bytes) -> None:
    """Give a domain another UUID, sixteen bytes, and know it for the same life; domctl setdomainhandle."""
    with xen.lives.renaming(domid, handle):
        domctl(xen, SETDOMAINHANDLE, domid, "setdomainhandle", handle=handle)


def shut_down(xen: Hypervisor, domid: int, reason: ShutdownReason) -> None:
    """Declare a domain shut down; the first reason stays. sched_op remote_shutdown.

    The guest is not asked, and of the hardware domain this is the shutdown of the host.
    """
    numbered(xen, REMOTE_SHUTDOWN, domid, domain_id=domid, reason=reason)


def resume(xen: Hypervisor, domid: int) -> None:
    """Let a domain that has shut down go on; EINVAL for one's own. domctl resumedomain."""
    domctl(xen, RESUMEDOMAIN, domid)


def soft_reset(xen: Hypervisor, domid: int) -> None:
    """Have a domain that has shut down begin anew with the memory that it has; domctl soft_reset (x86).

    EINVAL unless all its vCPUs are down and it is paused; of PV it is EOPNOTSUPP or EINVAL.
    """
    domctl(xen, SOFT_RESET, domid)


def set_time_offset(xen: Hypervisor, domid: int, seconds: int) -> None:
    """How far a domain's wall clock is from the host's, s; domctl settimeoffset."""
    domctl(xen, SETTIMEOFFSET, domid, "settimeoffset", time_offset_seconds=seconds)
