"""Making a domain: createdomain, and what a toolstack does to it right after, before it has any memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from xenfs.abi.numbers import Domctl, Domid
from xenfs.abi.operations import operation
from xenfs.calls.control import domctl, fill
from xenfs.calls.lists import lent
from xenfs.hypervisor.base import Hypervisor

CREATE = operation(Domctl.createdomain)
MAX_VCPUS = operation(Domctl.max_vcpus)
SET_ADDRESS_SIZE = operation(Domctl.set_address_size)
SET_LLC_COLORS = operation(Domctl.set_llc_colors)

_MARK = bytes.fromhex("78656e6673008000")  # "xenfs", a NUL, and the version of a UUID that anybody may make up


def marked() -> bytes:
    """A UUID that says that whoever has it is not finished, and by whom it was begun."""
    return _MARK + bytes([0x80 | os.urandom(1)[0] & 0x3F]) + os.urandom(7)


def is_marked(handle: bytes) -> bool:
    """Whether this is such a UUID."""
    return handle.startswith(_MARK)


def create(xen: Hypervisor, domid: int | None, handle: bytes, members: Mapping[str, Any]) -> int:
    """A domain with this id, or any: paused, with no memory and no vCPUs; its id. domctl createdomain.

    EEXIST where the id is taken, EINVAL for what this Xen does not take, ENOMEM.
    """
    with xen.pool.take(xen.abi.sizeof("struct xen_domctl")) as buf:
        view = xen.abi.view("struct xen_domctl", buf)
        view.cmd, view.interface_version = CREATE.cmd, xen.abi.domctl
        view.domain = Domid.ANY if domid is None else domid
        body = view.u.createdomain
        xen.abi.ffi.buffer(body.handle)[:] = handle
        fill(xen.abi, buf, body, dict(members))
        xen.hypercall(CREATE, buf, domid=domid)
        return int(view.domain)


def max_vcpus(xen: Hypervisor, domid: int, count: int) -> None:
    """Make its vCPUs, as many as createdomain was told; ENOMEM. domctl max_vcpus."""
    domctl(xen, MAX_VCPUS, domid, "max_vcpus", max=count)


def set_address_size(xen: Hypervisor, domid: int, bits: int) -> None:
    """32 or 64, of a PV or an arm64 domain without memory; EINVAL where Xen or its CPUs have no such.

    An arm64 domain has 32 until it is told. domctl set_address_size.
    """
    domctl(xen, SET_ADDRESS_SIZE, domid, "address_size", size=bits)


def set_llc_colors(xen: Hypervisor, domid: int, colors: Sequence[int]) -> None:
    """The colours of the last-level cache that its memory will have (Xen 4.20, Arm); once, before it has any.

    EOPNOTSUPP where Xen was booted without them, EINVAL for one that there is not. domctl set_llc_colors.
    """
    with lent(xen, colors, 4) as buf:
        domctl(xen, SET_LLC_COLORS, domid, num_llc_colors=len(colors), llc_colors=buf)
