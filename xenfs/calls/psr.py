"""Platform shared resources: who may use how much of a socket's caches and memory bandwidth, and who does.

x86 alone, and only where Xen was started with psr= on its command line; ENODEV elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from xenfs.abi.numbers import Domctl, PsrAlloc, PsrCmt, PsrCmtOp, PsrDomainOp, PsrFlag, Sysctl
from xenfs.abi.operations import operation
from xenfs.calls.control import domctl, sysctl
from xenfs.calls.many import asked_about
from xenfs.hypervisor.base import Hypervisor

PSR_CMT = operation(Sysctl.psr_cmt_op)
PSR_ALLOC = operation(Sysctl.psr_alloc)
DOMAIN_CMT = operation(Domctl.psr_cmt_op, "QUERY_RMID").as_whole()
DOMAIN_CMT_CHANGE = operation(Domctl.psr_cmt_op, "ATTACH").as_whole()
GET_ALLOC = operation(Domctl.psr_alloc, "GET_L3_CBM").as_whole()
SET_ALLOC = operation(Domctl.psr_alloc, "SET_L3_CBM").as_whole()


class Allocation(NamedTuple):
    """What can be allocated of one resource of a socket.

    `most` is the bits of a cache's mask, or the highest throttle. `classes` is how many different settings there can be
    at a time. `flag` says that code and data are told apart (caches), or that throttle is proportional to delay
    (bandwidth).
    """

    most: int
    classes: int
    flag: bool


def monitoring(xen: Hypervisor, what: PsrCmt, cpu: int = 0) -> int:
    """One fact about cache monitoring: the cache size, in KiB, is that of a CPU's socket. sysctl psr_cmt_op.

    ENODEV without psr=cmt or where no CPU can, and of the cache size for a CPU that is not online.
    """
    given = {"u": {"l3_cache": {"cpu": cpu}}} if what == PsrCmt.get_l3_cache_size else {}
    arm = sysctl(xen, PSR_CMT, "psr_cmt_op", cmd=what, **given)
    return int(arm.u.data)


def allocation(xen: Hypervisor, what: PsrAlloc, socket: int) -> Allocation:
    """What can be allocated of a socket's resource. sysctl psr_alloc.

    ENODEV without psr=cat, cdp or mba; ERANGE for a socket that there is not, ENOENT for a resource it has not.
    """
    arm = sysctl(xen, PSR_ALLOC, "psr_alloc", cmd=what, target=socket)
    if what == PsrAlloc.get_mba_info:
        mba = arm.u.mba_info
        return Allocation(mba.thrtl_max, mba.cos_max + 1, bool(mba.flags & PsrFlag.MBA_LINEAR))
    cat = arm.u.cat_info
    return Allocation(cat.cbm_len, cat.cos_max + 1, bool(cat.flags & PsrFlag.CAT_L3_CDP))


def share(xen: Hypervisor, domid: int, what: PsrDomainOp, socket: int) -> int:
    """A domain's mask or throttle on a socket; `what` is one of the GET_. domctl psr_alloc.

    EINVAL of L3_CBM where code and data are told apart; otherwise as `allocation`.
    """
    return int(domctl(xen, GET_ALLOC, domid, "psr_alloc", cmd=what, target=socket).data)


def set_share(xen: Hypervisor, domid: int, what: PsrDomainOp, socket: int, value: int) -> None:
    """Set a domain's mask or throttle on a socket; `what` is one of the SET_. domctl psr_alloc.

    EINVAL for a mask with a hole or no bit, or a throttle that is too high; EOVERFLOW where all classes are in use.
    """
    domctl(xen, SET_ALLOC, domid, "psr_alloc", cmd=what, target=socket, data=value)


def rmid(xen: Hypervisor, domid: int) -> int:
    """The number that the CPUs count a domain under, 0 for one that is not monitored; psr_cmt_op QUERY_RMID."""
    return int(domctl(xen, DOMAIN_CMT, domid, "psr_cmt_op", cmd=PsrCmtOp.QUERY_RMID).data)


def rmids(xen: Hypervisor, domids: Sequence[int]) -> list[int]:
    """The same of each domain."""
    rows = asked_about(xen, DOMAIN_CMT, domids, "psr_cmt_op", "u.psr_cmt_op.data", cmd=PsrCmtOp.QUERY_RMID)
    return [row[0] if result >= 0 else 0 for result, row in rows]


def monitor(xen: Hypervisor, domid: int, wanted: bool) -> None:
    """Begin or end monitoring a domain; EEXIST or ENOENT where it is so already. psr_cmt_op ATTACH, DETACH.

    EOVERFLOW where as many are monitored as the CPUs have numbers for.
    """
    what = PsrCmtOp.ATTACH if wanted else PsrCmtOp.DETACH
    domctl(xen, DOMAIN_CMT_CHANGE, domid, "psr_cmt_op", cmd=what)
