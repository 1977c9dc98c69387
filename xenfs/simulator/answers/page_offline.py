"""The sysctl that takes single pages out of use."""

from __future__ import annotations

from errno import EINVAL, ENOMEM, EPERM

from xenfs.simulator.machine import Answers, Machine

STRUCT = "xen_sysctl_page_offline_op"
XEN_PAGES = 0x400  # where the pretended hypervisor itself lies: the first 4 MiB above the first
HOLE = range(0xBF000, 0x100000)  # frames that are no memory
MAX_RANGE = 1 << 20  # Xen allocates the status words first, and not any number of them


def page_offline_op(xen: Machine, op: memoryview) -> int:
    """Query, offline or online a range of frames; the status words are written whatever the result."""
    cmd, start, end, address = xen.get(op, STRUCT, "cmd", "start", "end", "status")
    if end < start:
        return -EINVAL
    if end - start >= MAX_RANGE:
        return -ENOMEM
    functions = {
        xen.constant("sysctl_page_offline"): _offline,
        xen.constant("sysctl_page_online"): _online,
        xen.constant("sysctl_query_page_offline"): _query,
    }
    function = functions.get(cmd)
    statuses, code = [0x01010101 * xen.constant("PG_OFFLINE_INVALID")] * (end - start + 1), EINVAL
    for index, frame in enumerate(range(start, end + 1) if function else ()):
        assert function is not None
        status, code = function(xen, frame)
        if status is not None:
            statuses[index] = status
        if code:
            break
    xen.copy_out(address, b"".join(status.to_bytes(4, "little") for status in statuses))
    return -code


def _exists(xen: Machine, frame: int) -> bool:
    return frame <= xen.world.host.max_mfn and frame not in HOLE


def _offline(xen: Machine, frame: int) -> tuple[int | None, int]:
    flag = xen.constant
    if not _exists(xen, frame):
        return None, EINVAL
    if frame < 2 * XEN_PAGES and frame >= XEN_PAGES:
        owner = flag("DOMID_XEN") << flag("PG_OFFLINE_OWNER_SHIFT")
        return flag("PG_OFFLINE_XENPAGE") | flag("PG_OFFLINE_FAILED") | owner, EPERM
    if frame < XEN_PAGES:
        return flag("PG_OFFLINE_FAILED") | flag("PG_OFFLINE_NOT_CONV_RAM"), EINVAL
    if _is_free(xen, frame):
        xen.world.host.offlined.add(frame)
        return flag("PG_OFFLINE_OFFLINED"), 0
    xen.world.host.offlining.add(frame)
    return flag("PG_OFFLINE_OWNED") | flag("PG_OFFLINE_PENDING"), 0  # dom0's, whose id is 0


def _online(xen: Machine, frame: int) -> tuple[int | None, int]:
    host = xen.world.host
    if not _exists(xen, frame):
        return None, EINVAL
    if frame not in host.offlined | host.offlining:
        return 0, 0
    host.offlined.discard(frame)
    host.offlining.discard(frame)
    return xen.constant("PG_ONLINE_ONLINED"), 0


def _query(xen: Machine, frame: int) -> tuple[int | None, int]:
    host, status = xen.world.host, 0
    if not _exists(xen, frame):
        return None, EINVAL
    if frame in host.offlining:
        status |= xen.constant("PG_OFFLINE_STATUS_OFFLINE_PENDING")
    if frame in host.offlined:
        status |= xen.constant("PG_OFFLINE_STATUS_OFFLINED")
    return status, 0


def _is_free(xen: Machine, frame: int) -> bool:
    """Free memory is at the top, as Xen hands it out from below here."""
    return frame > xen.world.host.max_mfn - xen.world.free_pages


OPERATIONS: Answers = {"XEN_SYSCTL_page_offline_op": page_offline_op}
