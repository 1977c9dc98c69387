"""How wide a PV domain's addresses are, and what its time stamp counter shows; domctls of x86."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xenfs.abi.numbers import Domctl
from xenfs.abi.operations import operation
from xenfs.calls.control import domctl
from xenfs.calls.many import asked_about
from xenfs.hypervisor.base import Hypervisor

GET_ADDRESS_SIZE = operation(Domctl.get_address_size)
SETTSCINFO = operation(Domctl.settscinfo)
GETTSCINFO = operation(Domctl.gettscinfo)


def address_size(xen: Hypervisor, domid: int) -> int:
    """32 or 64; EOPNOTSUPP for a domain that is not PV. domctl get_address_size."""
    return int(domctl(xen, GET_ADDRESS_SIZE, domid, "address_size").size)


def address_sizes(xen: Hypervisor, domids: Sequence[int]) -> list[int]:
    """The same of each domain, 0 for one that is not PV, or is gone."""
    rows = asked_about(xen, GET_ADDRESS_SIZE, domids, "address_size", "u.address_size.size")
    return [row[0] if result >= 0 else 0 for result, row in rows]


def tsc_info(xen: Hypervisor, domid: int) -> Any:
    """struct xen_domctl_tsc_info: tsc_mode, gtsc_khz, incarnation, elapsed_nsec; EINVAL for one's own domain.

    Xen pauses the domain for the moment. domctl gettscinfo.
    """
    return domctl(xen, GETTSCINFO, domid, "tsc_info")


def set_tsc(xen: Hypervisor, domid: int, mode: int, khz: int, incarnation: int, elapsed_ns: int) -> None:
    """Set how it is kept, its frequency (0: the host's), how often it was moved, and what it has counted; Xen counts
    one move more. EINVAL for another mode, or one's own domain. domctl settscinfo."""
    given = {"tsc_mode": mode, "gtsc_khz": khz, "incarnation": incarnation, "elapsed_nsec": elapsed_ns}
    domctl(xen, SETTSCINFO, domid, "tsc_info", **given)
