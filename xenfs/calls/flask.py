"""xsm_op: FLASK, which lets a policy decide what each domain may do. A security context is text such as
system_u:system_r:domU_t; Xen knows it by a number, its SID. Without a policy loaded, contexts are the names of the
initial SIDs. Every operation is ENOSYS where Xen has no FLASK in force, EACCES where the policy forbids it.
"""

from __future__ import annotations

import errno
from typing import Any, NamedTuple

from xenfs.abi.numbers import FlaskOp, Interface
from xenfs.abi.operations import Operation, operation
from xenfs.calls.control import fill
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor

GETENFORCE = operation(FlaskOp.GETENFORCE)
SETENFORCE = operation(FlaskOp.SETENFORCE)
POLICYVERS = operation(FlaskOp.POLICYVERS)
MLS = operation(FlaskOp.MLS)
CONTEXT_TO_SID = operation(FlaskOp.CONTEXT_TO_SID)
SID_TO_CONTEXT = operation(FlaskOp.SID_TO_CONTEXT)
GETBOOL = operation(FlaskOp.GETBOOL)
SETBOOL = operation(FlaskOp.SETBOOL)
COMMITBOOLS = operation(FlaskOp.COMMITBOOLS)
RELABEL_DOMAIN = operation(FlaskOp.RELABEL_DOMAIN)

_BY_NAME = 0xFFFFFFFF  # a boolean's number, to have Xen look for its name
_ROOM, _MOST_ROOM = 4096, 1 << 20  # a context with many categories is longer than a page


class Boolean(NamedTuple):
    """A boolean of the policy: its value that is in force, and the one that a commit will bring into force."""

    name: str
    current: bool
    pending: bool


def enforcing(xen: Hypervisor) -> bool:
    """Whether what the policy denies is refused, and not only logged; GETENFORCE."""
    return bool(flask_op(xen, GETENFORCE)[0])


def set_enforcing(xen: Hypervisor, wanted: bool) -> None:
    """Refuse from now on, or only log; SETENFORCE."""
    flask_op(xen, SETENFORCE, "enforce", enforcing=wanted)


def policyvers(xen: Hypervisor) -> int:
    """The highest version of binary policies that Xen takes; POLICYVERS."""
    return flask_op(xen, POLICYVERS)[0]


def mls(xen: Hypervisor) -> bool:
    """Whether the policy has multi-level security; MLS."""
    return bool(flask_op(xen, MLS)[0])


def context_to_sid(xen: Hypervisor, context: str) -> int:
    """The SID of a context; EINVAL for one that the policy does not allow, ENOBUFS beyond a page.

    Without a policy Xen takes any text, and gives the SID of Xen itself for what it does not know. CONTEXT_TO_SID.
    """
    data = counted(context)
    with xen.pool.take(len(data)) as text:
        text.fill(data)
        return int(flask_op(xen, CONTEXT_TO_SID, "sid_context", size=len(data), context=text)[1].sid)


def sid_to_context(xen: Hypervisor, sid: int) -> str:
    """The context of a SID: that of unlabeled things for a number that stands for nothing.

    EINVAL for such a number where no policy is loaded. Xen says ERANGE, and not how long, of too little room.
    SID_TO_CONTEXT.
    """
    room = _ROOM
    while True:
        with xen.pool.take(room) as text:
            try:
                answer = flask_op(xen, SID_TO_CONTEXT, "sid_context", sid=sid, size=room, context=text)[1]
                return bytes(text)[: answer.size].split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
            except HypercallError as problem:
                if problem.errno != errno.ERANGE or room >= _MOST_ROOM:
                    raise
        room *= 16


def booleans(xen: Hypervisor) -> list[Boolean]:
    """Every boolean of the policy, in its order; GETBOOL until ENOENT."""
    found: list[Boolean] = []
    while True:
        with xen.pool.take(_ROOM) as text:
            try:
                answer = flask_op(xen, GETBOOL, "boolean", bool_id=len(found), size=_ROOM, name=text)[1]
            except HypercallError as problem:
                if problem.errno != errno.ENOENT:
                    raise
                return found
            name = bytes(text)[: answer.size].decode("utf-8", "surrogateescape")
        found.append(Boolean(name, bool(answer.enforcing), bool(answer.pending)))


def boolean(xen: Hypervisor, name: str) -> Boolean:
    """A boolean by its name; ENOENT where the policy has none of that name. GETBOOL."""
    answer = _named(xen, GETBOOL, name)
    return Boolean(name, bool(answer.enforcing), bool(answer.pending))


def set_boolean(xen: Hypervisor, name: str, value: bool) -> None:
    """Set what it will be after the next commit; ENOENT where there is none. SETBOOL."""
    _named(xen, SETBOOL, name, new_value=value, commit=0)


def commit_booleans(xen: Hypervisor) -> None:
    """Bring all pending values into force; COMMITBOOLS."""
    flask_op(xen, COMMITBOOLS)


def relabel(xen: Hypervisor, domid: int, sid: int) -> None:
    """Give a domain another SID; ESRCH without the domain, EACCES where the policy has no such way. RELABEL_DOMAIN."""
    flask_op(xen, RELABEL_DOMAIN, "relabel", domid=domid, sid=sid)


def counted(text: str) -> bytes:
    """With its NUL, which counts from Xen 4.23 on (EMSGSIZE without it); older ones read up to it."""
    return text.encode("utf-8", "surrogateescape") + b"\0"


def _named(xen: Hypervisor, op: Operation, name: str, **more: int) -> Any:
    data = counted(name)
    with xen.pool.take(len(data)) as text:
        text.fill(data)
        return flask_op(xen, op, "boolean", bool_id=_BY_NAME, size=len(data), name=text, **more)[1]


def flask_op(xen: Hypervisor, op: Operation, arm: str = "", /, **given: Any) -> tuple[int, Any]:
    """Run one operation: its result, and a copy of its union arm."""
    with xen.pool.take(xen.abi.sizeof("struct xen_flask_op")) as buf:
        view = xen.abi.view("struct xen_flask_op", buf)
        view.cmd, view.interface_version = op.cmd, Interface.XEN_FLASK_INTERFACE_VERSION
        body = getattr(view.u, arm) if arm else None
        if body is not None:
            fill(xen.abi, buf, body, given)
        result = xen.hypercall(op, buf, domid=given.get("domid"))
        return result, None if body is None else xen.abi.copy(body)
