// To be described.

struct xen_compile_info {
    char compiler[64];
    char compile_by[16];
    char compile_domain[32];
    char compile_date[32];
};

struct xen_feature_info {
    uint32_t submap_idx;
    uint32_t submap;
};

struct xen_platform_parameters {
    xen_ulong_t virt_start;
};

struct xen_build_id {
    uint32_t len;
    uint8_t buf[];
};

struct xen_varbuf {  //@ xen >= 4.20
    uint32_t len;
    uint8_t buf[];
};
