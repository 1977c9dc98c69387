// To be described.

struct pm_px_val {
    uint64_t freq;
    uint64_t residency;
    uint64_t count;
};

struct pm_px_stat {
    uint8_t total;
    uint8_t usable;
    uint8_t last;
    uint8_t cur;
    guest_handle trans_pt;  /*  */
    guest_handle pt;  /*  */
};

struct pm_cx_stat {
    uint32_t nr;
    uint32_t last;
    uint64_t idle_time;
    guest_handle triggers;  /*  */
    guest_handle residencies;  /*  */
    uint32_t nr_pc;
    uint32_t nr_cc;
    guest_handle pc;  /*  */
    guest_handle cc;  /*  */
};

struct xen_sysctl_get_pmstat {
    uint32_t type;
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
    uint32_t up_threshold;
};

struct xen_cppc_para {  //@ xen >= 4.18 and sysctl < 0x16
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

struct xen_get_cpufreq_para {
    uint32_t cpu_num;
    uint32_t freq_num;
    uint32_t gov_num;
    guest_handle affected_cpus;  /*  */
    guest_handle scaling_available_frequencies;  /*  */
    guest_handle scaling_available_governors;  /*  */
    char scaling_driver[16];
    uint32_t cpuinfo_cur_freq;
    uint32_t cpuinfo_max_freq;
    uint32_t cpuinfo_min_freq;
    uint32_t scaling_cur_freq;  //@ xen < 4.18
    char scaling_governor[16];  //@ xen < 4.18
    uint32_t scaling_max_freq;  //@ xen < 4.18
    uint32_t scaling_min_freq;  //@ xen < 4.18
    union {  //@ sysctl < 0x16
        struct xen_userspace userspace;  //@ xen < 4.18
        struct xen_ondemand ondemand;  //@ xen < 4.18
        struct {  //@ xen >= 4.18 and sysctl < 0x16
            uint32_t scaling_cur_freq;
            char scaling_governor[16];
            uint32_t scaling_max_freq;
            uint32_t scaling_min_freq;
            union {
                struct xen_userspace userspace;
                struct xen_ondemand ondemand;
            } u;
        } s;
        struct xen_cppc_para cppc_para;  //@ xen >= 4.18 and sysctl < 0x16
    } u;
    struct {  //@ sysctl >= 0x16
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
    uint32_t ctrl_type;
    uint32_t ctrl_value;
};

struct xen_get_cppc_para {  //@ sysctl >= 0x16
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

struct xen_set_cppc_para {  //@ xen >= 4.18
    uint32_t set_params;
    uint32_t minimum;
    uint32_t maximum;
    uint32_t desired;
    uint32_t energy_perf;
    uint32_t activity_window;
};

struct xen_sysctl_pm_op {
    uint32_t cmd;
    uint32_t cpuid;
    union {
        struct xen_get_cpufreq_para get_para;
        struct xen_get_cppc_para get_cppc;  //@ sysctl >= 0x16
        struct xen_set_cpufreq_gov set_gov;
        struct xen_set_cpufreq_para set_para;
        struct xen_set_cppc_para set_cppc;  //@ xen >= 4.18
        uint64_t get_avgfreq;
        uint32_t set_sched_opt_smt;
        uint32_t get_max_cstate;
        uint32_t set_max_cstate;
    } u;
};
