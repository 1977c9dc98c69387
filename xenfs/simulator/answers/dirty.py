"""Domctl shadow_op: the paging pool in MiB, and which pages of a domain are written to while that is noted."""

from __future__ import annotations

from errno import EINVAL, EOPNOTSUPP

from xenfs.simulator.answers.memory_op import frames_of
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import ALIVE, Domain

STRUCT, STATS = "xen_domctl_shadow_op", "xen_domctl_shadow_op_stats"
MIB = 1 << 20
NOTED = "log_dirty"
TICKS_OF_A_WRITE = 1 << 10  # a running guest writes to a page about every millisecond
STRIDE = 7919  # from one page that is written to to the next: a prime, so that all have their turn


class Log:
    """What was written to since `begin`: bits, and up to when the running domain's writes are in them."""

    def __init__(self, ticks: int) -> None:
        self.bits, self.faults, self.written, self.ticks = 0, 0, 0, ticks


def shadow_op(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Not of the caller itself, nor of a domain without vCPUs."""
    (wanted,) = xen.get(op, STRUCT, "op")
    if domain.domid == 0:
        return -EINVAL
    if domain.dying != ALIVE:
        return 0
    if not domain.existing():
        return -EINVAL
    answer = {xen.constant(f"XEN_DOMCTL_SHADOW_OP_{name}"): each for name, each in _OPERATIONS.items()}.get(wanted)
    return -EINVAL if answer is None else answer(xen, domain, op)


def _off(xen: Machine, domain: Domain, op: memoryview) -> int:
    domain.kept.pop(NOTED, None)
    return 0 if _keeps_tables(xen, domain) else -EINVAL


def _keeps_tables(xen: Machine, domain: Domain) -> bool:
    """Of PV domains only a Xen with shadow paging does."""
    return domain.hvm or xen.settings.shadow


def _get_allocation(xen: Machine, domain: Domain, op: memoryview) -> int:
    if not _keeps_tables(xen, domain):
        return -EINVAL
    xen.put(op, STRUCT, mb=-(-domain.mempool_bytes // MIB))
    return 0


def _set_allocation(xen: Machine, domain: Domain, op: memoryview) -> int:
    (mib,) = xen.get(op, STRUCT, "mb")
    if domain.hvm:
        domain.mempool_bytes = mib * MIB
    return _get_allocation(xen, domain, op)


def _enable(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Once, and not of a domain that has a device."""
    if not _keeps_tables(xen, domain):
        return -EOPNOTSUPP
    if NOTED in domain.kept or any(each.owner == domain.domid for each in xen.world.bus.devices.values()):
        return -EINVAL
    domain.kept[NOTED] = Log(xen.world.clock.ticks())
    return 0


def _peek(xen: Machine, domain: Domain, op: memoryview) -> int:
    mode, address, room = xen.get(op, STRUCT, "mode", "dirty_bitmap", "pages")
    if mode:
        return -EINVAL
    log = _now(xen, domain)
    start = xen.layouts.offset(STRUCT, "stats")
    xen.put(op[start:], STATS, fault_count=log.faults, dirty_count=log.bits.bit_count())
    if address:
        nbytes = -(-room // 8)
        memory = xen.at(address, nbytes)
        memory[:] = (log.bits & ((1 << 8 * nbytes) - 1)).to_bytes(nbytes, "little")
    return 0


def _clean(xen: Machine, domain: Domain, op: memoryview) -> int:
    result = _peek(xen, domain, op)
    if not result and NOTED in domain.kept:
        log = _now(xen, domain)
        log.bits = log.faults = 0
    return result


def _now(xen: Machine, domain: Domain) -> Log:
    """With what the domain has written up to now, if it runs; one without a bit where nothing is noted."""
    ticks = xen.world.clock.ticks()
    log: Log = domain.kept.get(NOTED) or Log(ticks)
    frames = frames_of(domain)
    if NOTED in domain.kept and domain.runs and frames:
        for _ in range(min((ticks - log.ticks) // TICKS_OF_A_WRITE, frames)):
            bit = 1 << log.written * STRIDE % frames
            log.faults += not log.bits & bit
            log.bits |= bit
            log.written += 1
    log.ticks = ticks
    return log


_OPERATIONS: Answers = {
    "OFF": _off,
    "ENABLE_LOGDIRTY": _enable,
    "PEEK": _peek,
    "CLEAN": _clean,
    "GET_ALLOCATION": _get_allocation,
    "SET_ALLOCATION": _set_allocation,
}
OPERATIONS: Answers = {"XEN_DOMCTL_shadow_op": shadow_op}
