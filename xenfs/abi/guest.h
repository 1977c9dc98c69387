// The state of one vCPU: what domctl getvcpucontext and setvcpucontext carry.
// The register names of 32-bit and 16-bit code lie over the 64-bit ones.

struct cpu_user_regs {  //@ arch == x86_64
    union { uint64_t r15; uint32_t r15d; uint16_t r15w; uint8_t r15b; };
    union { uint64_t r14; uint32_t r14d; uint16_t r14w; uint8_t r14b; };
    union { uint64_t r13; uint32_t r13d; uint16_t r13w; uint8_t r13b; };
    union { uint64_t r12; uint32_t r12d; uint16_t r12w; uint8_t r12b; };
    union { uint64_t rbp; uint32_t ebp; uint16_t bp; uint8_t bpl; };
    union { uint64_t rbx; uint32_t ebx; uint16_t bx; struct { uint8_t bl, bh; }; };
    union { uint64_t r11; uint32_t r11d; uint16_t r11w; uint8_t r11b; };
    union { uint64_t r10; uint32_t r10d; uint16_t r10w; uint8_t r10b; };
    union { uint64_t r9; uint32_t r9d; uint16_t r9w; uint8_t r9b; };
    union { uint64_t r8; uint32_t r8d; uint16_t r8w; uint8_t r8b; };
    union { uint64_t rax; uint32_t eax; uint16_t ax; struct { uint8_t al, ah; }; };
    union { uint64_t rcx; uint32_t ecx; uint16_t cx; struct { uint8_t cl, ch; }; };
    union { uint64_t rdx; uint32_t edx; uint16_t dx; struct { uint8_t dl, dh; }; };
    union { uint64_t rsi; uint32_t esi; uint16_t si; uint8_t sil; };
    union { uint64_t rdi; uint32_t edi; uint16_t di; uint8_t dil; };
    uint32_t error_code;
    uint32_t entry_vector;
    union { uint64_t rip; uint32_t eip; uint16_t ip; };
    uint16_t cs;
    uint16_t _pad0[1];
    uint8_t saved_upcall_mask;
    uint8_t _pad1[3];
    union { uint64_t rflags; uint32_t eflags; uint16_t flags; };
    union { uint64_t rsp; uint32_t esp; uint16_t sp; uint8_t spl; };
    uint16_t ss, _pad2[3];
    uint16_t es, _pad3[3];
    uint16_t ds, _pad4[3];
    uint16_t fs, _pad5[3];
    uint16_t gs, _pad6[3];
};

/* One entry of a PV guest's trap table. */
struct trap_info {  //@ arch == x86_64
    uint8_t vector;
    uint8_t flags;  /* bits 0-1: privilege level; bit 2: leave events masked */
    uint16_t cs;
    xen_ulong_t address;
};

struct vcpu_guest_context {  //@ arch == x86_64
    struct { char x[512]; } fpu_ctxt;
    xen_ulong_t flags;
    struct cpu_user_regs user_regs;
    struct trap_info trap_ctxt[256];
    xen_ulong_t ldt_base, ldt_ents;
    xen_ulong_t gdt_frames[16], gdt_ents;
    xen_ulong_t kernel_ss, kernel_sp;
    xen_ulong_t ctrlreg[8];
    xen_ulong_t debugreg[8];
    xen_ulong_t event_callback_eip;
    xen_ulong_t failsafe_callback_eip;
    xen_ulong_t syscall_callback_eip;
    xen_ulong_t vm_assist;
    uint64_t fs_base;
    uint64_t gs_base_kernel;
    uint64_t gs_base_user;
};

struct vcpu_guest_core_regs {  //@ arch == arm64
    union { uint64_t x0; uint32_t r0_usr; };
    union { uint64_t x1; uint32_t r1_usr; };
    union { uint64_t x2; uint32_t r2_usr; };
    union { uint64_t x3; uint32_t r3_usr; };
    union { uint64_t x4; uint32_t r4_usr; };
    union { uint64_t x5; uint32_t r5_usr; };
    union { uint64_t x6; uint32_t r6_usr; };
    union { uint64_t x7; uint32_t r7_usr; };
    union { uint64_t x8; uint32_t r8_usr; };
    union { uint64_t x9; uint32_t r9_usr; };
    union { uint64_t x10; uint32_t r10_usr; };
    union { uint64_t x11; uint32_t r11_usr; };
    union { uint64_t x12; uint32_t r12_usr; };
    union { uint64_t x13; uint32_t sp_usr; };
    union { uint64_t x14; uint32_t lr_usr; };
    union { uint64_t x15; uint32_t __unused_sp_hyp; };
    union { uint64_t x16; uint32_t lr_irq; };
    union { uint64_t x17; uint32_t sp_irq; };
    union { uint64_t x18; uint32_t lr_svc; };
    union { uint64_t x19; uint32_t sp_svc; };
    union { uint64_t x20; uint32_t lr_abt; };
    union { uint64_t x21; uint32_t sp_abt; };
    union { uint64_t x22; uint32_t lr_und; };
    union { uint64_t x23; uint32_t sp_und; };
    union { uint64_t x24; uint32_t r8_fiq; };
    union { uint64_t x25; uint32_t r9_fiq; };
    union { uint64_t x26; uint32_t r10_fiq; };
    union { uint64_t x27; uint32_t r11_fiq; };
    union { uint64_t x28; uint32_t r12_fiq; };
    union { uint64_t x29; uint32_t sp_fiq; };
    union { uint64_t x30; uint32_t lr_fiq; };
    union { uint64_t pc64; uint32_t pc32; };
    uint64_t cpsr;  //@ xen >= 4.16: widened, what follows moves by 8
    uint32_t cpsr;  //@ xen < 4.16: 32 bits
    union { uint64_t spsr_el1; uint32_t spsr_svc; };  //@ xen >= 4.16: widened
    union { uint32_t spsr_el1; uint32_t spsr_svc; };  //@ xen < 4.16: 32 bits
    uint32_t spsr_fiq, spsr_irq, spsr_und, spsr_abt;
    uint64_t sp_el0;
    uint64_t sp_el1;
    uint64_t elr_el1;
};

struct vcpu_guest_context {  //@ arch == arm64
    uint32_t flags;
    struct vcpu_guest_core_regs user_regs;
    uint64_t sctlr;
    uint64_t ttbcr, ttbr0, ttbr1;
};
