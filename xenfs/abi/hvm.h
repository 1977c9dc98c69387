// hvm_op: parameters, time, memory types, alternate views of memory.

struct xen_hvm_get_time {
    uint64_t now;  /* ns since Xen started */
};

struct xen_hvm_param {
    domid_t domid;
    uint16_t pad;
    uint32_t index;  /* HvmParam */
    uint64_t value;
};

struct xen_hvm_get_mem_type {
    domid_t domid;
    uint16_t mem_type;  /* HvmMemType */
    uint16_t pad[2];
    uint64_t pfn;
};

struct xen_hvm_xentrace {
    uint16_t event;
    uint16_t extra_bytes;
    uint8_t extra[28];
};

struct xen_hvm_pagetable_dying {
    domid_t domid;
    uint16_t pad[3];
    uint64_t gpa;
};

struct xen_hvm_evtchn_upcall_vector {  //@ arch == x86_64
    uint32_t vcpu;
    uint8_t vector;
};

struct xen_hvm_altp2m_domain_state {
    uint8_t state;
};

struct xen_hvm_altp2m_vcpu_enable_notify {
    uint32_t vcpu_id;
    uint32_t pad;
    uint64_t gfn;
};

struct xen_hvm_altp2m_vcpu_disable_notify {
    uint32_t vcpu_id;
};

struct xen_hvm_altp2m_view {
    uint16_t view;
    uint16_t hvmmem_default_access;
};

struct xen_hvm_altp2m_mem_access {
    uint16_t view;
    uint16_t access;
    uint32_t pad;
    uint64_t gfn;
};

struct xen_hvm_altp2m_set_mem_access_multi {
    uint16_t view;
    uint16_t pad;
    uint32_t nr;
    uint64_t opaque;  /* where a preempted call goes on; start with 0 */
    guest_handle pfn_list;  //= uint64_t[nr]
    guest_handle access_list;  /* MemAccess */  //= uint8_t[nr]
};

struct xen_hvm_altp2m_change_gfn {
    uint16_t view;
    uint16_t pad1;
    uint32_t pad2;
    uint64_t old_gfn;
    uint64_t new_gfn;
};

struct xen_hvm_altp2m_suppress_ve {
    uint16_t view;
    uint8_t suppress_ve;
    uint8_t pad1;
    uint32_t pad2;
    uint64_t gfn;
};

struct xen_hvm_altp2m_suppress_ve_multi {
    uint16_t view;
    uint8_t suppress_ve;
    uint8_t pad1;
    int32_t first_error;
    uint64_t first_gfn;
    uint64_t last_gfn;
    uint64_t first_error_gfn;
};

struct xen_hvm_altp2m_get_vcpu_p2m_idx {
    uint32_t vcpu_id;
    uint16_t altp2m_idx;
};

struct xen_hvm_altp2m_set_visibility {
    uint16_t altp2m_idx;
    uint8_t visible;
    uint8_t pad;
};

struct xen_hvm_altp2m_op {
    uint32_t version;  /* Interface.HVMOP_ALTP2M_INTERFACE_VERSION */
    uint32_t cmd;  /* Altp2mOp */
    domid_t domain;
    uint16_t pad1;
    uint32_t pad2;
    union {
        struct xen_hvm_altp2m_domain_state domain_state;
        struct xen_hvm_altp2m_vcpu_enable_notify enable_notify;
        struct xen_hvm_altp2m_view view;
        struct xen_hvm_altp2m_mem_access mem_access;
        struct xen_hvm_altp2m_change_gfn change_gfn;
        struct xen_hvm_altp2m_set_mem_access_multi set_mem_access_multi;
        struct xen_hvm_altp2m_suppress_ve suppress_ve;
        struct xen_hvm_altp2m_suppress_ve_multi suppress_ve_multi;
        struct xen_hvm_altp2m_vcpu_disable_notify disable_notify;
        struct xen_hvm_altp2m_get_vcpu_p2m_idx get_vcpu_p2m_idx;
        struct xen_hvm_altp2m_set_visibility set_visibility;
        uint8_t pad[64];
    } u;
};
