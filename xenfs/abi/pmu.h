// To be described.

struct xen_pmu_params {
    struct {
        uint32_t maj;
        uint32_t min;
    } version;
    uint64_t val;
    uint32_t vcpu;
    uint32_t pad;
};
