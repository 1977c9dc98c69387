// To be described.

struct xen_domctl_getpageframeinfo3 {
    uint64_t num;
    guest_handle array;  /*  */
};

struct xen_domctl_shadow_op_stats {
    uint32_t fault_count;
    uint32_t dirty_count;
};

struct xen_domctl_shadow_op {
    uint32_t op;
    uint32_t mode;
    uint32_t mb;
    guest_handle dirty_bitmap;  /*  */
    uint64_t pages;
    struct xen_domctl_shadow_op_stats stats;
};

struct xen_domctl_paging_mempool {  //@ domctl >= 0x15
    uint64_t size;
};

struct xen_domctl_mem_sharing_op {
    uint8_t op;
    union {
        uint8_t enable;
    } u;
};

struct xen_domctl_audit_p2m {
    uint64_t orphans;
    uint64_t m2p_bad;
    uint64_t p2m_bad;
};

struct xen_domctl_set_access_required {
    uint8_t access_required;
};

struct xen_domctl_set_broken_page_p2m {
    uint64_t pfn;
};

struct xen_domctl_cacheflush {
    xen_pfn_t start_pfn;
    xen_pfn_t nr_pfns;
};

struct xen_domctl_vm_event_op {
    uint32_t op;
    uint32_t mode;
    union {
        struct {
            uint32_t port;
        } enable;
        uint32_t version;
    } u;
};

struct xen_domctl_monitor_op {
    uint32_t op;
    uint32_t event;
    union {
        struct {
            uint8_t index;
            uint8_t sync;
            uint8_t onchangeonly;
            uint8_t pad1;
            uint32_t pad2;
            uint64_t bitmask;
        } mov_to_cr;
        struct {
            uint32_t msr;
            uint8_t onchangeonly;
        } mov_to_msr;
        struct {
            uint8_t sync;
            uint8_t allow_userspace;
        } guest_request;
        struct {
            uint8_t sync;
        } debug_exception;
        struct {  //@ domctl >= 0x15
            uint8_t sync;
        } vmexit;
    } u;
};

struct xen_domctl_hvmcontext {
    uint32_t size;
    guest_handle buffer;  /*  */
};

struct xen_domctl_hvmcontext_partial {
    uint32_t type;
    uint32_t instance;
    uint64_t bufsz;
    guest_handle buffer;  /*  */
};
