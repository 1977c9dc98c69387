"""sched_op watchdog: a timer that shuts down the domain that xenfs runs in unless it is set again."""

from __future__ import annotations

from xenfs.abi.numbers import SchedOp
from xenfs.abi.operations import operation
from xenfs.hypervisor.base import Hypervisor

WATCHDOG = operation(SchedOp.watchdog)


def watchdog(xen: Hypervisor, number: int, timeout_s: int) -> int:
    """Set timer `number` to so many seconds, 0 to end it; of number 0 a new one, whose number comes back.

    ENOSPC where a domain has both of its timers, EINVAL for one that is not set.
    sched_op watchdog.
    """
    with xen.pool.take(xen.abi.sizeof("struct sched_watchdog")) as buf:
        view = xen.abi.view("struct sched_watchdog", buf)
        view.id, view.timeout = number, timeout_s
        return xen.hypercall(WATCHDOG, WATCHDOG.cmd, buf) or number
