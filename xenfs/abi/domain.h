// Domains: what describes and configures one as a whole (domctl).

struct xen_arch_domainconfig {
    uint8_t gic_version;  /* GicVersion */  //@ arch == arm64
    uint8_t sve_vl;  /* vector length / 128, 0: no SVE */  //@ arch == arm64 and domctl >= 0x16: was padding
    uint16_t tee_type;  /* TeeType */  //@ arch == arm64
    uint32_t nr_spis;  //@ arch == arm64
    uint32_t clock_frequency;  /* Hz */  //@ arch == arm64
    uint8_t arm_sci_type;  /* 0: none */  //@ arch == arm64 and xen >= 4.21: added under an unchanged number
    uint8_t v8r_el1_msa;  //@ arch == arm64 and domctl >= 0x18: was padding
    uint16_t pad;  //@ arch == arm64 and domctl >= 0x18: checked to be 0
    uint32_t emulation_flags;  /* X86Emulation */  //@ arch == x86_64
    uint32_t misc_flags;  /* bit 0: relaxed about MSRs */  //@ arch == x86_64 and domctl >= 0x13: added
};

/* Send domain Domid.ANY to have an id chosen: the only wildcard that all releases understand. */
struct xen_domctl_createdomain {
    uint32_t ssidref;
    xen_domain_handle_t handle;
    uint32_t flags;  /* CreateFlag */
    uint32_t iommu_opts;  /* IommuOpt */
    uint32_t max_vcpus;
    uint32_t max_evtchn_port;
    int32_t max_grant_frames;  /* negative: the host's default */
    int32_t max_maptrack_frames;  /* negative: the host's default */
    /* inserted before vmtrace_size */
    uint32_t grant_opts;  /* bits 0-3: highest grant table version, 0 is refused */  //@ domctl >= 0x14
    /* inserted, until it was split in two */
    uint32_t altp2m_opts;  /* Altp2mMode */  //@ domctl >= 0x17 and xen < 4.21
    struct {  //@ xen >= 4.21: split under an unchanged number; a mode needs nr > 0 now
        uint16_t opts;
        uint16_t nr;
    } altp2m;
    uint32_t vmtrace_size;  /* bytes a vCPU, 0: none */  //@ domctl >= 0x13: inserted
    uint32_t cpupool_id;  //@ domctl >= 0x15: inserted; pool 0 before
    struct xen_arch_domainconfig arch;
};

/* Also the element of sysctl getdomaininfolist. Up to Xen 4.17 a question for a missing domain is answered
   with the next one that exists: compare the domain. */
struct xen_domctl_getdomaininfo {
    domid_t domain;
    uint16_t pad1;  //@ domctl >= 0x14: named
    uint32_t flags;  /* DomInf */
    uint64_t tot_pages;  /* 4 KiB each */
    uint64_t max_pages;
    uint64_t outstanding_pages;
    uint64_t shr_pages;
    uint64_t paged_pages;
    uint64_t shared_info_frame;
    uint64_t cpu_time;  /* ns */
    uint32_t nr_online_vcpus;
    uint32_t max_vcpu_id;
    uint32_t ssidref;
    xen_domain_handle_t handle;
    uint32_t cpupool;
    /* inserted before arch_config */
    uint8_t gpaddr_bits;  /* width of guest physical addresses */  //@ domctl >= 0x14
    uint8_t pad2[7];  //@ domctl >= 0x14: fills up gpaddr_bits
    struct xen_arch_domainconfig arch_config;
};

/* The first stable operation: its interface_version is 0, any other is refused with EACCES. Give the domain's
   id; DOMID_INVALID would eat the news that xenstored waits for. */
struct xen_domctl_get_domain_state {  //@ xen >= 4.21: new operation
    uint16_t state;  /* DomainState */
    uint16_t caps;  /* DomainCap */
    uint32_t pad0;  /* must be 0 */
    uint64_t unique_id;  /* never used again for another domain */
};

struct xen_domctl_setdomainhandle {
    xen_domain_handle_t handle;
};

struct xen_domctl_max_mem {
    uint64_t max_memkb;  /* KiB */
};

struct xen_domctl_max_vcpus {
    uint32_t max;
};

struct xen_domctl_nodeaffinity {
    struct xenctl_bitmap nodemap;
};

struct xen_domctl_address_size {
    uint32_t size;  /* bits: 32 or 64 */
};

struct xen_domctl_settimeoffset {
    int64_t time_offset_seconds;
};

struct xen_domctl_tsc_info {
    uint32_t tsc_mode;  /* 0 default, 1 always emulate, 2 never, 3 PV rdtscp */
    uint32_t gtsc_khz;
    uint32_t incarnation;
    uint32_t pad;
    uint64_t elapsed_nsec;
};

struct xen_domctl_sendtrigger {
    uint32_t trigger;  /* Trigger */
    uint32_t vcpu;
};

struct xen_domctl_set_target {
    domid_t target;
};

struct xen_domctl_subscribe {
    uint32_t port;
};

struct xen_domctl_set_virq_handler {
    uint32_t virq;  /* Virq */
};

struct xen_domctl_hypercall_init {
    uint64_t gmfn;
};

struct xen_domctl_disable_migrate {  //@ domctl < 0x13: the operation is gone
    uint32_t disable;
};

struct xen_domctl_set_llc_colors {  //@ xen >= 4.20: new operation
    uint32_t num_llc_colors;
    uint32_t pad;  /* must be 0 */
    guest_handle llc_colors;  //= uint32_t[num_llc_colors]
};

struct xen_domctl_dt_overlay {  //@ arch == arm64 and domctl >= 0x17: new operation
    guest_handle overlay_fdt;  /* device tree blob */  //= uint8_t[overlay_fdt_size]
    uint32_t overlay_fdt_size;
    uint8_t overlay_op;
    uint8_t pad[3];
};

struct xen_domctl_vnuma {
    uint32_t nr_vnodes;
    uint32_t nr_vmemranges;
    uint32_t nr_vcpus;
    uint32_t pad;
    guest_handle vdistance;  //= uint32_t[nr_vnodes * nr_vnodes]
    guest_handle vcpu_to_vnode;  //= uint32_t[nr_vcpus]
    guest_handle vnode_to_pnode;  //= uint32_t[nr_vnodes]
    guest_handle vmemrange;  //= struct xen_vmemrange[nr_vmemranges]
};

struct xen_domctl_vuart_op {
    uint32_t cmd;
    uint32_t type;
    uint64_t gfn;
    domid_t console_domid;
    uint8_t pad[2];
    uint32_t evtchn;
};
