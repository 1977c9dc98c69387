"""The hypercall of Xen's security module: FLASK's operations on the policy, or nothing at all without it."""

from __future__ import annotations

from errno import EMSGSIZE, ENOBUFS, ENOSYS, ERANGE, ESRCH

from xenfs.simulator.layouts import version
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.policy import Policy
from xenfs.simulator.world.refused import Refused

POLICY_VERSION = 30
_LONGEST = 4096
_BY_NAME = 0xFFFFFFFF
_BOOLEAN, _CONTEXT = "xen_flask_boolean", "xen_flask_sid_context"


def policy_of(xen: Machine) -> Policy:
    if xen.world.policy is None:
        raise Refused(ENOSYS)
    return xen.world.policy


def getenforce(xen: Machine, op: memoryview) -> int:
    """Whether it refuses, as the result."""
    return int(policy_of(xen).enforcing)


def setenforce(xen: Machine, op: memoryview) -> int:
    """Anything but 0 is 1."""
    policy_of(xen).enforcing = xen.get(op, "xen_flask_setenforce", "enforcing") != (0,)
    return 0


def policyvers(xen: Machine, op: memoryview) -> int:
    """The newest format of policies, as the result: of any policy, loaded or not."""
    return POLICY_VERSION


def mls(xen: Machine, op: memoryview) -> int:
    """Whether there are levels, as the result."""
    return int(policy_of(xen).mls)


def context_to_sid(xen: Machine, op: memoryview) -> int:
    """Text of at most a page in, a SID out."""
    size, address = xen.get(op, _CONTEXT, "size", "context")
    xen.put(op, _CONTEXT, sid=policy_of(xen).sid(text_at(xen, address, size)))
    return 0


def sid_to_context(xen: Machine, op: memoryview) -> int:
    """A SID in, text with its NUL out; ERANGE, and nothing else, where it does not fit."""
    sid, room, address = xen.get(op, _CONTEXT, "sid", "size", "context")
    text = policy_of(xen).context(sid).encode() + b"\0"
    if len(text) > room:
        return -ERANGE
    xen.copy_out(address, text)
    xen.put(op, _CONTEXT, size=len(text))
    return 0


def getbool(xen: Machine, op: memoryview) -> int:
    """By number, with the name where there is room for it; or by name, which is then not given again."""
    number, room, address = xen.get(op, _BOOLEAN, "bool_id", "size", "name")
    policy = policy_of(xen)
    if number == _BY_NAME:
        found, room = policy.boolean(text_at(xen, address, room)), 0
    else:
        found = policy.boolean(number)
    name = found.name.encode() if room else b""
    if len(name) > room:
        return -ERANGE
    xen.copy_out(address, name)
    _put_boolean(xen, op, policy.booleans.index(found), found.value, found.pending)
    xen.put(op, _BOOLEAN, size=len(name))
    return 0


def setbool(xen: Machine, op: memoryview) -> int:
    """Set what is pending; with `commit` the one boolean comes into force, and others stay pending."""
    number, new, commit, size, address = xen.get(op, _BOOLEAN, "bool_id", "new_value", "commit", "size", "name")
    policy = policy_of(xen)
    found = policy.boolean(text_at(xen, address, size) if number == _BY_NAME else number)
    found.pending = bool(new)
    if commit:
        found.value = found.pending
    _put_boolean(xen, op, policy.booleans.index(found), found.value, found.pending)
    return 0


def _put_boolean(xen: Machine, op: memoryview, number: int, value: bool, pending: bool) -> None:
    xen.put(op, _BOOLEAN, bool_id=number, enforcing=int(value), pending=int(pending))


def commitbools(xen: Machine, op: memoryview) -> int:
    """All that is pending comes into force, and the console says so."""
    xen.world.console.print(policy_of(xen).commit())
    return 0


def relabel_domain(xen: Machine, op: memoryview) -> int:
    """Another SID for a domain, dom0 by its own number too."""
    domid, sid = xen.get(op, "xen_flask_relabel", "domid", "sid")
    policy, domain = policy_of(xen), xen.world.any_domain(domid)
    if domain is None:
        return -ESRCH
    domain.ssidref = policy.relabeled(domain.ssidref, sid)
    domain.changed()
    return 0


def text_at(xen: Machine, address: int, size: int) -> str:
    """From 4.23 on its NUL must be there, and counted."""
    if size > _LONGEST:
        raise Refused(ENOBUFS)
    data = bytes(xen.at(address, size))
    if version(xen.settings.xen)[:2] >= (4, 23) and data.find(b"\0") != size - 1:
        raise Refused(EMSGSIZE)
    return data.split(b"\0", 1)[0].decode("latin-1")


OPERATIONS: Answers = {
    "FLASK_GETENFORCE": getenforce,
    "FLASK_SETENFORCE": setenforce,
    "FLASK_POLICYVERS": policyvers,
    "FLASK_MLS": mls,
    "FLASK_CONTEXT_TO_SID": context_to_sid,
    "FLASK_SID_TO_CONTEXT": sid_to_context,
    "FLASK_GETBOOL": getbool,
    "FLASK_SETBOOL": setbool,
    "FLASK_COMMITBOOLS": commitbools,
    "FLASK_RELABEL_DOMAIN": relabel_domain,
}
