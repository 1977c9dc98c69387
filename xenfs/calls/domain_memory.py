"""Memory of one domain: its claim, the pool for its page tables, how far it reaches, and populate-on-demand."""

from __future__ import annotations

from typing import Any

from xenfs.abi.numbers import Domctl, Memory, ShadowOp
from xenfs.abi.operations import operation
from xenfs.calls.control import domctl, numbered
from xenfs.calls.multicall import wide
from xenfs.hypervisor.base import Hypervisor

CLAIM_PAGES = operation(Memory.claim_pages)
MAXIMUM_GPFN = operation(Memory.maximum_gpfn)
GET_POD_TARGET = operation(Memory.get_pod_target)
SET_POD_TARGET = operation(Memory.set_pod_target)
GET_POOL = operation(Domctl.get_paging_mempool_size)
SET_POOL = operation(Domctl.set_paging_mempool_size)
GET_ALLOCATION = operation(Domctl.shadow_op, "GET_ALLOCATION").as_whole()
SET_ALLOCATION = operation(Domctl.shadow_op, "SET_ALLOCATION").as_whole()

MIB = 1 << 20


def claim(xen: Hypervisor, domid: int, pages: int) -> None:
    """Promise a domain memory up to so many pages in all, those it has included; 0 ends the promise. claim_pages.

    EINVAL while another promise holds, or above its limit; ENOMEM where there is not so much.
    """
    numbered(xen, CLAIM_PAGES, domid, domid=domid, nr_extents=pages)


def maximum_gpfn(xen: Hypervisor, domid: int) -> int:
    """The highest guest frame number that a domain uses; memory_op maximum_gpfn."""
    with xen.pool.take(8) as buf:  # a bare domid before Xen 4.16, a struct of nothing else since
        buf.fill(domid.to_bytes(2, "little"))
        return wide(xen, MAXIMUM_GPFN, Memory.maximum_gpfn, buf)


def pod(xen: Hypervisor, domid: int) -> Any:
    """struct xen_pod_target: tot_pages, pod_cache_pages, pod_entries; get_pod_target (x86, HVM)."""
    return numbered(xen, GET_POD_TARGET, domid, domid=domid)


def set_pod_target(xen: Hypervisor, domid: int, pages: int) -> None:
    """Set how much memory a guest that is not all there yet shall have; set_pod_target (x86, HVM)."""
    numbered(xen, SET_POD_TARGET, domid, domid=domid, target_pages=pages)


def paging_pool(xen: Hypervisor, domid: int) -> int:
    """Bytes of memory for a domain's page tables; get_paging_mempool_size (Xen 4.17). EOPNOTSUPP for PV."""
    return int(domctl(xen, GET_POOL, domid, "paging_mempool").size)


def set_paging_pool(xen: Hypervisor, domid: int, nbytes: int) -> None:
    """Set it, in whole pages; ENOMEM where there is not so much. set_paging_mempool_size (Xen 4.17)."""
    domctl(xen, SET_POOL, domid, "paging_mempool", size=nbytes)


def paging_pool_mib(xen: Hypervisor, domid: int) -> int:
    """The same in MiB, rounded up, as Xen before 4.17 tells it; shadow_op GET_ALLOCATION.

    EINVAL for one's own, and for PV where Xen was built without shadow paging.
    """
    return int(domctl(xen, GET_ALLOCATION, domid, "shadow_op", op=ShadowOp.GET_ALLOCATION).mb)


def set_paging_pool_mib(xen: Hypervisor, domid: int, mib: int) -> None:
    """Set it in MiB; shadow_op SET_ALLOCATION."""
    domctl(xen, SET_ALLOCATION, domid, "shadow_op", op=ShadowOp.SET_ALLOCATION, mb=mib)
