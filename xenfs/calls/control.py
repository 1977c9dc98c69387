"""How every sysctl, domctl and platform operation is made: one struct with a command, a version and a union.

And how those are that take their number beside a struct of plain numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any, NamedTuple

from xenfs.abi import Abi
from xenfs.abi.operations import Operation
from xenfs.calls.plain import plain
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.operation import PLATFORM_VERSION
from xenfs.pool import Buffer
from xenfs.pool.handles import struct_name


def sysctl(xen: Hypervisor, op: Operation, arm: str = "", /, **given: Any) -> Any:
    """Run one sysctl with members of its union arm set as given, and return a copy of that arm.

    The table of operations has the arm, and the members that choose a part of it: neither needs to be said again.
    """
    return _run(xen, op, _SYSCTL, (op.cmd, xen.abi.sysctl), arm, given)


@contextmanager
def sysctls(xen: Hypervisor, op: Operation, arm: str, /, **given: Any) -> Iterator[Callable[..., Any]]:
    """What makes such a sysctl again and again with other numbers in its arm, which it returns as it lies there: to lay
    out struct and handle anew takes half of the time of a call."""
    with xen.pool.take(xen.abi.sizeof(_SYSCTL.struct)) as buf:
        body = _laid(xen.abi, buf, _SYSCTL, (op.cmd, xen.abi.sysctl), f"u.{arm}", given)

        def make(**numbers: int) -> Any:
            for member, number in numbers.items():
                setattr(body, member, number)
            xen.hypercall(op, buf)
            return body

        yield make


def domctl(
    xen: Hypervisor, op: Operation, domid: int, arm: str = "", /, *, version: int | None = None, **given: Any
) -> Any:
    """Run one domctl on a domain, likewise; `version` is 0 for the operations that are outside the versioning."""
    speaks = xen.abi.domctl if version is None else version
    return _run(xen, op, _DOMCTL, (op.cmd, speaks, domid), arm, given, domid)


def platform(xen: Hypervisor, op: Operation, arm: str = "", /, **given: Any) -> Any:
    """Run one platform operation, likewise."""
    return _run(xen, op, _PLATFORM, (op.cmd, PLATFORM_VERSION), arm, given)


def numbered(xen: Hypervisor, op: Operation, about: int | None = None, /, **given: int) -> Any:
    """Run an operation that takes its number and a struct, with members of the struct set as given, all plain numbers.

    `about` is the domain, for the record only. Returns the struct as Xen leaves it.
    """
    form = plain(xen.abi, op.struct, tuple(given))
    return form.lay(xen.ask(op, form.pack(*given.values()), about, op.cmd))


class _Control(NamedTuple):
    """A struct, and its members before the union."""

    struct: str
    head: tuple[str, ...]


_SYSCTL = _Control("struct xen_sysctl", ("cmd", "interface_version"))
_DOMCTL = _Control("struct xen_domctl", ("cmd", "interface_version", "domain"))
_PLATFORM = _Control("struct xen_platform_op", ("cmd", "interface_version"))


def _run(
    xen: Hypervisor,
    op: Operation,
    control: _Control,
    head: tuple[int, ...],
    arm: str,
    given: dict[str, Any],
    domid: int | None = None,
) -> Any:
    """Both ways to Xen. Plain numbers are packed, sent, and the answer laid out; that is what most operations take.

    Where buffers are given, the struct is filled in one more: the pool has to know what its handles point to.
    """
    arm = f"u.{arm}" if arm else op.arm
    if given or op.given:
        given = {**(op.given or {}), **flat(given)}
    if not (given and any(isinstance(value, (Buffer, tuple)) for value in given.values())):
        form = plain(xen.abi, control.struct, control.head, arm, tuple(given))
        return form.lay(xen.ask(op, form.pack(*head, *given.values()), domid))
    with xen.pool.take(xen.abi.sizeof(control.struct)) as buf:
        body = _laid(xen.abi, buf, control, head, arm, given)
        xen.hypercall(op, buf, domid=domid)
        return xen.abi.copy(body)


def _laid(abi: Abi, buf: Buffer, control: _Control, head: tuple[int, ...], arm: str, given: dict[str, Any]) -> Any:
    """A struct in a buffer, with members set: its part of the union."""
    view = abi.view(control.struct, buf)
    for member, value in zip(control.head, head, strict=True):
        setattr(view, member, value)
    body = reduce(getattr, arm.split("."), view)
    fill(abi, buf, body, given)
    return body


def flat(given: dict[str, Any]) -> dict[str, Any]:
    """Members of nested structs by their dotted paths: {"u": {"pci": 1}} is {"u.pci": 1}."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        inner = {f"{name}.{path}": each for path, each in flat(value).items()} if isinstance(value, dict) else None
        found.update({name: value} if inner is None else inner)
    return found


def fill(abi: Abi, buf: Buffer, body: Any, given: dict[str, Any]) -> None:
    """Set members of a struct that lies in `buf`: a buffer becomes a guest handle, a dict fills a nested member.

    A buffer may come with the bytes that are needed: (buffer, needs). Else the header tells, by the other members.
    """
    handles: list[tuple[Any, str, Any]] = []
    for path, value in flat(given).items():
        *way, name = path.split(".")
        holder = reduce(getattr, way, body)
        if isinstance(value, (Buffer, tuple)):
            handles.append((holder, name, value))
        else:
            setattr(holder, name, value)
    for holder, name, value in handles:  # last: how long each must be stands in the members above
        other, needs = value if isinstance(value, tuple) else (value, needed(abi, holder, name))
        buf.attach(holder, name, other, needs)


def needed(abi: Abi, body: Any, handle: str) -> int:
    """The bytes that a struct promises behind one of its handles; 0 where nothing tells."""
    promise = abi.promise(struct_name(body), handle)
    return 0 if promise is None else promise.nbytes(abi, body)
