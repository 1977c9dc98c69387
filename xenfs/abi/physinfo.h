// What sysctl says about the machine: processors, nodes, memory, devices. Memory is counted in 4 KiB pages.
// In the arrays the number goes in as room and comes out as filled; a null handle asks for the number alone.

struct xen_sysctl_physinfo {
    uint32_t threads_per_core;
    uint32_t cores_per_socket;
    uint32_t nr_cpus;  /* online */
    uint32_t max_cpu_id;  /* highest id there may be */
    uint32_t nr_nodes;
    uint32_t max_node_id;
    uint32_t cpu_khz;
    uint32_t capabilities;  /* PhysCap */
    /* inserted, what follows moved by 8 */
    uint32_t arch_capabilities;  /* Arm, 4.18 on: bits 0-4, SVE vector length / 128 */  //@ sysctl >= 0x15
    uint32_t pad;  //@ sysctl >= 0x15: fills up arch_capabilities
    uint64_t total_pages;
    uint64_t free_pages;
    uint64_t scrub_pages;  /* always 0 */
    uint64_t outstanding_pages;  /* claimed and not yet allocated */
    uint64_t max_mfn;
    uint32_t hw_cap[8];  /* x86: CPUID feature words */
};

/* Of one CPU id; Invalid.CORE_ID and the like for an id without a CPU. */
struct xen_sysctl_cputopo {
    uint32_t core;
    uint32_t socket;
    uint32_t node;
};

struct xen_sysctl_cputopoinfo {
    uint32_t num_cpus;
    guest_handle cputopo;  /* by CPU id */  //= struct xen_sysctl_cputopo[num_cpus] or null
};

/* Bytes of a node; memsize is its span, holes included. Invalid.MEM_SZ where there is no node. */
struct xen_sysctl_meminfo {
    uint64_t memsize;
    uint64_t memfree;
};

struct xen_sysctl_numainfo {
    uint32_t num_nodes;
    guest_handle meminfo;  /* by node id */  //= struct xen_sysctl_meminfo[num_nodes] or null
    guest_handle distance;  //= uint32_t[num_nodes * num_nodes] or null
};

struct xen_sysctl_pcitopoinfo {
    uint32_t num_devs;  /* in: asked for; out: answered so far */
    guest_handle devs;  //= struct physdev_pci_device[num_devs]
    guest_handle nodes;  /* node, Invalid.NODE_ID or Invalid.DEV */  //= uint32_t[num_devs]
};

struct xen_sysctl_cpuinfo {
    uint64_t idletime;  /* ns */
};

struct xen_sysctl_getcpuinfo {
    uint32_t max_cpus;
    guest_handle info;  /* by CPU id */  //= struct xen_sysctl_cpuinfo[max_cpus]
    uint32_t nr_cpus;  /* out: filled */
};

struct xen_sysctl_availheap {
    uint32_t min_bitwidth;  /* 0: no limit */
    uint32_t max_bitwidth;  /* 0: no limit */
    int32_t node;  /* -1: all nodes */
    uint64_t avail_bytes;  /* out */
};

struct xen_sysctl_page_offline_op {
    uint32_t cmd;  /* PageOffline */
    uint32_t start;  /* first machine frame */
    uint32_t end;  /* last machine frame */
    guest_handle status;  /* PageStatus or PageQuery */  //= uint32_t[end - start + 1]
};

struct xen_sysctl_cpu_hotplug {
    uint32_t cpu;  /* ignored by the SMT operations */
    uint32_t op;  /* CpuHotplug */
};
