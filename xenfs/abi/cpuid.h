// To be described.

struct xen_cpuid_leaf {  //@ arch == x86_64
    uint32_t leaf;
    uint32_t subleaf;
    uint32_t a;
    uint32_t b;
    uint32_t c;
    uint32_t d;
};

struct xen_msr_entry {  //@ arch == x86_64
    uint32_t idx;
    uint32_t flags;
    uint64_t val;
};

struct xen_sysctl_cpu_featureset {
    uint32_t index;
    uint32_t nr_features;
    guest_handle features;  /*  */
};

struct xen_sysctl_cpu_policy {  //@ arch == x86_64
    uint32_t index;
    uint32_t nr_leaves;
    uint32_t nr_msrs;
    uint32_t _rsvd;
    guest_handle leaves;  /*  */
    guest_handle msrs;  /*  */
};

struct xen_sysctl_cpu_levelling_caps {  //@ xen < 4.22
    uint32_t caps;
};

struct xen_domctl_cpu_policy {  //@ arch == x86_64
    uint32_t nr_leaves;
    uint32_t nr_msrs;
    guest_handle leaves;  /*  */
    guest_handle msrs;  /*  */
    uint32_t err_leaf;
    uint32_t err_subleaf;
    uint32_t err_msr;
};
