"""hvm_op: parameters of domains with hardware support, their clock, and alternate views of their memory."""

from __future__ import annotations

from xenfs.abi.numbers import Altp2mOp, HvmOp, Hypercall, Interface
from xenfs.abi.operations.grammar import OWN_VCPU, Family, changes, looks, one_of
from xenfs.abi.operations.model import CMD, STRUCT, X86

_TABLE = Family(
    Hypercall.hvm_op,
    arguments=(CMD, STRUCT),
    simulated="set_param get_param get_time xentrace get_mem_type",
)

OPERATIONS = _TABLE.operations(
    changes(HvmOp.set_param, struct="struct xen_hvm_param", domain="domid"),
    looks(HvmOp.get_param, struct="struct xen_hvm_param", domain="domid", gives="value"),
    changes(HvmOp.flush_tlbs, when=X86, dom0="HVM", bare=OWN_VCPU),
    changes(HvmOp.pagetable_dying, struct="struct xen_hvm_pagetable_dying", domain="domid", when=X86, dom0="HVM"),
    looks(HvmOp.get_time, struct="struct xen_hvm_get_time", gives="*", when=X86),
    changes(HvmOp.xentrace, struct="struct xen_hvm_xentrace", when=X86),
    looks(
        HvmOp.get_mem_type, struct="struct xen_hvm_get_mem_type", domain="domid", gives="mem_type", when=X86,
        guest="HVM",
    ),
    changes(
        HvmOp.set_evtchn_upcall_vector, struct="struct xen_hvm_evtchn_upcall_vector", when=X86, dom0="HVM",
        bare="changes how the control domain's kernel gets its events",
    ),
    changes(HvmOp.guest_request_vm_event, bare="is a word of the calling domain to whoever watches it"),
    one_of(
        HvmOp.altp2m, "cmd",
        looks(Altp2mOp.get_domain_state, inner="u.domain_state", gives="u.domain_state"),
        changes(Altp2mOp.set_domain_state, inner="u.domain_state"),
        changes(Altp2mOp.vcpu_enable_notify, inner="u.enable_notify"),
        changes(Altp2mOp.create_p2m, inner="u.view", both="u.view.view"),
        changes(Altp2mOp.destroy_p2m, inner="u.view"),
        changes(Altp2mOp.switch_p2m, inner="u.view"),
        changes(Altp2mOp.set_mem_access, inner="u.mem_access"),
        changes(Altp2mOp.change_gfn, inner="u.change_gfn"),
        changes(
            Altp2mOp.set_mem_access_multi, inner="u.set_mem_access_multi", both="u.set_mem_access_multi.opaque",
            slow=True,
        ),
        changes(Altp2mOp.set_suppress_ve, inner="u.suppress_ve"),
        looks(Altp2mOp.get_suppress_ve, inner="u.suppress_ve", gives="u.suppress_ve.suppress_ve"),
        looks(Altp2mOp.get_mem_access, inner="u.mem_access", gives="u.mem_access.access"),
        changes(Altp2mOp.vcpu_disable_notify, inner="u.disable_notify"),
        looks(Altp2mOp.get_p2m_idx, inner="u.get_vcpu_p2m_idx", gives="u.get_vcpu_p2m_idx.altp2m_idx"),
        changes(
            Altp2mOp.set_suppress_ve_multi, inner="u.suppress_ve_multi",
            gives="u.suppress_ve_multi.first_error u.suppress_ve_multi.first_error_gfn", slow=True,
        ),
        changes(Altp2mOp.set_visibility, inner="u.set_visibility"),
        struct="struct xen_hvm_altp2m_op", domain="domain", when=X86, guest="HVM",
        fixed={"version": Interface.HVMOP_ALTP2M_INTERFACE_VERSION},
    ),
)  # fmt: skip
