"""Which pages of a domain are written to: its log-dirty mode, which a migration uses; domctl shadow_op (x86)."""

from __future__ import annotations

import errno
from typing import NamedTuple

from xenfs.abi.numbers import Domctl, ShadowOp
from xenfs.abi.operations import operation
from xenfs.calls.again import again
from xenfs.calls.control import domctl
from xenfs.calls.domain_memory import maximum_gpfn
from xenfs.errors import HypercallError, XenfsError
from xenfs.hypervisor.base import Hypervisor

OFF = operation(Domctl.shadow_op, "OFF")
ENABLE_LOGDIRTY = operation(Domctl.shadow_op, "ENABLE_LOGDIRTY")
CLEAN = operation(Domctl.shadow_op, "CLEAN")
PEEK = operation(Domctl.shadow_op, "PEEK")

MOST_PAGES = 1 << 28  # 1 TiB of guest, a bitmap of 32 MiB: it comes in one piece, from page 0 on
_UNFINISHED = frozenset({errno.EBUSY})  # Xen is half way through another such operation, maybe a migration's


class Stats(NamedTuple):
    """Since the last `clean`: how often Xen noticed a write, and how many pages are marked."""

    fault_count: int
    dirty_count: int


def enable(xen: Hypervisor, domid: int) -> None:
    """Note from now on which pages are written to. shadow_op ENABLE_LOGDIRTY.

    EINVAL where it is so already, for a domain with a device of the machine's, one without vCPUs, or one's own.
    EOPNOTSUPP of a PV domain where Xen was built without shadow paging.
    """
    ask = lambda: domctl(xen, ENABLE_LOGDIRTY, domid, "shadow_op", op=ShadowOp.ENABLE_LOGDIRTY)  # noqa: E731
    again(ask, _UNFINISHED)


def disable(xen: Hypervisor, domid: int) -> None:
    """Note it no more; nothing happens where it is not noted. shadow_op OFF."""
    again(lambda: domctl(xen, OFF, domid, "shadow_op", op=ShadowOp.OFF), _UNFINISHED)


def stats(xen: Hypervisor, domid: int) -> Stats:
    """The counts alone; shadow_op PEEK without a bitmap."""
    found = domctl(xen, PEEK, domid, "shadow_op", op=ShadowOp.PEEK).stats
    return Stats(int(found.fault_count), int(found.dirty_count))


def bitmap(xen: Hypervisor, domid: int, *, clean: bool = False) -> bytes:
    """A bit for each guest frame, the lowest first: written to since the last `clean`. The domain is paused meanwhile.

    `clean` begins anew: the bits and the counts are zero then. EFBIG for a domain beyond MOST_PAGES. shadow_op PEEK,
    CLEAN.
    """
    pages = _pages(xen, domid)
    if pages > MOST_PAGES:
        raise XenfsError(f"the domain has more than {MOST_PAGES} frames, too many for one bitmap", errno.EFBIG)
    if not pages:
        return b""
    op, what = (CLEAN, ShadowOp.CLEAN) if clean else (PEEK, ShadowOp.PEEK)
    with xen.pool.take(-(-pages // 8)) as bits:
        again(lambda: domctl(xen, op, domid, "shadow_op", op=what, pages=pages, dirty_bitmap=bits), _UNFINISHED)
        return bytes(bits.memory)


def _pages(xen: Hypervisor, domid: int) -> int:
    """How many frames it has; of a PV domain that has not said so none, which Xen tells as an errno by mistake."""
    try:
        return maximum_gpfn(xen, domid) + 1
    except HypercallError as problem:
        if problem.errno != errno.EPERM:
            raise
        return 0
