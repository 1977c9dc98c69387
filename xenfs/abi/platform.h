// The platform_op hypercall's argument, for the owner of the hardware. Give a whole, zeroed one.
//: needs firmware.h processor.h

struct xenpf_settime32 {
    uint32_t secs;
    uint32_t nsecs;
    uint64_t system_time;
};

struct xenpf_settime64 {
    uint64_t secs;
    uint32_t nsecs;
    uint32_t mbz;
    uint64_t system_time;
};

struct xenpf_add_memtype {
    xen_pfn_t mfn;
    uint64_t nr_mfns;
    uint32_t type;
    uint32_t handle;
    uint32_t reg;
};

struct xenpf_del_memtype {
    uint32_t handle;
    uint32_t reg;
};

/* One MTRR; nr_mfns 0 for an unused one, EINVAL past the last. */
struct xenpf_read_memtype {
    uint32_t reg;
    xen_pfn_t mfn;
    uint64_t nr_mfns;
    uint32_t type;
};

struct xenpf_platform_quirk {
    uint32_t quirk_id;
};

struct xenpf_enter_acpi_sleep {
    uint16_t val_a;
    uint16_t val_b;
    uint32_t sleep_state;
    uint32_t flags;
};

struct xenpf_mem_hotadd {
    uint64_t spfn;
    uint64_t epfn;
    uint32_t pxm;
    uint32_t flags;
};

/* cmd goes in and ret comes out: below 0 an errno, 0 not reached, above 0 done. */
struct xenpf_resource_entry {
    union {
        uint32_t cmd;  /* ResourceOp */
        int32_t ret;
    } u;
    uint32_t rsvd;
    uint64_t idx;  /* MSR number */
    uint64_t val;
};

struct xenpf_resource_op {
    uint32_t nr_entries;
    uint32_t cpu;
    guest_handle entries;  //= struct xenpf_resource_entry[nr_entries]
};

/* The symbol number symnum comes out as the next one to ask for; unchanged after the last. */
struct xenpf_symdata {
    uint32_t namelen;  /* in: room with NUL; out: length with NUL */
    uint32_t symnum;
    guest_handle name;  //= char[namelen]
    uint64_t address;
    char type;  /* as in nm */
};

struct dom0_vga_console_info {
    uint8_t video_type;
    union {
        struct {
            uint16_t font_height;
            uint16_t cursor_x;
            uint16_t cursor_y;
            uint16_t rows;
            uint16_t columns;
        } text_mode_3;
        struct {
            uint16_t width;
            uint16_t height;
            uint16_t bytes_per_line;
            uint16_t bits_per_pixel;
            uint32_t lfb_base;
            uint32_t lfb_size;
            uint8_t red_pos;
            uint8_t red_size;
            uint8_t green_pos;
            uint8_t green_size;
            uint8_t blue_pos;
            uint8_t blue_size;
            uint8_t rsvd_pos;
            uint8_t rsvd_size;
            uint32_t gbl_caps;
            uint16_t mode_attrs;
            uint16_t pad;
            uint32_t ext_lfb_base;
        } vesa_lfb;
    } u;
};

struct xen_platform_op {
    uint32_t cmd;  /* Platform */
    uint32_t interface_version;
    union {
        struct xenpf_settime64 settime;
        struct xenpf_settime32 settime32;
        struct xenpf_settime64 settime64;
        struct xenpf_add_memtype add_memtype;
        struct xenpf_del_memtype del_memtype;
        struct xenpf_read_memtype read_memtype;
        struct xenpf_microcode_update microcode;
        struct xenpf_platform_quirk platform_quirk;
        struct xenpf_efi_runtime_call efi_runtime_call;
        struct xenpf_firmware_info firmware_info;
        struct xenpf_enter_acpi_sleep enter_acpi_sleep;
        struct xenpf_change_freq change_freq;
        struct xenpf_getidletime getidletime;
        struct xenpf_set_processor_pminfo set_pminfo;
        struct xenpf_pcpuinfo pcpu_info;
        struct xenpf_pcpu_version pcpu_version;
        struct xenpf_cpu_ol cpu_ol;
        struct xenpf_cpu_hotadd cpu_add;
        struct xenpf_mem_hotadd mem_add;
        struct xenpf_core_parking core_parking;
        struct xenpf_resource_op resource_op;
        struct xenpf_symdata symdata;
        struct dom0_vga_console_info dom0_console;  //@ xen >= 4.18: new operation
        struct xenpf_ucode_revision ucode_revision;  //@ xen >= 4.18: new operation
        struct xenpf_microcode_update2 microcode2;  //@ xen >= 4.20: new operation
        uint8_t pad[128];
    } u;
};
