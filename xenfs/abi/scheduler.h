// Schedulers and cpupools: of the host (sysctl) and of one domain (domctl).

struct xen_sysctl_sched_id {
    uint32_t sched_id;  /* SchedId */
};

struct xen_sysctl_cpupool_op {
    uint32_t op;  /* CpupoolOp */
    uint32_t cpupool_id;  /* CREATE and INFO: in and out; INFO answers with the next pool from here on */
    uint32_t sched_id;  /* SchedId */
    uint32_t domid;  /* MOVEDOMAIN */
    uint32_t cpu;  /* ADDCPU, RMCPU */
    uint32_t n_dom;  /* INFO */
    struct xenctl_bitmap cpumap;  /* INFO, FREEINFO */
};

struct xen_sysctl_credit_schedule {
    uint32_t tslice_ms;
    uint32_t ratelimit_us;
    uint32_t vcpu_migr_delay_us;
};

struct xen_sysctl_credit2_schedule {
    uint32_t ratelimit_us;
};

struct xen_sysctl_arinc653_schedule {
    uint64_t major_frame;  /* ns */
    uint8_t num_sched_entries;
    struct {
        xen_domain_handle_t dom_handle;
        uint32_t vcpu_id;
        uint64_t runtime;  /* ns */
    } sched_entries[64];
};

struct xen_sysctl_sched_arinc653 {
    guest_handle schedule;  //= struct xen_sysctl_arinc653_schedule[1]
};

struct xen_sysctl_scheduler_op {
    uint32_t cpupool_id;
    uint32_t sched_id;
    uint32_t cmd;  /* SysctlSched */
    union {
        struct xen_sysctl_sched_arinc653 sched_arinc653;
        struct xen_sysctl_credit_schedule sched_credit;
        struct xen_sysctl_credit2_schedule sched_credit2;
    } u;
};

/* cap is in percent of one CPU, 0 for none; on input 0 as weight and 0xffff as cap leave the value alone. */
struct xen_domctl_sched_credit {
    uint16_t weight;
    uint16_t cap;
};

struct xen_domctl_sched_credit2 {
    uint16_t weight;
    uint16_t cap;
};

/* Microseconds. */
struct xen_domctl_sched_rtds {
    uint32_t period;
    uint32_t budget;
    uint32_t flags;  /* RtdsFlag, of a vCPU only */
};

struct xen_domctl_schedparam_vcpu {
    union {
        struct xen_domctl_sched_credit credit;
        struct xen_domctl_sched_credit2 credit2;
        struct xen_domctl_sched_rtds rtds;
    } u;
    uint32_t vcpuid;
};

struct xen_domctl_scheduler_op {
    uint32_t sched_id;
    uint32_t cmd;  /* DomctlSched */
    union {
        struct xen_domctl_sched_credit credit;
        struct xen_domctl_sched_credit2 credit2;
        struct xen_domctl_sched_rtds rtds;
        struct {
            guest_handle vcpus;  //= struct xen_domctl_schedparam_vcpu[u.v.nr_vcpus]
            uint32_t nr_vcpus;  /* in: elements; out: those done */
            uint32_t padding;
        } v;
    } u;
};
