// Records of a saved HVM guest's state (domctl gethvmcontext): a descriptor, then as many bytes as it says.
// Walk by the descriptor's length: records grow in point releases. Arm saves none of these.

struct hvm_save_descriptor {
    uint16_t typecode;  /* 0 ends the stream */
    uint16_t instance;  /* vCPU, or number of the device */
    uint32_t length;
};

struct hvm_save_header {  //@ arch == x86_64
    uint32_t magic;
    uint32_t version;
    uint64_t changeset;
    uint32_t cpuid;  /* leaf 1 eax of the host that saved */
    uint32_t gtsc_khz;
};

struct hvm_hw_cpu {  //@ arch == x86_64
    uint8_t fpu_regs[512];
    uint64_t rax;
    uint64_t rbx;
    uint64_t rcx;
    uint64_t rdx;
    uint64_t rbp;
    uint64_t rsi;
    uint64_t rdi;
    uint64_t rsp;
    uint64_t r8;
    uint64_t r9;
    uint64_t r10;
    uint64_t r11;
    uint64_t r12;
    uint64_t r13;
    uint64_t r14;
    uint64_t r15;
    uint64_t rip;
    uint64_t rflags;
    uint64_t cr0;
    uint64_t cr2;
    uint64_t cr3;
    uint64_t cr4;
    uint64_t dr0;
    uint64_t dr1;
    uint64_t dr2;
    uint64_t dr3;
    uint64_t dr6;
    uint64_t dr7;
    uint32_t cs_sel;
    uint32_t ds_sel;
    uint32_t es_sel;
    uint32_t fs_sel;
    uint32_t gs_sel;
    uint32_t ss_sel;
    uint32_t tr_sel;
    uint32_t ldtr_sel;
    uint32_t cs_limit;
    uint32_t ds_limit;
    uint32_t es_limit;
    uint32_t fs_limit;
    uint32_t gs_limit;
    uint32_t ss_limit;
    uint32_t tr_limit;
    uint32_t ldtr_limit;
    uint32_t idtr_limit;
    uint32_t gdtr_limit;
    uint64_t cs_base;
    uint64_t ds_base;
    uint64_t es_base;
    uint64_t fs_base;
    uint64_t gs_base;
    uint64_t ss_base;
    uint64_t tr_base;
    uint64_t ldtr_base;
    uint64_t idtr_base;
    uint64_t gdtr_base;
    uint32_t cs_arbytes;
    uint32_t ds_arbytes;
    uint32_t es_arbytes;
    uint32_t fs_arbytes;
    uint32_t gs_arbytes;
    uint32_t ss_arbytes;
    uint32_t tr_arbytes;
    uint32_t ldtr_arbytes;
    uint64_t sysenter_cs;
    uint64_t sysenter_esp;
    uint64_t sysenter_eip;
    uint64_t shadow_gs;
    uint64_t msr_flags;
    uint64_t msr_lstar;
    uint64_t msr_star;
    uint64_t msr_cstar;
    uint64_t msr_syscall_mask;
    uint64_t msr_efer;
    uint64_t msr_tsc_aux;
    uint64_t tsc;
    union {
        uint32_t pending_event;
        struct {
            uint32_t pending_vector : 8;
            uint32_t pending_type : 3;
            uint32_t pending_error_valid : 1;
            uint32_t pending_reserved : 19;
            uint32_t pending_valid : 1;
        };
    };
    uint32_t error_code;
    uint32_t flags;
    uint32_t pad0;
};

struct hvm_hw_vpic {  //@ arch == x86_64
    uint8_t irr;
    uint8_t imr;
    uint8_t isr;
    uint8_t irq_base;
    uint8_t init_state : 4;
    uint8_t priority_add : 4;
    uint8_t readsel_isr : 1;
    uint8_t poll : 1;
    uint8_t auto_eoi : 1;
    uint8_t rotate_on_auto_eoi : 1;
    uint8_t special_fully_nested_mode : 1;
    uint8_t special_mask_mode : 1;
    uint8_t is_master : 1;
    uint8_t elcr;
    uint8_t int_output;
};

union vioapic_redir_entry {  //@ arch == x86_64
    uint64_t bits;
    struct {
        uint8_t vector;
        uint8_t delivery_mode : 3;
        uint8_t dest_mode : 1;
        uint8_t delivery_status : 1;
        uint8_t polarity : 1;
        uint8_t remote_irr : 1;
        uint8_t trig_mode : 1;
        uint8_t mask : 1;
        uint8_t reserve : 7;
        uint8_t reserved[4];
        uint8_t dest_id;
    } fields;
};

