// CPU features: featuresets and policies of the host (sysctl), the policy of a domain (domctl). How many
// words, leaves and MSRs there are changes with point releases: always ask first, with a null handle.

struct xen_cpuid_leaf {  //@ arch == x86_64
    uint32_t leaf;
    uint32_t subleaf;  /* 0xffffffff: the leaf has none */
    uint32_t a;
    uint32_t b;
    uint32_t c;
    uint32_t d;
};

struct xen_msr_entry {  //@ arch == x86_64
    uint32_t idx;
    uint32_t flags;  /* must be 0 */
    uint64_t val;
};

struct xen_sysctl_cpu_featureset {
    uint32_t index;  /* Featureset */
    uint32_t nr_features;  /* words */
    guest_handle features;  //= uint32_t[nr_features] or null
};

struct xen_sysctl_cpu_policy {  //@ arch == x86_64
    uint32_t index;  /* HostPolicy */
    uint32_t nr_leaves;
    uint32_t nr_msrs;
    uint32_t _rsvd;
    guest_handle leaves;  //= struct xen_cpuid_leaf[nr_leaves] or null
    guest_handle msrs;  //= struct xen_msr_entry[nr_msrs] or null
};

struct xen_sysctl_cpu_levelling_caps {  //@ xen < 4.22: the operation is gone
    uint32_t caps;  /* LevellingCap */
};

struct xen_domctl_cpu_policy {  //@ arch == x86_64
    uint32_t nr_leaves;
    uint32_t nr_msrs;
    guest_handle leaves;  //= struct xen_cpuid_leaf[nr_leaves] or null
    guest_handle msrs;  //= struct xen_msr_entry[nr_msrs] or null
    uint32_t err_leaf;  /* out of a refused set; 0xffffffff: not this one */
    uint32_t err_subleaf;  /* likewise */
    uint32_t err_msr;  /* likewise */
};
