"""domains/<d>/memory/: what is promised to a domain, what its page tables may take, populate-on-demand."""

from __future__ import annotations

import errno

from xenfs.calls import domain_memory as memory
from xenfs.calls import domains
from xenfs.calls.domain_memory import MIB
from xenfs.calls.domains import DomainInfo
from xenfs.calls.memory import MEMORY_MAP, own_memory_map
from xenfs.connect.own import own_domid
from xenfs.errors import BadInput, HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.foreign import PAGE
from xenfs.hypervisor.lives import Domain
from xenfs.hypervisor.sources import asks
from xenfs.nodes.domains.own import has_vcpus, is_hvm, is_other_hvm, is_own
from xenfs.nodes.domains.physical import MACHINE, PHYSICAL, POPULATE, UNPOPULATE, VIRTUAL
from xenfs.nodes.domains.vnuma import VNUMA
from xenfs.nodes.host import e820
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File, field
from xenfs.nodes.tables.conditions import answers, every, since, x86
from xenfs.nodes.tables.cost import Cost

MOST_KIB = 2**44  # 16 PiB: what 52 bits of physical address can name
_PAGE_KIB = 4
_MOST_POOL = 2**44 - PAGE  # bytes: Xen counts its pages in 32 bits


_kib = parse.size(_PAGE_KIB, MOST_KIB, "number of kB", unit=1024)


def _claim(xen: Hypervisor, domain: Domain, kib: int, info: DomainInfo) -> None:
    """Xen wants the sum of what the domain has and what is promised, and one promise to end before the next."""
    wanted, before = kib // _PAGE_KIB, info.outstanding_pages
    if wanted == before:
        return
    if wanted and info.tot_pages + wanted > info.max_pages:
        raise BadInput("with that the domain would have more than memory/max", errno.ERANGE)
    if before:
        memory.claim(xen, domain.domid, 0)
    try:
        if wanted:
            memory.claim(xen, domain.domid, info.tot_pages + wanted)
    except HypercallError:
        if before:
            memory.claim(xen, domain.domid, info.tot_pages + before)
        raise


CLAIM = File(
    "claim", "Memory that is promised to it but not its own yet, kB; write 0 to end the promise", write=_claim,
    knowing=True,
    read=lambda xen, domain: domains.info(xen, domain).outstanding_pages, show=show.kib_of_pages, parse=_kib,
    call="domctl getdomaininfo, memory_op claim_pages", checked=True, tier="B",
)  # fmt: skip

MAX_GPFN = File(
    "max_gpfn", "Highest guest frame number that it uses", show=show.dec, tier="B",
    read=lambda xen, domain: memory.maximum_gpfn(xen, domain.domid), call=memory.MAXIMUM_GPFN.name,
)  # fmt: skip

_by_bytes = since(4, 17)


def _has_pool(xen: Hypervisor, domain: Domain) -> bool:
    if _by_bytes(xen):
        return is_hvm(xen, domain)
    return is_other_hvm(xen, domain) and has_vcpus(xen, domain)


def _pool_exists(xen: Hypervisor) -> bool:
    """Arm got the older operations only as a security fix; Xen refuses to ask them of one's own domain."""
    asked = answers(lambda xen: memory.paging_pool_mib(xen, own_domid(xen)))
    return _by_bytes(xen) or x86(xen) or asked(xen)


def _pool(xen: Hypervisor, domain: Domain) -> int:
    if _by_bytes(xen):
        return memory.paging_pool(xen, domain.domid)
    return memory.paging_pool_mib(xen, domain.domid) * MIB


def _set_pool(xen: Hypervisor, domain: Domain, nbytes: int) -> None:
    if nbytes == _pool(xen, domain):
        return
    if _by_bytes(xen):
        memory.set_paging_pool(xen, domain.domid, nbytes)
    elif nbytes % MIB or not nbytes:
        raise BadInput(f"before Xen 4.17 this must be a multiple of {MIB}", word=str(nbytes))
    else:
        memory.set_paging_pool_mib(xen, domain.domid, nbytes // MIB)


PAGING_POOL = File(
    "paging_pool_bytes", "Memory for its page tables, bytes (whole MiB before Xen 4.17)", read=_pool, write=_set_pool,
    show=show.dec, parse=parse.size(PAGE, _MOST_POOL, "number of bytes", unit=1), write_grows=Cost.MEMORY,
    only=_has_pool, when=_pool_exists, tier="B",
    call="domctl get_paging_mempool_size, set_paging_mempool_size, shadow_op",
)  # fmt: skip


@asks(memory.GET_POD_TARGET)
def _pod(xen: Hypervisor, domain: Domain) -> object:
    return memory.pod(xen, domain.domid)


def _set_target(xen: Hypervisor, domain: Domain, kib: int, known: DomainInfo) -> None:
    if kib // _PAGE_KIB > known.max_pages:
        raise BadInput("more than memory/max", errno.ERANGE, word=str(kib))
    memory.set_pod_target(xen, domain.domid, kib // _PAGE_KIB)


POD = Dir(
    "pod",
    "Populate on demand: a guest that started with less memory than it believes to have",
    (
        File(
            "target", "Memory that it is to have, what is kept for it included, kB",
            read=lambda xen, domain: memory.pod(xen, domain.domid).tot_pages, write=_set_target, knowing=True,
            show=show.kib_of_pages, parse=_kib, write_grows=Cost.MEMORY, tier="B",
            call="memory_op get_pod_target, set_pod_target",
        ),
        field(_pod, "cache", show.kib_of_pages, "Memory kept for it to touch, kB", of="pod_cache_pages", tier="B"),
        field(_pod, "entries", show.kib_of_pages, "Memory it has not touched yet, kB", of="pod_entries", tier="B"),
    ),
    when=x86,
    only=is_hvm,
)  # fmt: skip

E820 = File(
    "e820", "The map of memory that its kernel was given, of xenfs' own domain; ends are exclusive",
    read=lambda xen, _: own_memory_map(xen), show=e820.shown, only=is_own, when=every(x86, answers(own_memory_map)),
    call=MEMORY_MAP.name, tier="C",
)  # fmt: skip

MORE_MEMORY = (CLAIM, E820, PAGING_POOL, MAX_GPFN, POD, VNUMA, POPULATE, UNPOPULATE, PHYSICAL, MACHINE, VIRTUAL)
