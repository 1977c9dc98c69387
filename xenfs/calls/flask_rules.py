"""xsm_op: what a FLASK policy decides, what it remembers of that, the labels of the machine's things, the policy."""

from __future__ import annotations

import errno
import struct
from typing import NamedTuple

from xenfs.abi.numbers import FlaskOp
from xenfs.abi.operations import Operation, operation
from xenfs.calls.flask import counted, flask_op
from xenfs.calls.sysctl import nr_cpu_ids
from xenfs.errors import BadInput, answered_by
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.sources import asks

# FLASK_MAGIC, the length of a name, and the name; older tools wrote SELinux's.
_BEGINNINGS = tuple(struct.pack("<II", 0xF97CFF8C, len(name)) + name for name in (b"XenFlask", b"SE Linux"))

ACCESS = operation(FlaskOp.ACCESS)
CREATE = operation(FlaskOp.CREATE)
RELABEL = operation(FlaskOp.RELABEL)
MEMBER = operation(FlaskOp.MEMBER)
GET_PEER_SID = operation(FlaskOp.GET_PEER_SID)
GETAVC_THRESHOLD = operation(FlaskOp.GETAVC_THRESHOLD)
SETAVC_THRESHOLD = operation(FlaskOp.SETAVC_THRESHOLD)
AVC_HASHSTATS = operation(FlaskOp.AVC_HASHSTATS)
AVC_CACHESTATS = operation(FlaskOp.AVC_CACHESTATS)
ADD_OCONTEXT = operation(FlaskOp.ADD_OCONTEXT)
DEL_OCONTEXT = operation(FlaskOp.DEL_OCONTEXT)
DEVICETREE_LABEL = operation(FlaskOp.DEVICETREE_LABEL)
LOAD = operation(FlaskOp.LOAD)

CLASSES = (
    "xen", "xen2", "domain", "domain2", "hvm", "mmu", "resource", "shadow", "event", "grant", "security", "version",
    "argo",
)  # fmt: skip
"""Xen's classes of objects, numbered from 1 on in this order: the same in 4.14 to 4.22."""


PIRQ, IOPORT, IOMEM, DEVICE = range(1, 5)  # what has labels, by the numbers of the format of policies


class Decision(NamedTuple):
    """Bits of permissions: those that are allowed, and those that are logged where allowed or denied."""

    allowed: int
    audit_allow: int
    audit_deny: int
    seqno: int


class HashStats(NamedTuple):
    """The table of remembered decisions."""

    entries: int
    buckets_used: int
    buckets_total: int
    max_chain_len: int


class CacheStats(NamedTuple):
    """What one CPU did with remembered decisions."""

    lookups: int
    hits: int
    misses: int
    allocations: int
    reclaims: int
    frees: int


def access(xen: Hypervisor, source: int, target: int, kind: int, wanted: int) -> Decision:
    """What the policy lets a SID do to another, as an object of a class. ACCESS.

    EINVAL for a class that the policy does not have. Without a policy everything is allowed.
    """
    found = flask_op(xen, ACCESS, "access", ssid=source, tsid=target, tclass=kind, req=wanted)[1]
    return Decision(*(int(getattr(found, name)) for name in Decision._fields))


def labelled(xen: Hypervisor, op: Operation, source: int, target: int, kind: int) -> int:
    """The SID that the policy gives: CREATE, a new object of a class; RELABEL, one that is labelled anew; MEMBER, one
    of several. EINVAL, EACCES where that would be a context which the policy does not allow.
    """
    return int(flask_op(xen, op, "transition", ssid=source, tsid=target, tclass=kind)[1].newsid)


def peer_sid(xen: Hypervisor, port: int) -> int:
    """The SID of the domain at the other end of one of the control domain's event channels. GET_PEER_SID.

    EINVAL for a port that leads to no domain.
    """
    return int(flask_op(xen, GET_PEER_SID, "peersid", evtchn=port)[1].sid)


@asks(GETAVC_THRESHOLD)
def avc_threshold(xen: Hypervisor) -> int:
    """How many decisions are remembered before old ones are forgotten; GETAVC_THRESHOLD."""
    return flask_op(xen, GETAVC_THRESHOLD)[0]


def set_avc_threshold(xen: Hypervisor, threshold: int) -> None:
    """Remember so many; SETAVC_THRESHOLD."""
    flask_op(xen, SETAVC_THRESHOLD, "setavc_threshold", threshold=threshold)


@asks(AVC_HASHSTATS)
def hash_stats(xen: Hypervisor) -> HashStats:
    """The table of remembered decisions; AVC_HASHSTATS."""
    found = flask_op(xen, AVC_HASHSTATS, "hash_stats")[1]
    return HashStats(*(int(getattr(found, name)) for name in HashStats._fields))


def cache_stats(xen: Hypervisor, cpu: int) -> CacheStats:
    """What a CPU did with them; ENOENT where it is offline, ENOSYS where Xen was built without. AVC_CACHESTATS."""
    found = flask_op(xen, AVC_CACHESTATS, "cache_stats", cpu=cpu)[1]
    return CacheStats(*(int(getattr(found, name)) for name in CacheStats._fields))


@asks(AVC_CACHESTATS)
def all_cache_stats(xen: Hypervisor) -> list[tuple[int, CacheStats]]:
    """The same of each CPU that is online; AVC_CACHESTATS."""
    found: list[tuple[int, CacheStats]] = []
    for cpu in range(nr_cpu_ids(xen)):
        with answered_by(errno.ENOENT):
            found.append((cpu, cache_stats(xen, cpu)))
    return found


def add_label(xen: Hypervisor, kind: int, first: int, last: int, sid: int) -> None:
    """Label things of the machine, by what they are (PIRQ and so on) and their numbers; ADD_OCONTEXT.

    EEXIST where one of them has another label. Of an interrupt or a device Xen keeps the same label twice.
    """
    flask_op(xen, ADD_OCONTEXT, "ocontext", ocon=kind, low=first, high=last, sid=sid)


def remove_label(xen: Hypervisor, kind: int, first: int, last: int) -> None:
    """Take a label away; ENOENT where none was given to exactly these. DEL_OCONTEXT."""
    flask_op(xen, DEL_OCONTEXT, "ocontext", ocon=kind, low=first, high=last)


def label_node(xen: Hypervisor, where: str, sid: int) -> None:
    """Label a node of the device tree, or with SID 0 take its label away; DEVICETREE_LABEL (Arm).

    EEXIST where it has one, ENOENT where it has none, ENOBUFS beyond a page.
    """
    data = counted(where)
    with xen.pool.take(len(data)) as text:
        text.fill(data)
        flask_op(xen, DEVICETREE_LABEL, "devicetree_label", sid=sid, length=len(data), path=text)


def load(xen: Hypervisor, policy: bytes) -> None:
    """Put another binary policy in force; what was labelled, and values of booleans that are pending, go with the old.

    EINVAL for what is no policy of a version that Xen takes, or lacks one of its classes. LOAD.
    """
    if not policy.startswith(_BEGINNINGS):
        raise BadInput("this is no policy that checkpolicy makes for Xen", at=0)
    with xen.pool.take(len(policy)) as buffer:
        buffer.fill(policy)
        flask_op(xen, LOAD, "load", size=len(policy), buffer=buffer)
