// Frequencies and idle states: the sysctl operations pm_op and get_pmstat. Frequencies of pm_op are in kHz,
// times in ns.

struct pm_px_val {
    uint64_t freq;  /* MHz */
    uint64_t residency;  /* ns */
    uint64_t count;
};

struct pm_px_stat {
    uint8_t total;  /* states; in: room, where Xen looks at it (late point releases) */
    uint8_t usable;  /* states at or below the platform's limit */
    uint8_t last;
    uint8_t cur;
    guest_handle trans_pt;  /* changes from one state to another */  //= uint64_t[total * total]
    guest_handle pt;  //= struct pm_px_val[total]
};

struct pm_cx_stat {
    uint32_t nr;  /* in: room in triggers and residencies; out: states, C0 counted */
    uint32_t last;
    uint64_t idle_time;  /* ns since boot */
    guest_handle triggers;  //= uint64_t[nr]
    guest_handle residencies;  /* ns */  //= uint64_t[nr]
    uint32_t nr_pc;  /* in: room in pc; out: package states */
    uint32_t nr_cc;  /* in: room in cc; out: core states */
    guest_handle pc;  //= uint64_t[nr_pc]
    guest_handle cc;  //= uint64_t[nr_cc]
};

struct xen_sysctl_get_pmstat {
    uint32_t type;  /* PmStat */
    uint32_t cpuid;
    union {
        struct pm_px_stat getpx;
        struct pm_cx_stat getcx;
    } u;
};

struct xen_userspace {
    uint32_t scaling_setspeed;
};

struct xen_ondemand {
    uint32_t sampling_rate_max;
    uint32_t sampling_rate_min;
    uint32_t sampling_rate;
    uint32_t up_threshold;  /* percent */
};

/* What lies over the governor's numbers when the driver is "hwp": came with HWP, and got an operation of its
   own with sysctl 0x16. */
struct xen_cppc_para {  //@ xen >= 4.18 and sysctl < 0x16
    uint32_t features;  /* bit 0: has an activity window */
    uint32_t lowest;
    uint32_t lowest_nonlinear;
    uint32_t nominal;
    uint32_t highest;
    uint32_t minimum;
    uint32_t maximum;
    uint32_t desired;
    uint32_t energy_perf;
    uint32_t activity_window;
};

/* cpu_num, freq_num and gov_num: in, room in the arrays; with all 0 they come out as the sizes needed. Look
   at scaling_driver before the governor's numbers: a driver without governors leaves them unwritten (4.21 and
   later) or has put its own there (4.18 to 4.20). The three shapes have every member at the same offset. */
struct xen_get_cpufreq_para {
    uint32_t cpu_num;
    uint32_t freq_num;
    uint32_t gov_num;
    guest_handle affected_cpus;  //= uint32_t[cpu_num]
    guest_handle scaling_available_frequencies;  //= uint32_t[freq_num]
    guest_handle scaling_available_governors;  //= char[16 * gov_num]
    char scaling_driver[16];
    uint32_t cpuinfo_cur_freq;
    uint32_t cpuinfo_max_freq;
    uint32_t cpuinfo_min_freq;
    uint32_t scaling_cur_freq;  //@ xen < 4.18: plain until the union with CPPC
    char scaling_governor[16];  //@ xen < 4.18: as above
    uint32_t scaling_max_freq;  //@ xen < 4.18: as above
    uint32_t scaling_min_freq;  //@ xen < 4.18: as above
    union {  //@ sysctl < 0x16: the governors' own, from 4.18 with CPPC beside them
        struct xen_userspace userspace;  //@ xen < 4.18: moved into s
        struct xen_ondemand ondemand;  //@ xen < 4.18: moved into s
        struct {  //@ xen >= 4.18 and sysctl < 0x16: an arm of the union with CPPC
            uint32_t scaling_cur_freq;
            char scaling_governor[16];
            uint32_t scaling_max_freq;
            uint32_t scaling_min_freq;
            union {
                struct xen_userspace userspace;
                struct xen_ondemand ondemand;
            } u;
        } s;
        struct xen_cppc_para cppc_para;  //@ xen >= 4.18 and sysctl < 0x16: with driver "hwp"
    } u;
    struct {  //@ sysctl >= 0x16: CPPC got an operation of its own, s stands alone
        uint32_t scaling_cur_freq;
        char scaling_governor[16];
        uint32_t scaling_max_freq;
        uint32_t scaling_min_freq;
        union {
            struct xen_userspace userspace;
            struct xen_ondemand ondemand;
        } u;
    } s;
    int32_t turbo_enabled;
};

struct xen_set_cpufreq_gov {
    char scaling_governor[16];
};

struct xen_set_cpufreq_para {
    uint32_t ctrl_type;  /* FreqPara */
    uint32_t ctrl_value;
};

/* ENODEV unless the driver is one that does without governors. */
struct xen_get_cppc_para {  //@ sysctl >= 0x16: out of xen_get_cpufreq_para
    uint32_t features;
    uint32_t lowest;
    uint32_t lowest_nonlinear;
    uint32_t nominal;
    uint32_t highest;
    uint32_t minimum;
    uint32_t maximum;
    uint32_t desired;
    uint32_t energy_perf;
    uint32_t activity_window;
};

struct xen_set_cppc_para {  //@ xen >= 4.18: with HWP
    uint32_t set_params;  /* CppcSet or one CppcPreset; out: what was done */
    uint32_t minimum;
    uint32_t maximum;
    uint32_t desired;
    uint32_t energy_perf;
    uint32_t activity_window;
};

struct xen_sysctl_pm_op {
    uint32_t cmd;  /* PmSetting, GetCpufreq, SetCpufreq */
    uint32_t cpuid;  /* for the C-state limits: 0 state, 1 sub-state */
    union {
        struct xen_get_cpufreq_para get_para;
        struct xen_get_cppc_para get_cppc;  //@ sysctl >= 0x16: new sub-operation
        struct xen_set_cpufreq_gov set_gov;
        struct xen_set_cpufreq_para set_para;
        struct xen_set_cppc_para set_cppc;  //@ xen >= 4.18: new sub-operation, with HWP
        uint64_t get_avgfreq;
        uint32_t set_sched_opt_smt;  /* out: the old value */
        uint32_t get_max_cstate;
        uint32_t set_max_cstate;
    } u;
};
