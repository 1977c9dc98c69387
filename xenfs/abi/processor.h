// Processors as platform_op knows them: presence, versions, microcode, and the power data that a dom0 hands
// up.

struct xen_power_register {
    uint32_t space_id;
    uint32_t bit_width;
    uint32_t bit_offset;
    uint32_t access_size;
    uint64_t address;
};

struct xen_processor_csd {
    uint32_t domain;
    uint32_t coord_type;
    uint32_t num;
};

struct xen_processor_cx {
    struct xen_power_register reg;
    uint8_t type;
    uint32_t latency;
    uint32_t power;
    uint32_t dpcnt;
    guest_handle dp;  //= struct xen_processor_csd[dpcnt]
};

struct xen_processor_flags {
    uint32_t bm_control : 1;
    uint32_t bm_check : 1;
    uint32_t has_cst : 1;
    uint32_t power_setup_done : 1;
    uint32_t bm_rld_set : 1;
};

struct xen_processor_power {
    uint32_t count;
    struct xen_processor_flags flags;
    guest_handle states;  //= struct xen_processor_cx[count]
};

struct xen_pct_register {
    uint8_t descriptor;
    uint16_t length;
    uint8_t space_id;
    uint8_t bit_width;
    uint8_t bit_offset;
    uint8_t reserved;
    uint64_t address;
};

struct xen_processor_px {
    uint64_t core_frequency;  /* MHz */
    uint64_t power;
    uint64_t transition_latency;
    uint64_t bus_master_latency;
    uint64_t control;
    uint64_t status;
};

struct xen_psd_package {
    uint64_t num_entries;
    uint64_t revision;
    uint64_t domain;
    uint64_t coord_type;
    uint64_t num_processors;
};

struct xen_processor_performance {
    uint32_t flags;
    uint32_t platform_limit;
    struct xen_pct_register control_register;
    struct xen_pct_register status_register;
    uint32_t state_count;
    guest_handle states;  //= struct xen_processor_px[state_count]
    struct xen_psd_package domain_info;
    uint32_t shared_type;
};

struct xen_processor_cppc {  //@ xen >= 4.21: new type of data
    uint8_t flags;
    uint8_t pad[3];
    struct {
        uint32_t highest_perf;
        uint32_t nominal_perf;
        uint32_t lowest_nonlinear_perf;
        uint32_t lowest_perf;
        uint32_t lowest_mhz;
        uint32_t nominal_mhz;
    } cpc;
    uint32_t shared_type;
    struct xen_psd_package domain_info;
};

struct xenpf_set_processor_pminfo {
    uint32_t id;
    uint32_t type;
    union {
        struct xen_processor_power power;
        struct xen_processor_performance perf;
        guest_handle pdc;  //= uint32_t[3]
        struct xen_processor_cppc cppc_data;  //@ xen >= 4.21: new type of data
    } u;
};

/* Of one CPU id; max_present comes out as the highest id. */
struct xenpf_pcpuinfo {
    uint32_t xen_cpuid;
    uint32_t max_present;
    uint32_t flags;  /* PcpuFlag */
    uint32_t apic_id;
    uint32_t acpi_id;
};

struct xenpf_pcpu_version {
    uint32_t xen_cpuid;
    uint32_t max_present;
    char vendor_id[12];
    uint32_t family;
    uint32_t model;
    uint32_t stepping;
};

struct xenpf_cpu_ol {
    uint32_t cpuid;
};

struct xenpf_cpu_hotadd {
    uint32_t apic_id;
    uint32_t acpi_id;
    uint32_t pxm;
};

struct xenpf_core_parking {
    uint32_t type;  /* CoreParking */
    uint32_t idle_nums;  /* CPUs parked */
};

/* signature is CPUID leaf 1 eax, pf the mask of the platform id (Intel). */
struct xenpf_ucode_revision {  //@ xen >= 4.18: new operation
    uint32_t cpu;
    uint32_t signature;
    uint32_t pf;
    uint32_t revision;
};

struct xenpf_microcode_update {
    guest_handle data;  /* the vendor's container or blob */  //= uint8_t[length]
    uint32_t length;
};

struct xenpf_microcode_update2 {  //@ xen >= 4.20: new operation
    uint32_t flags;  /* MicrocodeFlag */
    uint32_t length;
    guest_handle data;  /* the vendor's container or blob */  //= uint8_t[length]
};

struct xenpf_getidletime {
    guest_handle cpumap_bitmap;  //= bit[cpumap_nr_cpus]
    uint32_t cpumap_nr_cpus;
    guest_handle idletime;  /* ns */  //= uint64_t[cpumap_nr_cpus]
    uint64_t now;  /* out: system time of the answer, ns */
};

struct xenpf_change_freq {
    uint32_t flags;
    uint32_t cpu;
    uint64_t freq;  /* Hz */
};
