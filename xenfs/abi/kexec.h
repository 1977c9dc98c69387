// kexec_op. A PV dom0's only.

struct xen_kexec_range {
    int32_t range;  /* KexecRange */
    int32_t nr;  /* CPU, for KexecRange.CPU */
    xen_ulong_t size;
    xen_ulong_t start;
};

struct xen_kexec_status {
    uint8_t type;  /* KexecType */
};

struct xen_kexec_exec {
    int32_t type;
};

struct xen_kexec_unload {
    uint8_t type;
};

struct xen_kexec_segment {
    union {
        guest_handle h;  //= uint8_t[buf_size] or null
        uint64_t _pad;
    } buf;
    uint64_t buf_size;
    uint64_t dest_maddr;
    uint64_t dest_size;
};

struct xen_kexec_load {
    uint8_t type;
    uint8_t _pad;
    uint16_t arch;  /* ELF machine number */
    uint32_t nr_segments;
    union {
        guest_handle h;  //= struct xen_kexec_segment[nr_segments]
        uint64_t _pad;
    } segments;
    uint64_t entry_maddr;
};

struct xen_kexec_image {
    xen_ulong_t page_list[17];  //@ arch == x86_64
    xen_ulong_t indirection_page;
    xen_ulong_t start_address;
};

struct xen_kexec_load_v1 {
    int32_t type;
    struct xen_kexec_image image;
};
