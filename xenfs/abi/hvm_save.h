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
