// What Xen measures of itself: trace buffers, performance counters, lock profiles, coverage.

struct xen_sysctl_tbuf_op {
    uint32_t cmd;  /* TbufOp */
    struct xenctl_bitmap cpu_mask;
    uint32_t evt_mask;
    uint64_t buffer_mfn;
    uint32_t size;  /* get_info: bytes; set_size: pages */
};

/* Head of one CPU's trace buffer: byte offsets that run through twice its size. */
struct t_buf {
    uint32_t cons;
    uint32_t prod;
};

struct t_info {
    uint16_t tbuf_size;
    uint16_t mfn_offset[];
};

/* One trace record: event, then the cycle counter if it is there, then extra words. */
struct t_rec {
    uint32_t event : 28;
    uint32_t extra_u32 : 3;
    uint32_t cycles_included : 1;
    union {
        struct {
            uint32_t cycles_lo;
            uint32_t cycles_hi;
            uint32_t extra_u32[7];
        } cycles;
        struct {
            uint32_t extra_u32[7];
        } nocycles;
    } u;
};

struct xen_sysctl_perfc_desc {
    char name[80];
    uint32_t nr_vals;  /* how many of the values are this counter's */
};

struct xen_sysctl_perfc_op {
    uint32_t cmd;  /* PerfcOp */
    uint32_t nr_counters;
    uint32_t nr_vals;
    guest_handle desc;  //= struct xen_sysctl_perfc_desc[nr_counters] or null
    guest_handle val;  //= uint32_t[nr_vals] or null
};

/* Times in ns. */
struct xen_sysctl_lockprof_data {
    char name[40];
    int32_t type;  /* LockprofType */
    int32_t idx;  /* the domain, of a lock of a domain */
    uint64_t lock_cnt;
    uint64_t block_cnt;
    uint64_t lock_time;
    uint64_t block_time;
};

struct xen_sysctl_lockprof_op {
    uint32_t cmd;  /* LockprofOp */
    uint32_t max_elem;
    uint32_t nr_elem;  /* out */
    uint64_t time;  /* out: ns since the counting began */
    guest_handle data;  //= struct xen_sysctl_lockprof_data[max_elem]
};

struct xen_sysctl_coverage_op {
    uint32_t cmd;  /* CoverageOp */
    uint32_t size;
    guest_handle buffer;  //= uint8_t[size]
};
