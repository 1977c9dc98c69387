// dm_op: what a device model may ask. The struct itself travels as the first of its buffers.

struct xen_dm_op_buf {
    guest_handle h;  //= uint8_t[size]
    xen_ulong_t size;
};

struct xen_dm_op_create_ioreq_server {
    uint8_t handle_bufioreq;
    uint8_t pad[3];
    ioservid_t id;
};

struct xen_dm_op_get_ioreq_server_info {
    ioservid_t id;
    uint16_t flags;  /* 1: frame numbers are not wanted */
    uint32_t bufioreq_port;
    uint64_t ioreq_gfn;
    uint64_t bufioreq_gfn;
};

struct xen_dm_op_ioreq_server_range {
    ioservid_t id;
    uint16_t pad;
    uint32_t type;
    uint64_t start;
    uint64_t end;
};

struct xen_dm_op_set_ioreq_server_state {
    ioservid_t id;
    uint8_t enabled;
    uint8_t pad;
};

struct xen_dm_op_destroy_ioreq_server {
    ioservid_t id;
    uint16_t pad;
};

struct xen_dm_op_track_dirty_vram {
    uint32_t nr;
    uint32_t pad;
    uint64_t first_pfn;
};

struct xen_dm_op_set_pci_intx_level {
    uint16_t domain;
    uint8_t bus;
    uint8_t device;
    uint8_t intx;
    uint8_t level;
};

struct xen_dm_op_set_isa_irq_level {
    uint8_t isa_irq;
    uint8_t level;
};

struct xen_dm_op_set_irq_level {  //@ xen >= 4.15: new operation
    uint32_t irq;
    uint8_t level;
    uint8_t pad[3];
};

struct xen_dm_op_set_pci_link_route {
    uint8_t link;
    uint8_t isa_irq;
};

struct xen_dm_op_modified_memory_extent {
    uint32_t nr;
    uint32_t pad;
    uint64_t first_pfn;
};

struct xen_dm_op_modified_memory {
    uint32_t nr_extents;
    uint32_t opaque;  /* must be 0 at first */
};

struct xen_dm_op_set_mem_type {
    uint32_t nr;
    uint16_t mem_type;
    uint16_t pad;
    uint64_t first_pfn;
};

struct xen_dm_op_inject_event {
    uint32_t vcpuid;
    uint8_t vector;
    uint8_t type;  /* DmEvent */
    uint8_t insn_len;
    uint8_t pad0;
    uint32_t error_code;  /* all ones: none */
    uint32_t pad1;
    uint64_t cr2;
};

struct xen_dm_op_inject_msi {
    uint32_t data;
    uint32_t pad;
    uint64_t addr;
};

struct xen_dm_op_map_mem_type_to_ioreq_server {
    ioservid_t id;
    uint16_t type;
    uint32_t flags;
    uint64_t opaque;
};

struct xen_dm_op_remote_shutdown {
    uint32_t reason;  /* ShutdownReason */
};

struct xen_dm_op_relocate_memory {
    uint32_t size;
    uint32_t pad;
    uint64_t src_gfn;
    uint64_t dst_gfn;
};

struct xen_dm_op_pin_memory_cacheattr {
    uint64_t start;
    uint64_t end;
    uint32_t type;
    uint32_t pad;
};

struct xen_dm_op_nr_vcpus {  //@ xen >= 4.15: new operation
    uint32_t vcpus;
};

struct xen_dm_op {
    uint32_t op;  /* DmOp */
    uint32_t pad;
    union {
        struct xen_dm_op_create_ioreq_server create_ioreq_server;
        struct xen_dm_op_get_ioreq_server_info get_ioreq_server_info;
        struct xen_dm_op_ioreq_server_range map_io_range_to_ioreq_server;
        struct xen_dm_op_ioreq_server_range unmap_io_range_from_ioreq_server;
        struct xen_dm_op_set_ioreq_server_state set_ioreq_server_state;
        struct xen_dm_op_destroy_ioreq_server destroy_ioreq_server;
        struct xen_dm_op_track_dirty_vram track_dirty_vram;
        struct xen_dm_op_set_pci_intx_level set_pci_intx_level;
        struct xen_dm_op_set_isa_irq_level set_isa_irq_level;
        struct xen_dm_op_set_irq_level set_irq_level;  //@ xen >= 4.15: new operation
        struct xen_dm_op_set_pci_link_route set_pci_link_route;
        struct xen_dm_op_modified_memory modified_memory;
        struct xen_dm_op_set_mem_type set_mem_type;
        struct xen_dm_op_inject_event inject_event;
        struct xen_dm_op_inject_msi inject_msi;
        struct xen_dm_op_map_mem_type_to_ioreq_server map_mem_type_to_ioreq_server;
        struct xen_dm_op_remote_shutdown remote_shutdown;
        struct xen_dm_op_relocate_memory relocate_memory;
        struct xen_dm_op_pin_memory_cacheattr pin_memory_cacheattr;
        struct xen_dm_op_nr_vcpus nr_vcpus;  //@ xen >= 4.15: new operation
    } u;
};
