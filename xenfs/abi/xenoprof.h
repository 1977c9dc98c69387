// xenoprof_op: the profiler of Xen up to 4.21. Its structs stay in the headers.

struct xenoprof_init {
    int32_t num_events;
    int32_t is_primary;
    char cpu_type[64];
};

struct xenoprof_get_buffer {
    int32_t max_samples;
    int32_t nbuf;
    int32_t bufsize;
    uint64_t buf_gmaddr;
};

struct xenoprof_counter {
    uint32_t ind;
    uint64_t count;
    uint32_t enabled;
    uint32_t event;
    uint32_t hypervisor;
    uint32_t kernel;
    uint32_t user;
    uint64_t unit_mask;
};

struct xenoprof_passive {
    uint16_t domain_id;
    int32_t max_samples;
    int32_t nbuf;
    int32_t bufsize;
    uint64_t buf_gmaddr;
};

struct xenoprof_ibs_counter {
    uint64_t op_enabled;
    uint64_t fetch_enabled;
    uint64_t max_cnt_fetch;
    uint64_t max_cnt_op;
    uint64_t rand_en;
    uint64_t dispatched_ops;
};
