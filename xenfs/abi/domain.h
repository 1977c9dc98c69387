// To be described.

struct xen_arch_domainconfig {
    uint8_t gic_version;  //@ arch == arm64
    uint8_t sve_vl;  //@ arch == arm64 and domctl >= 0x16
    uint16_t tee_type;  //@ arch == arm64
    uint32_t nr_spis;  //@ arch == arm64
    uint32_t clock_frequency;  //@ arch == arm64
    uint8_t arm_sci_type;  //@ arch == arm64 and xen >= 4.21
    uint8_t v8r_el1_msa;  //@ arch == arm64 and domctl >= 0x18
    uint16_t pad;  //@ arch == arm64 and domctl >= 0x18
    uint32_t emulation_flags;  //@ arch == x86_64
    uint32_t misc_flags;  //@ arch == x86_64 and domctl >= 0x13
};

struct xen_domctl_createdomain {
    uint32_t ssidref;
    xen_domain_handle_t handle;
    uint32_t flags;
    uint32_t iommu_opts;
    uint32_t max_vcpus;
    uint32_t max_evtchn_port;
    int32_t max_grant_frames;
    int32_t max_maptrack_frames;
    uint32_t grant_opts;  //@ domctl >= 0x14
    uint32_t altp2m_opts;  //@ domctl >= 0x17 and xen < 4.21
    struct {  //@ xen >= 4.21
        uint16_t opts;
        uint16_t nr;
    } altp2m;
    uint32_t vmtrace_size;  //@ domctl >= 0x13
    uint32_t cpupool_id;  //@ domctl >= 0x15
    struct xen_arch_domainconfig arch;
};

struct xen_domctl_getdomaininfo {
    domid_t domain;
    uint16_t pad1;  //@ domctl >= 0x14
    uint32_t flags;
    uint64_t tot_pages;
    uint64_t max_pages;
    uint64_t outstanding_pages;
    uint64_t shr_pages;
    uint64_t paged_pages;
    uint64_t shared_info_frame;
    uint64_t cpu_time;
    uint32_t nr_online_vcpus;
    uint32_t max_vcpu_id;
    uint32_t ssidref;
    xen_domain_handle_t handle;
    uint32_t cpupool;
    uint8_t gpaddr_bits;  //@ domctl >= 0x14
    uint8_t pad2[7];  //@ domctl >= 0x14
    struct xen_arch_domainconfig arch_config;
};

struct xen_domctl_get_domain_state {  //@ xen >= 4.21
    uint16_t state;
    uint16_t caps;
    uint32_t pad0;
    uint64_t unique_id;
};

struct xen_domctl_setdomainhandle {
    xen_domain_handle_t handle;
};

struct xen_domctl_max_mem {
    uint64_t max_memkb;
};

struct xen_domctl_max_vcpus {
    uint32_t max;
};

struct xen_domctl_nodeaffinity {
    struct xenctl_bitmap nodemap;
};

struct xen_domctl_address_size {
    uint32_t size;
};

struct xen_domctl_settimeoffset {
    int64_t time_offset_seconds;
};

struct xen_domctl_tsc_info {
    uint32_t tsc_mode;
    uint32_t gtsc_khz;
    uint32_t incarnation;
    uint32_t pad;
    uint64_t elapsed_nsec;
};

struct xen_domctl_sendtrigger {
    uint32_t trigger;
    uint32_t vcpu;
};

struct xen_domctl_set_target {
    domid_t target;
};

struct xen_domctl_subscribe {
    uint32_t port;
};

struct xen_domctl_set_virq_handler {
    uint32_t virq;
};

struct xen_domctl_hypercall_init {
    uint64_t gmfn;
};

struct xen_domctl_disable_migrate {  //@ domctl < 0x13
    uint32_t disable;
};

struct xen_domctl_set_llc_colors {  //@ xen >= 4.20
    uint32_t num_llc_colors;
    uint32_t pad;
    guest_handle llc_colors;  /*  */
};

struct xen_domctl_dt_overlay {  //@ arch == arm64 and domctl >= 0x17
    guest_handle overlay_fdt;  /*  */
    uint32_t overlay_fdt_size;
    uint8_t overlay_op;
    uint8_t pad[3];
};

struct xen_domctl_vnuma {
    uint32_t nr_vnodes;
    uint32_t nr_vmemranges;
    uint32_t nr_vcpus;
    uint32_t pad;
    guest_handle vdistance;  /*  */
    guest_handle vcpu_to_vnode;  /*  */
    guest_handle vnode_to_pnode;  /*  */
    guest_handle vmemrange;  /*  */
};

struct xen_domctl_vuart_op {
    uint32_t cmd;
    uint32_t type;
    uint64_t gfn;
    domid_t console_domid;
    uint8_t pad[2];
    uint32_t evtchn;
};
