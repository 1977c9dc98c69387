"""What Xen itself does not survive, and is therefore refused: a mistake here would cost the host."""

from __future__ import annotations

import errno
from collections.abc import Collection

from xenfs.abi.numbers import SchedId
from xenfs.calls import version
from xenfs.calls.platform import is_online
from xenfs.calls.pools import settle
from xenfs.calls.sysctl import Cpupool, cpupools, free_cpus, nr_cpu_ids
from xenfs.errors import BadInput, HypercallError
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
    """The same of CPUs that are to go offline, whichever pools they are in.

    EBUSY where one is free but still on its way out of a pool: Xen would let it go, and may end later when it is back.
    """
    if not cpus:
        return
    for pool in cpupools(xen):
        require_lossless(xen, pool, frozenset(pool.cpus).intersection(cpus))
    for cpu in frozenset(cpus).intersection(free_cpus(xen, nr_cpu_ids(xen))):
        try:
            settle(xen, cpu)
        except HypercallError as problem:
            raise BadInput(
                f"CPU {cpu} is still on its way out of a cpupool: a vCPU cannot be moved away from it yet ({problem})",
                errno.EBUSY, word=str(cpu),
            ) from None  # fmt: skip


def is_offline(xen: Hypervisor, cpu: int) -> bool:
    """Whether Xen says that a CPU is offline; where it cannot be asked, as on Arm, none is."""
    try:
        return not is_online(xen, cpu)
    except HypercallError:
        return False
