"""memory_op: the machine's memory and that of domains. Two arguments: the number, and a struct of its own for each."""

from __future__ import annotations

from xenfs.abi.numbers import AccessOp, Hypercall, Memory, PagingOp, Resource, SharingOp
from xenfs.abi.operations.grammar import Declared, Facts, Family, changes, looks, one_of
from xenfs.abi.operations.model import CMD, NONE, STRUCT, X86

_TABLE = Family(
    Hypercall.memory_op, arguments=(CMD, STRUCT),
    simulated="decrease_reservation maximum_ram_page current_reservation maximum_reservation populate_physmap"
    " add_to_physmap remove_from_physmap"
    " machine_memory_map maximum_gpfn set_pod_target get_pod_target get_sharing_freed_pages get_sharing_shared_pages"
    " sharing_op:audit claim_pages get_vnumainfo reserved_device_memory_map"
    " access_op sharing_op:fork sharing_op:fork_reset acquire_resource:grant_table acquire_resource:vmtrace_buf"
    " memory_map set_memory_map",
)  # fmt: skip

_OF_DOMAIN: Facts = {"struct": "domid_t", "scalar": "domid", "domain": "domid", "wide": True}


def _reservation(number: Memory, both: str = "", needs: str = "") -> Declared:
    return changes(
        number, struct="struct xen_memory_reservation", domain="domid", both=both, needs=needs, slow=True,
        why="the result says how many extents are done",
    )  # fmt: skip


OPERATIONS = _TABLE.operations(
    _reservation(Memory.increase_reservation, both="extent_start"),
    _reservation(Memory.decrease_reservation, needs="extent_start"),
    looks(Memory.maximum_ram_page, wide=True),
    looks(Memory.current_reservation, **_OF_DOMAIN),
    looks(Memory.maximum_reservation, **_OF_DOMAIN),
    looks(
        Memory.machphys_mfn_list, struct="struct xen_machphys_mfn_list", gives="extent_start nr_extents", when=X86
    ),
    _reservation(Memory.populate_physmap, both="extent_start", needs="extent_start"),
    changes(Memory.add_to_physmap, struct="struct xen_add_to_physmap", domain="domid", slow=True),
    looks(
        Memory.memory_map, struct="struct xen_memory_map", gives="buffer", both="nr_entries", needs="buffer", when=X86
    ),
    looks(Memory.machine_memory_map, struct="struct xen_memory_map", gives="buffer", both="nr_entries", when=X86),
    changes(
        Memory.exchange, struct="struct xen_memory_exchange", domain="in.domid", both="out.extent_start nr_exchanged",
        when=X86, guest="PV", slow=True,
    ),
    looks(Memory.machphys_mapping, struct="struct xen_machphys_mapping", gives="*", when=X86, dom0="PV"),
    changes(
        Memory.set_memory_map, struct="struct xen_foreign_memory_map", domain="domid", when=X86, repeatable=True
    ),
    looks(Memory.maximum_gpfn, **_OF_DOMAIN),
    changes(Memory.remove_from_physmap, struct="struct xen_remove_from_physmap", domain="domid"),
    changes(
        Memory.set_pod_target, struct="struct xen_pod_target", domain="domid", when=X86, guest="HVM",
        gives="tot_pages pod_cache_pages pod_entries", repeatable=True, slow=True,
    ),
    looks(
        Memory.get_pod_target, struct="struct xen_pod_target", domain="domid", when=X86, guest="HVM",
        takes="domid", gives="*",
    ),
    looks(Memory.get_sharing_freed_pages, wide=True),
    looks(Memory.get_sharing_shared_pages, wide=True),
    one_of(
        Memory.paging_op, "op",
        changes(PagingOp.nominate),
        changes(PagingOp.evict),
        changes(PagingOp.prep, needs="buffer"),
        struct="struct xen_mem_paging_op", domain="domain", when=X86, guest="HVM",
    ),
    one_of(
        Memory.access_op, "op",
        changes(AccessOp.set_access, slow=True, repeatable=True),
        looks(AccessOp.get_access, gives="access"),
        changes(AccessOp.set_access_multi, slow=True, repeatable=True),
        struct="struct xen_mem_access_op", domain="domid",
    ),
    one_of(
        Memory.sharing_op, "op",
        changes(SharingOp.nominate_gfn, inner="u.nominate", gives="u.nominate.handle"),
        changes(SharingOp.nominate_gref, inner="u.nominate", gives="u.nominate.handle"),
        changes(SharingOp.share, inner="u.share"),
        looks(SharingOp.debug_gfn, inner="u.debug"),
        looks(SharingOp.debug_gref, inner="u.debug"),
        changes(SharingOp.add_physmap, inner="u.share"),
        looks(SharingOp.audit, inner=NONE, slow=True, why="the result says how many errors there are"),
        changes(SharingOp.range_share, inner="u.range", both="u.range", slow=True),
        changes(SharingOp.fork, inner="u.fork", slow=True),
        changes(SharingOp.fork_reset, inner="u.fork", slow=True),
        struct="struct xen_mem_sharing_op", domain="domain", when=X86, guest="HVM",
    ),
    changes(
        Memory.add_to_physmap_batch, struct="struct xen_add_to_physmap_batch", domain="domid", gives="errs", slow=True
    ),
    changes(
        Memory.claim_pages, struct="struct xen_memory_reservation", domain="domid",
        why="nr_extents is what the domain is to have in all, with what it has already; 0 gives the claim up",
    ),
    looks(
        Memory.machphys_compat_mfn_list, struct="struct xen_machphys_mfn_list", gives="extent_start nr_extents",
        when=X86,
    ),
    looks(
        Memory.get_vnumainfo, struct="struct xen_vnuma_topology_info", domain="domid",
        gives="vdistance.h vcpu_to_vnode.h vmemrange.h", both="nr_vnodes nr_vcpus nr_vmemranges",
    ),
    looks(
        Memory.reserved_device_memory_map, struct="struct xen_reserved_device_memory_map", gives="buffer",
        both="nr_entries", when=X86,
    ),
    one_of(
        Memory.acquire_resource, "type",
        changes(Resource.ioreq_server),
        changes(Resource.grant_table),
        changes(Resource.vmtrace_buf, when=f"{X86} and xen >= 4.15"),
        struct="struct xen_mem_acquire_resource", domain="domid", both="nr_frames frame_list",
        why="a grant table grows to what is asked for, and a control domain that is not PV has the pages mapped",
    ),
)  # fmt: skip