struct hvm_hw_vioapic {  //@ arch == x86_64
    uint64_t base_address;
    uint32_t ioregsel;
    uint32_t id;
    union vioapic_redir_entry redirtbl[48];
};

/* The last member came within point releases: 24 or 32 bytes. */
struct hvm_hw_lapic {  //@ arch == x86_64
    uint64_t apic_base_msr;
    uint32_t disabled;
    uint32_t timer_divisor;
    uint64_t tdt_msr;
    uint32_t pending_esr;  //@ xen >= 4.18: from 4.18.5, 4.19.2, 4.20.1 on
};

struct hvm_hw_lapic_regs {  //@ arch == x86_64
    uint8_t data[1024];
};

struct hvm_hw_pci_irqs {  //@ arch == x86_64
    union { xen_ulong_t i[2]; uint64_t pad[2]; };
};

struct hvm_hw_isa_irqs {  //@ arch == x86_64
    union { xen_ulong_t i[1]; uint64_t pad[1]; };
};

struct hvm_hw_pci_link {  //@ arch == x86_64
    uint8_t route[4];
    uint8_t pad0[4];
};

struct hvm_hw_pit_channel {  //@ arch == x86_64
    uint32_t count;
    uint16_t latched_count;
    uint8_t count_latched;
    uint8_t status_latched;
    uint8_t status;
    uint8_t read_state;
    uint8_t write_state;
    uint8_t write_latch;
    uint8_t rw_mode;
    uint8_t mode;
    uint8_t bcd;
    uint8_t gate;
};

struct hvm_hw_pit {  //@ arch == x86_64
    struct hvm_hw_pit_channel channels[3];
    uint32_t speaker_data_on;
    uint32_t pad0;
};

struct hvm_hw_rtc {  //@ arch == x86_64
    uint8_t cmos_data[14];
    uint8_t cmos_index;
    uint8_t pad0;
    int64_t rtc_offset;
};

struct hvm_hw_hpet {  //@ arch == x86_64
    uint64_t capability;
    uint64_t res0;
    uint64_t config;
    uint64_t res1;
    uint64_t isr;
    uint64_t res2[25];
    uint64_t mc64;
    uint64_t res3;
    struct {
        uint64_t config;
        uint64_t cmp;
        uint64_t fsb;
        uint64_t res4;
    } timers[3];
    uint64_t res5[84];
    uint64_t period[3];
};

struct hvm_hw_pmtimer {  //@ arch == x86_64
    uint32_t tmr_val;
    uint16_t pm1a_sts;
    uint16_t pm1a_en;
};

struct hvm_hw_mtrr {  //@ arch == x86_64
    uint64_t msr_pat_cr;
    uint64_t msr_mtrr_var[16];
    uint64_t msr_mtrr_fixed[11];
    uint64_t msr_mtrr_cap;
    uint64_t msr_mtrr_def_type;
};

struct hvm_viridian_domain_context {  //@ arch == x86_64
    uint64_t hypercall_gpa;
    uint64_t guest_os_id;
    uint64_t time_ref_count;
    uint64_t reference_tsc;
};

struct hvm_viridian_vcpu_context {  //@ arch == x86_64
    uint64_t vp_assist_msr;
    uint8_t apic_assist_pending;
    uint8_t _pad[7];
    uint64_t simp_msr;
    uint64_t sint_msr[16];
    uint64_t stimer_config_msr[4];
    uint64_t stimer_count_msr[4];
};

struct hvm_hw_cpu_xsave_hdr {  //@ arch == x86_64
    uint64_t xstate_bv;
    uint64_t xcomp_bv;
    uint64_t reserved[6];
};

struct hvm_hw_cpu_xsave {  //@ arch == x86_64
    uint64_t xfeature_mask;
    uint64_t xcr0;
    uint64_t xcr0_accum;
    struct {
        struct {
            char x[512];
        } fpu_sse;
        struct hvm_hw_cpu_xsave_hdr xsave_hdr;
    } save_area;
};

struct hvm_tsc_adjust {  //@ arch == x86_64
    uint64_t tsc_adjust;
};

struct hvm_one_msr {  //@ arch == x86_64
    uint32_t index;
    uint32_t _rsvd;
    uint64_t val;
};

struct hvm_msr {  //@ arch == x86_64
    uint32_t count;
    struct hvm_one_msr msr[];
};
