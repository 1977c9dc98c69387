// mmu_update and mmuext_op: page tables of PV domains. Arrays of these, each element done in its turn.

struct mmu_update {
    uint64_t ptr;  /* machine address of the entry; bits 0-1: MmuUpdate */
    uint64_t val;
};

struct mmuext_op {
    uint32_t cmd;  /* MmuextOp */
    union {
        xen_pfn_t mfn;
        xen_ulong_t linear_addr;
    } arg1;
    union {
        uint32_t nr_ents;
        guest_handle vcpumask;  //= uint8_t[8]
        xen_pfn_t src_mfn;
    } arg2;
};
