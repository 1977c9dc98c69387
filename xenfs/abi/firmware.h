// What platform_op asks of the firmware: EFI run-time services, and what boot found out.

struct xenpf_efi_time {
    uint16_t year;
    uint8_t month;
    uint8_t day;
    uint8_t hour;
    uint8_t min;
    uint8_t sec;
    uint32_t ns;
    int16_t tz;
    uint8_t daylight;
};

struct xenpf_efi_guid {
    uint32_t data1;
    uint16_t data2;
    uint16_t data3;
    uint8_t data4[8];
};

/* misc carries flags in and out; status is the firmware's own. */
struct xenpf_efi_runtime_call {
    uint32_t function;  /* EfiCall */
    uint32_t misc;
    xen_ulong_t status;
    union {
        struct {
            struct xenpf_efi_time time;
            uint32_t resolution;
            uint32_t accuracy;
        } get_time;
        struct xenpf_efi_time set_time;
        struct xenpf_efi_time get_wakeup_time;
        struct xenpf_efi_time set_wakeup_time;
        struct {
            guest_handle name;  /* UTF-16 */  //= uint16_t[] ending in 0
            xen_ulong_t size;
            guest_handle data;  //= uint8_t[u.get_variable.size]
            struct xenpf_efi_guid vendor_guid;
        } get_variable;
        struct {
            guest_handle name;  /* UTF-16 */  //= uint16_t[] ending in 0
            xen_ulong_t size;
            guest_handle data;  //= uint8_t[u.set_variable.size]
            struct xenpf_efi_guid vendor_guid;
        } set_variable;
        struct {
            xen_ulong_t size;
            guest_handle name;  /* UTF-16 */  //= uint8_t[u.get_next_variable_name.size] ending in 0
            struct xenpf_efi_guid vendor_guid;
        } get_next_variable_name;
        struct {
            uint32_t attr;
            uint64_t max_store_size;
            uint64_t remain_store_size;
            uint64_t max_size;
        } query_variable_info;
        struct {
            guest_handle capsule_header_array;  /* of pointers */  //= uint64_t[u.query_capsule_capabilities.capsule_count]
            xen_ulong_t capsule_count;
            uint64_t max_capsule_size;
            uint32_t reset_type;
        } query_capsule_capabilities;
        struct {
            guest_handle capsule_header_array;  /* of pointers */  //= uint64_t[u.update_capsule.capsule_count]
            xen_ulong_t capsule_count;
            uint64_t sg_list;
        } update_capsule;
    } u;
};

union xenpf_efi_info {
    uint32_t version;
    struct {
        uint64_t addr;
        uint32_t nent;
    } cfg;
    struct {
        uint32_t revision;
        uint32_t bufsz;  /* in: bytes of room */
        guest_handle name;  /* UTF-16 */  //= uint8_t[vendor.bufsz]
    } vendor;
    struct {
        uint64_t addr;
        uint64_t size;
        uint64_t attr;
        uint32_t type;
    } mem;
    struct {
        uint16_t segment;
        uint8_t bus;
        uint8_t devfn;
        uint16_t vendor;
        uint16_t devid;
        uint64_t address;
        xen_ulong_t size;
    } pci_rom;
    struct {
        uint64_t address;
        xen_ulong_t size;
    } apple_properties;
};

struct xenpf_firmware_info {
    uint32_t type;  /* Firmware */
    uint32_t index;  /* for EFI: FirmwareEfi */
    union {
        struct {
            uint8_t device;
            uint8_t version;
            uint16_t interface_support;
            uint16_t legacy_max_cylinder;
            uint8_t legacy_max_head;
            uint8_t legacy_sectors_per_track;
            guest_handle edd_params;  /* EDD block; begins with its room, in 2 bytes */  //= uint8_t[74] led by its size
        } disk_info;
        struct {
            uint8_t device;
            uint32_t mbr_signature;
        } disk_mbr_signature;
        struct {
            uint8_t capabilities;
            uint8_t edid_transfer_time;
            guest_handle edid;  //= uint8_t[128]
        } vbeddc_info;
        union xenpf_efi_info efi_info;
        uint8_t kbd_shift_flags;
    } u;
};
