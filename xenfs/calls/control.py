"""How every sysctl, domctl and platform operation is made: one struct with a command, a version and a union."""

from __future__ import annotations

from functools import reduce
from typing import Any

from xenfs.abi import Abi
from xenfs.abi.operations import Operation
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.operation import PLATFORM_VERSION
from xenfs.pool import Buffer
from xenfs.pool.handles import struct_name


def sysctl(xen: Hypervisor, op: Operation, arm: str = "", /, **given: Any) -> Any:
    """Run one sysctl with members of its union arm set as given, and return a copy of that arm.

    The table of operations has the arm, and the members that choose a part of it: neither needs to be said again.
    """
    with xen.pool.take(xen.abi.sizeof("struct xen_sysctl")) as buf:
        view = xen.abi.view("struct xen_sysctl", buf)
        view.cmd, view.interface_version = op.cmd, xen.abi.sysctl
        return _run(xen, op, buf, view, arm, given)


def domctl(
    xen: Hypervisor, op: Operation, domid: int, arm: str = "", /, *, version: int | None = None, **given: Any
) -> Any:
    """Run one domctl on a domain, likewise; `version` is 0 for the operations that are outside the versioning."""
    with xen.pool.take(xen.abi.sizeof("struct xen_domctl")) as buf:
        view = xen.abi.view("struct xen_domctl", buf)
        view.cmd, view.interface_version = op.cmd, xen.abi.domctl if version is None else version
        view.domain = domid
        return _run(xen, op, buf, view, arm, given, domid)


def platform(xen: Hypervisor, op: Operation, arm: str = "", /, **given: Any) -> Any:
    """Run one platform operation, likewise."""
    with xen.pool.take(xen.abi.sizeof("struct xen_platform_op")) as buf:
        view = xen.abi.view("struct xen_platform_op", buf)
        view.cmd, view.interface_version = op.cmd, PLATFORM_VERSION
        return _run(xen, op, buf, view, arm, given)


def _run(
    xen: Hypervisor,
    op: Operation,
    buf: Buffer,
    view: Any,
    arm: str,
    given: dict[str, Any],
    domid: int | None = None,
) -> Any:
    arm = arm or op.arm.removeprefix("u.")
    if not arm:
        return xen.hypercall(op, buf, domid=domid)
    body = getattr(view.u, arm)
    for member, value in (op.given or {}).items():
        *way, name = member.split(".")
        setattr(reduce(getattr, way, body), name, value)
    fill(xen.abi, buf, body, given)
    xen.hypercall(op, buf, domid=domid)
    return xen.abi.copy(body)


def fill(abi: Abi, buf: Buffer, body: Any, given: dict[str, Any]) -> None:
    """Set members of a struct that lies in `buf`: a buffer becomes a guest handle, a dict fills a nested member.

    A buffer may come with the bytes that are needed: (buffer, needs). Else the header tells, by the other members.
    """
    handles: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, (Buffer, tuple)):
            handles[name] = value
        elif isinstance(value, dict):
            fill(abi, buf, getattr(body, name), value)
        else:
            setattr(body, name, value)
    for name, value in handles.items():  # last: how long each must be stands in the members above
        other, needs = value if isinstance(value, tuple) else (value, needed(abi, body, name))
        buf.attach(body, name, other, needs)


def needed(abi: Abi, body: Any, handle: str) -> int:
    """The bytes that a struct promises behind one of its handles; 0 where nothing tells."""
    promise = abi.promise(struct_name(body), handle)
    return 0 if promise is None else promise.nbytes(abi, body)
