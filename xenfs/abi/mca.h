// mca: machine checks. x86, and a PV dom0's only.

/* Heads every record in mc_info.mi_data. */
struct mcinfo_common {  //@ arch == x86_64
    uint16_t type;  /* McaRecord */
    uint16_t size;  /* bytes of the whole record */
};

struct mcinfo_msr {  //@ arch == x86_64
    uint64_t reg;
    uint64_t value;
};

struct mcinfo_global {  //@ arch == x86_64
    struct mcinfo_common common;
    uint16_t mc_domid;
    uint16_t mc_vcpuid;
    uint32_t mc_socketid;
    uint16_t mc_coreid;
    uint16_t mc_core_threadid;
    uint32_t mc_apicid;
    uint32_t mc_flags;
    uint64_t mc_gstatus;
};

struct mcinfo_bank {  //@ arch == x86_64
    struct mcinfo_common common;
    uint16_t mc_bank;
    uint16_t mc_domid;
    uint64_t mc_status;
    uint64_t mc_addr;
    uint64_t mc_misc;
    uint64_t mc_ctrl2;
    uint64_t mc_tsc;
};

struct mcinfo_extended {  //@ arch == x86_64
    struct mcinfo_common common;
    uint32_t mc_msrs;
    struct mcinfo_msr mc_msr[32];
};

struct mcinfo_recovery {  //@ arch == x86_64
    struct mcinfo_common common;
    uint16_t mc_bank;
    uint8_t action_flags;
    uint8_t action_types;
    union {
        struct page_offline_action page_retire;
        struct cpu_offline_action cpu_offline;
        uint8_t pad[16];
    } action_info;
};

struct page_offline_action {  //@ arch == x86_64
    uint64_t mfn;
    uint64_t status;
};

struct cpu_offline_action {  //@ arch == x86_64
    uint32_t mc_socketid;
    uint16_t mc_coreid;
    uint16_t mc_core_threadid;
};

struct mc_info {  //@ arch == x86_64
    uint32_t mi_nentries;  /* records in mi_data */
    uint32_t flags;
    uint64_t mi_data[95];
};

struct mcinfo_logical_cpu {  //@ arch == x86_64
    uint32_t mc_cpunr;
    uint32_t mc_chipid;
    uint16_t mc_coreid;
    uint16_t mc_threadid;
    uint32_t mc_apicid;
    uint32_t mc_clusterid;
    uint32_t mc_ncores;
    uint32_t mc_ncores_active;
    uint32_t mc_nthreads;
    int32_t mc_cpuid_level;
    uint32_t mc_family;
    uint32_t mc_vendor;
    uint32_t mc_model;
    uint32_t mc_step;
    char mc_vendorid[16];
    char mc_brandid[64];
    uint32_t mc_cpu_caps[7];
    uint32_t mc_cache_size;
    uint32_t mc_cache_alignment;
    int32_t mc_nmsrvals;
    struct mcinfo_msr mc_msrvalues[8];
};

struct xen_mc_fetch {  //@ arch == x86_64
    uint32_t flags;  /* in McaFetch; out McaOutcome */
    uint32_t _pad0;
    uint64_t fetch_id;
    guest_handle data;  //= struct mc_info[1]
};

struct xen_mc_notifydomain {  //@ arch == x86_64
    uint16_t mc_domid;
    uint16_t mc_vcpuid;
    uint32_t flags;
};

struct xen_mc_physcpuinfo {  //@ arch == x86_64
    uint32_t ncpus;
    uint32_t _pad0;
    guest_handle info;  //= struct mcinfo_logical_cpu[ncpus] or null
};

struct xen_mc_msrinject {  //@ arch == x86_64
    uint32_t mcinj_cpunr;
    uint32_t mcinj_flags;
    uint32_t mcinj_count;
    domid_t mcinj_domid;
    uint16_t _pad0;
    struct mcinfo_msr mcinj_msr[8];
};

struct xen_mc_mceinject {  //@ arch == x86_64
    uint32_t mceinj_cpunr;
};

struct xen_mc_inject_v2 {  //@ arch == x86_64
    uint32_t flags;  /* McaInject; bit 3: all CPUs */
    struct xenctl_bitmap cpumap;
};

struct xen_mc {  //@ arch == x86_64
    uint32_t cmd;  /* McaOp */
    uint32_t interface_version;  /* Interface.XEN_MCA_INTERFACE_VERSION */
    union {
        struct xen_mc_fetch mc_fetch;
        struct xen_mc_notifydomain mc_notifydomain;
        struct xen_mc_physcpuinfo mc_physcpuinfo;
        struct xen_mc_msrinject mc_msrinject;
        struct xen_mc_mceinject mc_mceinject;
        struct xen_mc_inject_v2 mc_inject_v2;
    } u;
};
