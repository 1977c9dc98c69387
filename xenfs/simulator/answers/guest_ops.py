"""Hypercalls that every guest makes and the control domain makes for others: events, grants, the device model's."""

from __future__ import annotations

from errno import EBUSY, EFAULT, EINVAL, ENOENT, ENOSPC, EOPNOTSUPP, EPERM, ESRCH
from functools import cache
from struct import Struct

from xenfs.simulator.layouts import Layouts
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world import evtchn
from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.world import DOMID_SELF

MAX_GRANT_FRAMES = 64
WATCHDOGS = 2  # timers of a domain
STATUS, SIZE = "evtchn_status", "gnttab_query_size"
GRANT_FRAMES, GRANT_VERSION = "grant_frames", "grant_version"


def query_size(xen: Machine, address: int) -> int:
    """Frames that a grant table has and may have: a guest with more vCPUs shares more."""
    op, form = xen.struct(address, SIZE), _sizes(xen.layouts)
    domid = form.unpack_from(op)[0]
    domain = xen.world.any_domain(domid)
    if domain is None:
        xen.put(op, SIZE, status=xen.constant("GNTST_bad_domain") & 0xFFFF)
        return 0
    form.pack_into(op, 0, domid, grant_frames(domain), MAX_GRANT_FRAMES, 0)
    return 0


@cache
def _sizes(layouts: Layouts) -> Struct:
    return layouts.array(SIZE, "dom", "nr_frames", "max_nr_frames", "status")


def grant_frames(domain: Domain) -> int:
    """How large its grant table is: that of a guest with more vCPUs is larger, until somebody asks for more of it."""
    asked: int = domain.kept.get(GRANT_FRAMES, 0)
    return max(min(MAX_GRANT_FRAMES, 1 + 2 * len(domain.existing())), asked)


def get_version(xen: Machine, address: int) -> int:
    """Version 1, which is what Linux uses, but for a domain that says otherwise."""
    op = xen.struct(address, "gnttab_get_version")
    domain = xen.world.any_domain(*xen.get(op, "gnttab_get_version", "dom"))
    if domain is None:
        return -ESRCH
    xen.put(op, "gnttab_get_version", version=domain.kept.get(GRANT_VERSION, 1))
    return 0


def status(xen: Machine, address: int) -> int:
    """What a port is bound to; EINVAL past the last one."""
    op = xen.struct(address, STATUS)
    domid, port = xen.get(op, STATUS, "dom", "port")
    domain = xen.world.any_domain(domid)
    if domain is None:
        return -ESRCH
    found = evtchn.channel(xen.world, domain, port)
    if found is None:
        return -EINVAL
    xen.put(op, STATUS, status=xen.constant(f"EVTCHNSTAT_{found.kind}"), vcpu=found.vcpu)
    xen.put(op, STATUS, **{f"u.{member}": value for member, value in found.peer.items()})
    return 0


def alloc_unbound(xen: Machine, address: int) -> int:
    """A port of a domain that another may bind; ENOSPC where all are taken."""
    struct = "evtchn_alloc_unbound"
    op = xen.struct(address, struct)
    domid, remote = xen.get(op, struct, "dom", "remote_dom")
    domain = xen.world.any_domain(domid)
    if domain is None:
        return -ESRCH
    port = evtchn.alloc_unbound(xen.world, domain, 0 if remote == DOMID_SELF else remote)
    if port is None:
        return -ENOSPC
    xen.put(op, struct, port=port)
    return 0


def reset(xen: Machine, address: int) -> int:
    """All ports of a domain that is paused, or the caller itself, are closed."""
    domain = xen.world.any_domain(*xen.get(xen.struct(address, "evtchn_reset"), "evtchn_reset", "dom"))
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


def watchdog(xen: Machine, address: int) -> int:
    """Set one of the caller's two timers, a new one by number 0; end one that is set by 0 seconds."""
    number, timeout = xen.get(xen.struct(address, "sched_watchdog"), "sched_watchdog", "id", "timeout")
    timers = xen.world.domains[0].kept.setdefault("watchdogs", {})
    if number > WATCHDOGS:
        return -EINVAL
    if not number:
        free = next((each for each in range(1, WATCHDOGS + 1) if each not in timers), 0)
        if not free:
            return -ENOSPC
        timers[free] = timeout
        return free
    if number not in timers:
        return -EINVAL
    if timeout:
        timers[number] = timeout
    else:
        del timers[number]
    return 0


