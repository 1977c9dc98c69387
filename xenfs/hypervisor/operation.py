"""What can be asked of Xen: one `Operation` for each sub-operation of each hypercall."""

from __future__ import annotations

import errno
from enum import IntEnum

from xenfs.abi import Abi
from xenfs.abi.numbers import Domctl, Hypercall

PLATFORM_VERSION = 0x03000001  # XENPF_INTERFACE_VERSION: the same in all nine releases

_VERSIONED = frozenset({Hypercall.sysctl, Hypercall.domctl, Hypercall.platform_op})


class Operation:
    """One sub-operation: its numbers, its name in records, and how it behaves.

    `slow` calls can take seconds and run in a lane of their own. `repeatable` ones may be made again when memory
    faulted: EFAULT does not tell whether Xen did its work before, so they do no harm when made twice.
    """

    __slots__ = ("cmd", "hypercall", "name", "repeatable", "slow")

    def __init__(
        self, hypercall: Hypercall, cmd: int, name: str, *, slow: bool = False, repeatable: bool = False
    ) -> None:
        self.hypercall, self.cmd = hypercall, cmd
        self.name = f"{hypercall.name} {name}"
        self.slow, self.repeatable = slow, repeatable

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def hint(self, code: int, abi: Abi, *, accepted: bool = False) -> str:
        """What an errno most likely means here, for the message; empty where the errno says it all.

        EACCES is how Xen refuses an interface version, and how a FLASK policy refuses a domain. `accepted` says that
        Xen took the version before, which leaves the policy.
        """
        if code == errno.EACCES and self.hypercall in _VERSIONED:
            return self._refused(abi, accepted)
        if code == errno.EPERM:
            return "this domain lacks the privilege, or the XSM policy forbids it"
        if code in (errno.ENOSYS, errno.EOPNOTSUPP):
            return "this Xen does not have the operation, or was built without it"
        return ""

    def _refused(self, abi: Abi, accepted: bool) -> str:
        if self.hypercall == Hypercall.domctl and self.cmd == Domctl.get_domain_state:
            return "this operation is outside the versions: Xen refuses this caller, or knows it in another form"
        versions = {Hypercall.sysctl: abi.sysctl, Hypercall.domctl: abi.domctl}
        version = versions.get(self.hypercall, PLATFORM_VERSION)
        if accepted:
            return f"Xen does speak interface version {version:#x}: the XSM policy denies this domain the privilege"
        return f"this Xen does not accept interface version {version:#x}"


def operation(hypercall: Hypercall, cmd: IntEnum, **behaviour: bool) -> Operation:
    """The operation that an enum member names."""
    return Operation(hypercall, int(cmd), cmd.name, **behaviour)
