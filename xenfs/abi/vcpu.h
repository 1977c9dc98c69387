// Virtual CPUs: state, placement, debugging (domctl). The registers themselves are in guest.h.

/* cpu is where it runs, or ran last. For a missing vCPU: ENOENT from Xen 4.22 on, before EINVAL past the
   last, ESRCH in a hole. */
struct xen_domctl_getvcpuinfo {
    uint32_t vcpu;
    uint8_t online;
    uint8_t blocked;
    uint8_t running;
    uint64_t cpu_time;  /* ns */
    uint32_t cpu;
};

struct xen_domctl_vcpuaffinity {
    uint32_t vcpu;
    uint32_t flags;  /* Affinity: which of the two maps count */
    struct xenctl_bitmap cpumap_hard;  /* in and out: comes back as what is in effect */
    struct xenctl_bitmap cpumap_soft;  /* in and out */
};

struct xen_domctl_vcpucontext {
    uint32_t vcpu;
    guest_handle ctxt;  //= struct vcpu_guest_context[1] or null
};

/* The xsave area. With a null buffer the size needed comes out. */
struct xen_domctl_vcpuextstate {  //@ arch == x86_64
    uint32_t vcpu;
    uint64_t xfeature_mask;
    uint64_t size;
    guest_handle buffer;  //= uint8_t[size] or null
};

struct xen_domctl_vcpu_msr {  //@ arch == x86_64
    uint32_t index;
    uint32_t reserved;
    uint64_t value;
};

struct xen_domctl_vcpu_msrs {  //@ arch == x86_64
    uint32_t vcpu;
    uint32_t msr_count;  /* in: room; out: filled, or needed with a null handle */
    guest_handle msrs;  //= struct xen_domctl_vcpu_msr[msr_count] or null
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

struct xen_domctl_vmtrace_op {  //@ domctl >= 0x13: new operation
    uint32_t cmd;  /* VmtraceOp */
    uint32_t vcpu;
    uint64_t key;
    uint64_t value;
};

struct xen_domctl_debug_op {
    uint32_t op;  /* DebugOp */
    uint32_t vcpu;
};

struct xen_domctl_setdebugging {
    uint8_t enable;
};

/* uva is an address of the caller's: pool memory here as elsewhere. */
struct xen_domctl_gdbsx_memio {
    uint64_t pgd3val;  /* 0: the guest's own page tables */
    uint64_t gva;
    uint64_t uva;  /* a number in Xen's interface, not a handle */  //= uint8_t[len]
    uint32_t len;
    uint8_t gwr;  /* 1: write to the guest */
    uint32_t remain;  /* out: bytes not done */
};

struct xen_domctl_gdbsx_pauseunp_vcpu {
    uint32_t vcpu;
};

struct xen_domctl_gdbsx_domstatus {
    uint8_t paused;
    uint32_t vcpu_id;  /* 0xffffffff: no event */
    uint32_t vcpu_ev;
};

/* From vcpu_op; ns in each RunState. */
struct vcpu_runstate_info {
    int32_t state;  /* RunState */
    uint64_t state_entry_time;
    uint64_t time[4];
};

/* One structure for the time of a vCPU, kept up to date by Xen; even versions are whole. */
struct vcpu_time_info {
    uint32_t version;
    uint32_t pad0;
    uint64_t tsc_timestamp;
    uint64_t system_time;  /* ns */
    uint32_t tsc_to_system_mul;
    int8_t tsc_shift;
    uint8_t flags;
    uint8_t pad1[2];
};

/* The areas below are addresses of the caller's that Xen writes to from then on: never pool memory. */
struct vcpu_register_runstate_memory_area {
    union {
        uint64_t h;
        uint64_t v;
        uint64_t p;
    } addr;
};

struct vcpu_register_time_memory_area {
    union {
        uint64_t h;
        uint64_t v;
        uint64_t p;
    } addr;
};

struct vcpu_register_vcpu_info {
    uint64_t mfn;
    uint32_t offset;
    uint32_t rsvd;
};

struct vcpu_set_periodic_timer {
    uint64_t period_ns;
};

struct vcpu_set_singleshot_timer {
    uint64_t timeout_abs_ns;
    uint32_t flags;
};

struct vcpu_get_physid {
    uint64_t phys_id;  /* APIC id in the lower half, ACPI id in the upper */
};