def dm_op(xen: Machine, domid: int, count: int, buffers: int) -> tuple[str, int]:
    """(name of the operation, result) of what a device model may ask, and do."""
    if not count:
        return "", -EFAULT
    address, size = xen.get(xen.struct(buffers, "xen_dm_op_buf"), "xen_dm_op_buf", "h", "size")
    if domid == 0 or xen.world.any_domain(domid) is None:
        return "", -EPERM if domid == 0 else -ESRCH
    domain = xen.world.any_domain(domid)
    if domain is None or not domain.hvm:
        return "", -EINVAL
    body = xen.layouts.offset("xen_dm_op", "u")
    if size < body:
        return "", -EFAULT
    (cmd,) = xen.get(xen.at(address, body), "xen_dm_op", "op")
    name = _dm_names(xen).get(cmd)
    if name is None:
        return str(cmd), -EOPNOTSUPP
    if size < body + xen.layouts.size(_DM_STRUCTS[name]):
        return name, -EFAULT
    return name, _DM_OPERATIONS[name](xen, domain, xen.at(address, size)[body:])


def _dm_names(xen: Machine) -> dict[int, str]:
    names = {name: f"XEN_DMOP_{name}" for name in _DM_OPERATIONS}
    return {xen.constant(full): name for name, full in names.items() if xen.layouts.defines(full)}


def _nr_vcpus(xen: Machine, domain: Domain, op: memoryview) -> int:
    xen.put(op, "xen_dm_op_nr_vcpus", vcpus=domain.max_vcpus)
    return 0


def _server_info(xen: Machine, domain: Domain, op: memoryview) -> int:
    """One server of each domain with emulated devices: the device model in the control domain."""
    struct = "xen_dm_op_get_ioreq_server_info"
    number, flags = xen.get(op, struct, "id", "flags")
    if flags & ~1:
        return -EINVAL
    if number or domain.kind != "hvm":
        return -ENOENT
    xen.put(op, struct, bufioreq_port=7, ioreq_gfn=0 if flags else 0xFEFF0, bufioreq_gfn=0 if flags else 0xFEFF1)
    return 0


def _inject_event(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Kept until the vCPU runs; a second one before that is EBUSY."""
    struct = "xen_dm_op_inject_event"
    number, *event, code, pad1, cr2 = xen.get(
        op, struct, "vcpuid", "vector", "type", "insn_len", "pad0", "error_code", "pad1", "cr2"
    )
    if event.pop() or pad1 or domain.vcpu(number) is None:
        return -EINVAL
    pending = domain.kept.setdefault("events", {})
    if number in pending and not domain.runs:
        return -EBUSY
    pending[number] = (*event, code, cr2)
    return 0


def _inject_msi(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Of the kinds of delivery that a local APIC has; without a vector there is none."""
    data, pad, address = xen.get(op, "xen_dm_op_inject_msi", "data", "pad", "addr")
    if pad or data >> 8 & 7 > 1 or not data & 0xFF:
        return -EINVAL
    domain.kept.setdefault("msis", []).append((address, data))
    return 0


_DM_OPERATIONS: Answers = {
    "nr_vcpus": _nr_vcpus,
    "get_ioreq_server_info": _server_info,
    "inject_event": _inject_event,
    "inject_msi": _inject_msi,
}
_DM_STRUCTS = {name: f"xen_dm_op_{name}" for name in _DM_OPERATIONS}
GRANT_OPERATIONS: Answers = {"GNTTABOP_query_size": query_size, "GNTTABOP_get_version": get_version}
EVENT_OPERATIONS: Answers = {
    "EVTCHNOP_status": status, "EVTCHNOP_reset": reset, "EVTCHNOP_alloc_unbound": alloc_unbound,
}  # fmt: skip
SCHED_OPERATIONS: Answers = {"SCHEDOP_remote_shutdown": remote_shutdown, "SCHEDOP_watchdog": watchdog}
