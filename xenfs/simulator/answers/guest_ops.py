"""Hypercalls that every guest makes and the control domain makes for others: events, grants, the device model's."""

from __future__ import annotations

from errno import EFAULT, EINVAL, EOPNOTSUPP, EPERM, ESRCH

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world import evtchn
from xenfs.simulator.world.domains import Domain

DOMID_SELF = 0x7FF0
MAX_GRANT_FRAMES = 64
STATUS = "evtchn_status"


def any_domain(xen: Machine, domid: int) -> Domain | None:
    """The domain with this id; the control domain for DOMID_SELF."""
    return xen.world.domain(0 if domid == DOMID_SELF else domid)


def query_size(xen: Machine, address: int) -> int:
    """Frames that a grant table has and may have: a guest with more vCPUs shares more."""
    op = xen.struct(address, "gnttab_query_size")
    domain = any_domain(xen, *xen.get(op, "gnttab_query_size", "dom"))
    if domain is None:
        xen.put(op, "gnttab_query_size", status=xen.constant("GNTST_bad_domain") & 0xFFFF)
        return 0
    frames = min(MAX_GRANT_FRAMES, 1 + 2 * len(domain.existing()))
    xen.put(op, "gnttab_query_size", nr_frames=frames, max_nr_frames=MAX_GRANT_FRAMES, status=0)
    return 0


def get_version(xen: Machine, address: int) -> int:
    """Version 1, which is what Linux uses."""
    op = xen.struct(address, "gnttab_get_version")
    if any_domain(xen, *xen.get(op, "gnttab_get_version", "dom")) is None:
        return -ESRCH
    xen.put(op, "gnttab_get_version", version=1)
    return 0


def status(xen: Machine, address: int) -> int:
    """What a port is bound to; EINVAL past the last one."""
    op = xen.struct(address, STATUS)
    domid, port = xen.get(op, STATUS, "dom", "port")
    domain = any_domain(xen, domid)
    if domain is None:
        return -ESRCH
    found = evtchn.channel(xen.world, domain, port)
    if found is None:
        return -EINVAL
    xen.put(op, STATUS, status=xen.constant(f"EVTCHNSTAT_{found.kind}"), vcpu=found.vcpu)
    xen.put(op, STATUS, **{f"u.{member}": value for member, value in found.peer.items()})
    return 0


def reset(xen: Machine, address: int) -> int:
    """All ports of a domain that is paused, or the caller itself, are closed."""
    domain = any_domain(xen, *xen.get(xen.struct(address, "evtchn_reset"), "evtchn_reset", "dom"))
    if domain is None:
        return -ESRCH
    if domain.domid and not domain.pause_count:
        return -EINVAL
    domain.kept["evtchn_resets"] = domain.kept.get("evtchn_resets", 0) + 1
    return 0


def remote_shutdown(xen: Machine, address: int) -> int:
    """A domain counts as shut down; the control domain would take the host with it."""
    struct = "sched_remote_shutdown"
    domid, reason = xen.get(xen.struct(address, struct), struct, "domain_id", "reason")
    if xen.world.domain(domid) is None:
        return -ESRCH
    xen.world.shutdown(domid, reason & 0xFF)
    return 0


def dm_op(xen: Machine, domid: int, count: int, buffers: int) -> tuple[str, int]:
    """(name of the operation, result): only how many vCPUs there are, since 4.15."""
    if not count:
        return "", -EFAULT
    address, size = xen.get(xen.struct(buffers, "xen_dm_op_buf"), "xen_dm_op_buf", "h", "size")
    if domid == 0 or any_domain(xen, domid) is None:
        return "", -EPERM if domid == 0 else -ESRCH
    domain = any_domain(xen, domid)
    if domain is None or not domain.hvm:
        return "", -EINVAL
    body = xen.layouts.offset("xen_dm_op", "u")
    if size < body + 4:
        return "", -EFAULT
    op = xen.at(address, body + 4)
    (cmd,) = xen.get(op, "xen_dm_op", "op")
    if not xen.layouts.defines("XEN_DMOP_nr_vcpus") or cmd != xen.constant("XEN_DMOP_nr_vcpus"):
        return str(cmd), -EOPNOTSUPP
    xen.put(op[body:], "xen_dm_op_nr_vcpus", vcpus=domain.max_vcpus)
    return "nr_vcpus", 0


GRANT_OPERATIONS: Answers = {"GNTTABOP_query_size": query_size, "GNTTABOP_get_version": get_version}
EVENT_OPERATIONS: Answers = {"EVTCHNOP_status": status, "EVTCHNOP_reset": reset}
SCHED_OPERATIONS: Answers = {"SCHEDOP_remote_shutdown": remote_shutdown}
