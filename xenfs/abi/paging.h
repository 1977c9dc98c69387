// Guest memory as Xen manages it: page types, log-dirty, sharing, monitoring, saved HVM state (domctl).

struct xen_domctl_getpageframeinfo3 {
    uint64_t num;  /* frames; more than 1024 are refused for some guests */
    guest_handle array;  /* in, frame numbers; out, PfnType */  //= xen_pfn_t[num]
};

struct xen_domctl_shadow_op_stats {
    uint32_t fault_count;
    uint32_t dirty_count;
};

struct xen_domctl_shadow_op {
    uint32_t op;  /* ShadowOp */
    uint32_t mode;
    uint32_t mb;  /* MiB, of the paging pool */
    guest_handle dirty_bitmap;  //= bit[pages] or null
    uint64_t pages;  /* in: bits of room; out: bits filled */
    struct xen_domctl_shadow_op_stats stats;
};

struct xen_domctl_paging_mempool {  //@ domctl >= 0x15: new operations, instead of the shadow ones in MiB
    uint64_t size;  /* bytes */
};

struct xen_domctl_mem_sharing_op {
    uint8_t op;  /* MemSharing */
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
    uint32_t op;  /* VmEventOp */
    uint32_t mode;  /* VmEventRing */
    union {
        struct {
            uint32_t port;
        } enable;
        uint32_t version;
    } u;
};

struct xen_domctl_monitor_op {
    uint32_t op;  /* MonitorOp */
    uint32_t event;  /* MonitorEvent; out of GET_CAPABILITIES: a bit each */
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
        struct {  //@ domctl >= 0x15: new event
            uint8_t sync;
        } vmexit;
    } u;
};

struct xen_domctl_hvmcontext {
    uint32_t size;  /* in: room; out: filled, or needed with a null handle */
    guest_handle buffer;  /* records, see hvm_save.h */  //= uint8_t[size] or null
};

struct xen_domctl_hvmcontext_partial {
    uint32_t type;  /* record code */
    uint32_t instance;
    uint64_t bufsz;
    guest_handle buffer;  /* one record, without descriptor */  //= uint8_t[bufsz] or null
};
