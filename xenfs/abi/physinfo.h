// To be described.

struct xen_sysctl_physinfo {
    uint32_t threads_per_core;
    uint32_t cores_per_socket;
    uint32_t nr_cpus;
    uint32_t max_cpu_id;
    uint32_t nr_nodes;
    uint32_t max_node_id;
    uint32_t cpu_khz;
    uint32_t capabilities;
    uint32_t arch_capabilities;  //@ sysctl >= 0x15
    uint32_t pad;  //@ sysctl >= 0x15
    uint64_t total_pages;
    uint64_t free_pages;
    uint64_t scrub_pages;
    uint64_t outstanding_pages;
    uint64_t max_mfn;
    uint32_t hw_cap[8];
};

struct xen_sysctl_cputopo {
    uint32_t core;
    uint32_t socket;
    uint32_t node;
};

struct xen_sysctl_cputopoinfo {
    uint32_t num_cpus;
    guest_handle cputopo;  /*  */
};

struct xen_sysctl_meminfo {
    uint64_t memsize;
    uint64_t memfree;
};

struct xen_sysctl_numainfo {
    uint32_t num_nodes;
    guest_handle meminfo;  /*  */
    guest_handle distance;  /*  */
};

struct xen_sysctl_pcitopoinfo {
    uint32_t num_devs;
    guest_handle devs;  /*  */
    guest_handle nodes;  /*  */
};

struct xen_sysctl_cpuinfo {
    uint64_t idletime;
};

struct xen_sysctl_getcpuinfo {
    uint32_t max_cpus;
    guest_handle info;  /*  */
    uint32_t nr_cpus;
};

struct xen_sysctl_availheap {
    uint32_t min_bitwidth;
    uint32_t max_bitwidth;
    int32_t node;
    uint64_t avail_bytes;
};

struct xen_sysctl_page_offline_op {
    uint32_t cmd;
    uint32_t start;
    uint32_t end;
    guest_handle status;  /*  */
};

struct xen_sysctl_cpu_hotplug {
    uint32_t cpu;
    uint32_t op;
};
