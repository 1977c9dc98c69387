// To be described.

struct xen_domctl_getvcpuinfo {
    uint32_t vcpu;
    uint8_t online;
    uint8_t blocked;
    uint8_t running;
    uint64_t cpu_time;
    uint32_t cpu;
};

struct xen_domctl_vcpuaffinity {
    uint32_t vcpu;
    uint32_t flags;
    struct xenctl_bitmap cpumap_hard;
    struct xenctl_bitmap cpumap_soft;
};

struct xen_domctl_vcpucontext {
    uint32_t vcpu;
    guest_handle ctxt;  /*  */
};

struct xen_domctl_vcpuextstate {  //@ arch == x86_64
    uint32_t vcpu;
    uint64_t xfeature_mask;
    uint64_t size;
    guest_handle buffer;  /*  */
};

struct xen_domctl_vcpu_msr {  //@ arch == x86_64
    uint32_t index;
    uint32_t reserved;
    uint64_t value;
};

struct xen_domctl_vcpu_msrs {  //@ arch == x86_64
    uint32_t vcpu;
    uint32_t msr_count;
    guest_handle msrs;  /*  */
};

struct hvm_vmce_vcpu {  //@ arch == x86_64
    uint64_t caps;
    uint64_t mci_ctl2_bank0;
    uint64_t mci_ctl2_bank1;
    uint64_t mcg_ext_ctl;
};

struct xen_domctl_ext_vcpucontext {
    uint32_t vcpu;
    uint32_t size;
    uint64_t syscall32_callback_eip;  //@ arch == x86_64
    uint64_t sysenter_callback_eip;  //@ arch == x86_64
    uint16_t syscall32_callback_cs;  //@ arch == x86_64
    uint16_t sysenter_callback_cs;  //@ arch == x86_64
    uint8_t syscall32_disables_events;  //@ arch == x86_64
    uint8_t sysenter_disables_events;  //@ arch == x86_64
    union {  //@ arch == x86_64
        uint64_t mcg_cap;
        struct hvm_vmce_vcpu vmce;
    };
};

struct xen_domctl_vmtrace_op {  //@ domctl >= 0x13
    uint32_t cmd;
    uint32_t vcpu;
    uint64_t key;
    uint64_t value;
};

struct xen_domctl_debug_op {
    uint32_t op;
    uint32_t vcpu;
};

struct xen_domctl_setdebugging {
    uint8_t enable;
};

struct xen_domctl_gdbsx_memio {
    uint64_t pgd3val;
    uint64_t gva;
    uint64_t uva;
    uint32_t len;
    uint8_t gwr;
    uint32_t remain;
};

struct xen_domctl_gdbsx_pauseunp_vcpu {
    uint32_t vcpu;
};

struct xen_domctl_gdbsx_domstatus {
    uint8_t paused;
    uint32_t vcpu_id;
    uint32_t vcpu_ev;
};

struct vcpu_runstate_info {
    int32_t state;
    uint64_t state_entry_time;
    uint64_t time[4];
};
