"""Which interface version does this Xen speak? Versions are found by asking, the likely one first.

Xen answers EACCES to a wrong version before it looks at anything else. A FLASK policy answers EACCES too, to a domain
that may not do what it asks. So when Xen refuses every version, a command that does not exist is tried. No policy names
that one: only the version can be wrong with it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from typing import NamedTuple

from xenfs.abi.numbers import Domctl, Hypercall, Sysctl
from xenfs.abi.operations import Operation, operation
from xenfs.abi.operations.model import unlisted
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor

_TRY = {
    Hypercall.sysctl: operation(Sysctl.sched_id),
    Hypercall.domctl: operation(Domctl.getdomaininfo),
}
_STRUCTS = {Hypercall.sysctl: "struct xen_sysctl", Hypercall.domctl: "struct xen_domctl"}
_NO_SUCH_COMMAND = 0xFFFF
_MISSING = (errno.ENOSYS, errno.EOPNOTSUPP)


class Spoken(NamedTuple):
    """What came of it: the version, or None and why.

    `absent`: Xen has no such hypercall. `denied`: a policy keeps this domain from the operation that was tried.
    """

    version: int | None
    why: str = ""
    absent: bool = False
    denied: bool = False


def spoken(xen: Hypervisor, hypercall: Hypercall, versions: Iterable[int]) -> Spoken:
    """The first of these versions that Xen accepts."""
    versions = tuple(versions)
    op = _TRY[hypercall]
    for version in versions:
        code = _tried(xen, op, version)
        if code in _MISSING:
            return Spoken(None, f"this Xen has no {hypercall.name} at all: it was built without it", absent=True)
        if code != errno.EACCES:
            return Spoken(version)
    nothing = unlisted(hypercall, _NO_SUCH_COMMAND, "(probe)")
    for version in versions:
        if _tried(xen, nothing, version) != errno.EACCES:
            return Spoken(version, denied=True)
    return Spoken(None, f"accepts no {hypercall.name} interface version that xenfs knows")


def _tried(xen: Hypervisor, op: Operation, version: int) -> int:
    """Xen's errno, 0 for none, to a harmless operation. Both structs begin with command and version in all releases."""
    name = _STRUCTS[op.hypercall]
    with xen.pool.take(xen.abi.sizeof(name)) as buf:
        view = xen.abi.view(name, buf)
        view.cmd, view.interface_version = op.cmd, version
        return _errno(lambda: xen.hypercall(op, buf))


def _errno(attempt: Callable[[], object]) -> int:
    try:
        attempt()
    except HypercallError as problem:
        return problem.errno
    return 0
