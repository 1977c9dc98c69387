// xenpmu_op: how far performance counters are open to guests.

struct xen_pmu_params {
    struct {
        uint32_t maj;
        uint32_t min;
    } version;
    uint64_t val;  /* PmuMode or PmuFeature */
    uint32_t vcpu;
    uint32_t pad;
};
