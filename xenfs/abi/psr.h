// Platform shared resources: cache monitoring, cache and bandwidth allocation, of a socket (sysctl) and of a
// domain (domctl).

struct xen_sysctl_psr_cmt_op {
    uint32_t cmd;  /* PsrCmt */
    uint32_t flags;
    union {
        uint64_t data;
        struct {
            uint32_t cpu;  /* whose cache; the size comes out in data, in KiB */
            uint32_t rsvd;
        } l3_cache;
    } u;
};

struct xen_sysctl_psr_alloc {
    uint32_t cmd;  /* PsrAlloc */
    uint32_t target;  /* socket */
    union {
        struct {
            uint32_t cbm_len;  /* bits of a mask */
            uint32_t cos_max;  /* highest class */
            uint32_t flags;  /* PsrFlag.CAT_L3_CDP */
        } cat_info;
        struct {
            uint32_t thrtl_max;
            uint32_t cos_max;
            uint32_t flags;  /* PsrFlag.MBA_LINEAR */
        } mba_info;
    } u;
};

struct xen_domctl_psr_cmt_op {
    uint32_t cmd;  /* PsrCmtOp */
    uint32_t data;  /* out: the monitoring id */
};

struct xen_domctl_psr_alloc {
    uint32_t cmd;  /* PsrDomainOp */
    uint32_t target;  /* socket */
    uint64_t data;  /* mask or throttle */
};
