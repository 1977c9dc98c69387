// Records of a saved HVM guest's state that belong to a vCPU; see hvm_save.h.

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

struct hvm_hw_mtrr {  //@ arch == x86_64
    uint64_t msr_pat_cr;
    uint64_t msr_mtrr_var[16];
    uint64_t msr_mtrr_fixed[11];
    uint64_t msr_mtrr_cap;
    uint64_t msr_mtrr_def_type;
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
