// The sysctl hypercall's argument. Xen copies all of it in, whatever the operation: give a whole, zeroed one.
//: needs cpufreq.h cpuid.h instruments.h livepatch.h physinfo.h psr.h scheduler.h

struct xen_sysctl_readconsole {
    uint8_t clear;  /* empty the ring afterwards */
    uint8_t incremental;  /* start at index, not at the ring's oldest byte */
    uint8_t pad0;
    uint8_t pad1;
    uint32_t index;  /* in and out: position in all that was ever logged, modulo 2^32 */
    guest_handle buffer;  //= char[count]
    uint32_t count;  /* in: room; out: filled */
};

/* Domains from first_domain on, in the order of their ids. */
struct xen_sysctl_getdomaininfolist {
    domid_t first_domain;
    uint32_t max_domains;
    guest_handle buffer;  //= struct xen_domctl_getdomaininfo[max_domains]
    uint32_t num_domains;
};

struct xen_sysctl_debug_keys {
    guest_handle keys;  //= char[nr_keys]
    uint32_t nr_keys;
};

struct xen_sysctl_dt_overlay {  //@ arch == arm64 and xen >= 4.18: new operation
    guest_handle overlay_fdt;  /* device tree blob */  //= uint8_t[overlay_fdt_size]
    uint32_t overlay_fdt_size;
    uint8_t overlay_op;  /* DtOverlay */
    uint8_t pad[3];
};

struct xen_sysctl {
    uint32_t cmd;  /* Sysctl */
    uint32_t interface_version;
    union {
        struct xen_sysctl_readconsole readconsole;
        struct xen_sysctl_tbuf_op tbuf_op;
        struct xen_sysctl_physinfo physinfo;
        struct xen_sysctl_cputopoinfo cputopoinfo;
        struct xen_sysctl_pcitopoinfo pcitopoinfo;
        struct xen_sysctl_numainfo numainfo;
        struct xen_sysctl_sched_id sched_id;
        struct xen_sysctl_perfc_op perfc_op;
        struct xen_sysctl_getdomaininfolist getdomaininfolist;
        struct xen_sysctl_debug_keys debug_keys;
        struct xen_sysctl_getcpuinfo getcpuinfo;
        struct xen_sysctl_availheap availheap;
        struct xen_sysctl_get_pmstat get_pmstat;
        struct xen_sysctl_cpu_hotplug cpu_hotplug;
        struct xen_sysctl_pm_op pm_op;
        struct xen_sysctl_page_offline_op page_offline;
        struct xen_sysctl_lockprof_op lockprof_op;
        struct xen_sysctl_cpupool_op cpupool_op;
        struct xen_sysctl_scheduler_op scheduler_op;
        struct xen_sysctl_coverage_op coverage_op;
        struct xen_sysctl_psr_cmt_op psr_cmt_op;
        struct xen_sysctl_psr_alloc psr_alloc;
        struct xen_sysctl_cpu_levelling_caps cpu_levelling_caps;  //@ xen < 4.22: the operation is gone
        struct xen_sysctl_cpu_featureset cpu_featureset;
        struct xen_sysctl_livepatch_op livepatch;
        struct xen_sysctl_dt_overlay dt_overlay;  //@ arch == arm64 and xen >= 4.18: new operation
        struct xen_sysctl_cpu_policy cpu_policy;  //@ arch == x86_64
        uint8_t pad[128];
    } u;
};
