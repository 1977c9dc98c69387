// To be described.

struct xen_sysctl_psr_cmt_op {
    uint32_t cmd;
    uint32_t flags;
    union {
        uint64_t data;
        struct {
            uint32_t cpu;
            uint32_t rsvd;
        } l3_cache;
    } u;
};

struct xen_sysctl_psr_alloc {
    uint32_t cmd;
    uint32_t target;
    union {
        struct {
            uint32_t cbm_len;
            uint32_t cos_max;
            uint32_t flags;
        } cat_info;
        struct {
            uint32_t thrtl_max;
            uint32_t cos_max;
            uint32_t flags;
        } mba_info;
    } u;
};

struct xen_domctl_psr_cmt_op {
    uint32_t cmd;
    uint32_t data;
};

struct xen_domctl_psr_alloc {
    uint32_t cmd;
    uint32_t target;
    uint64_t data;
};
