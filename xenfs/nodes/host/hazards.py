"""What Xen itself does not survive, and is therefore refused: a mistake here would cost the host."""

from __future__ import annotations

import errno
from collections.abc import Collection

from xenfs.abi.numbers import SchedId
from xenfs.calls import version
from xenfs.calls.sysctl import Cpupool, cpupools
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor

_RTDS_MENDED = (4, 23)  # before, a pool forgets its CPU's pool first and then asks the CPU for it: seen on a real 4.14


def require_lossless(xen: Hypervisor, pool: Cpupool, cpus: Collection[int]) -> None:
    """EPERM where taking these CPUs from the pool can end the host: the CPU that keeps rtds's timer cannot go.

    Which one that is Xen does not tell.
    """
    if cpus and pool.sched_id == SchedId.RTDS and version.release(xen) < _RTDS_MENDED:
        raise BadInput(
            f"CPU {min(cpus)} is in cpupool {pool.id}, whose scheduler is rtds: before Xen 4.23 the host may crash",
            errno.EPERM, word=str(min(cpus)),
        )  # fmt: skip


def require_offline_lossless(xen: Hypervisor, cpus: Collection[int]) -> None:
    """The same of CPUs that are to go offline, whichever pools they are in."""
    for pool in cpupools(xen) if cpus else ():
        require_lossless(xen, pool, frozenset(pool.cpus).intersection(cpus))
