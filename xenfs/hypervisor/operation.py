"""What an errno of Xen's most likely means where an operation is refused."""

from __future__ import annotations

import errno

from xenfs.abi import Abi
from xenfs.abi.numbers import Domctl, Hypercall, Interface
from xenfs.abi.operations import Operation

PLATFORM_VERSION = int(Interface.XENPF_INTERFACE_VERSION)

_VERSIONED = frozenset({Hypercall.sysctl, Hypercall.domctl, Hypercall.platform_op})


def hint(op: Operation, code: int, abi: Abi, *, accepted: bool = False) -> str:
    """What an errno most likely means here, for the message; empty where the errno says it all.

    EACCES is how Xen refuses an interface version, and how a FLASK policy refuses a domain. `accepted` says that
    Xen took the version before, which leaves the policy.
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
