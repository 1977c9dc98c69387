"""What to say where Xen refuses an operation: the errno, and what it most likely means."""

from __future__ import annotations

import errno

from xenfs.abi import Abi
from xenfs.abi.numbers import Domctl, Hypercall, Interface
from xenfs.abi.operations import Operation
from xenfs.errors import HypercallError

PLATFORM_VERSION = int(Interface.XENPF_INTERFACE_VERSION)

_VERSIONED = frozenset({Hypercall.sysctl, Hypercall.domctl, Hypercall.platform_op})


def refusal(op: Operation, result: int, abi: Abi, *, accepted: bool = False) -> HypercallError:
    """The error for a result below zero. `accepted` says that Xen took the interface version before."""
    return HypercallError(op.name, -result, _hint(op, -result, abi, accepted))


def _hint(op: Operation, code: int, abi: Abi, accepted: bool) -> str:
    """What an errno most likely means here, for the message; empty where the errno says it all.

    EACCES is how Xen refuses an interface version, and how a FLASK policy refuses a domain. Where Xen
    took the version before, that leaves the policy.
    """
    if code == errno.EACCES and op.hypercall in _VERSIONED:
        return _refused(op, abi, accepted)
    if code == errno.EPERM:
        return "this domain lacks the privilege, or the XSM policy forbids it"
    if code in (errno.ENOSYS, errno.EOPNOTSUPP):
        return "this Xen does not have the operation, or was built without it"
    return ""


def _refused(op: Operation, abi: Abi, accepted: bool) -> str:
    if op.hypercall == Hypercall.domctl and op.cmd == Domctl.get_domain_state:
        return "this operation is outside the versions: Xen refuses this caller, or knows it in another form"
    versions = {Hypercall.sysctl: abi.sysctl, Hypercall.domctl: abi.domctl}
    version = versions.get(op.hypercall, PLATFORM_VERSION)
    if accepted:
        return f"Xen does speak interface version {version:#x}: the XSM policy denies this domain the privilege"
    return f"this Xen does not accept interface version {version:#x}"
