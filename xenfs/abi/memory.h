// To be described.

struct xen_memory_domain {  //@ xen >= 4.16
    domid_t domid;
};

struct xen_memory_reservation {
    guest_handle extent_start;  /*  */
    xen_ulong_t nr_extents;
    uint32_t extent_order;
    uint32_t mem_flags;
    domid_t domid;
};

struct xen_memory_map {
    uint32_t nr_entries;
    guest_handle buffer;  /*  */
};

struct physdev_pci_device {
    uint16_t seg;
    uint8_t bus;
    uint8_t devfn;
};

struct xen_reserved_device_memory {
    xen_pfn_t start_pfn;
    xen_ulong_t nr_pages;
};

struct xen_reserved_device_memory_map {
    uint32_t flags;
    uint32_t nr_entries;
    guest_handle buffer;  /*  */
    union {
        struct physdev_pci_device pci;
    } dev;
};

struct mem_sharing_op_nominate {
    union {
        uint64_t gfn;
        uint32_t grant_ref;
    } u;
    uint64_t handle;
};

struct mem_sharing_op_share {
    uint64_t source_gfn;
    uint64_t source_handle;
    uint64_t client_gfn;
    uint64_t client_handle;
    domid_t client_domain;
};

struct mem_sharing_op_range {
    uint64_t first_gfn;
    uint64_t last_gfn;
    uint64_t opaque;
    domid_t client_domain;
    uint16_t _pad[3];
};

struct mem_sharing_op_debug {
    union {
        uint64_t gfn;
        uint64_t mfn;
        uint32_t gref;
    } u;
};

struct mem_sharing_op_fork {
    domid_t parent_domain;
    uint16_t flags;
    uint32_t pad;
};

struct xen_mem_sharing_op {
    uint8_t op;
    domid_t domain;
    union {
        struct mem_sharing_op_nominate nominate;
        struct mem_sharing_op_share share;
        struct mem_sharing_op_range range;
        struct mem_sharing_op_debug debug;
        struct mem_sharing_op_fork fork;
    } u;
};

struct xen_mem_access_op {
    uint8_t op;
    uint8_t access;
    domid_t domid;
    uint32_t nr;
    uint64_t pfn;
    guest_handle pfn_list;  /*  */
    guest_handle access_list;  /*  */
};

struct xen_mem_acquire_resource {
    domid_t domid;
    uint16_t type;
    uint32_t id;
    uint32_t nr_frames;
    uint32_t pad;
    uint64_t frame;
    guest_handle frame_list;  /*  */
};

struct xen_pod_target {
    uint64_t target_pages;
    uint64_t tot_pages;
    uint64_t pod_cache_pages;
    uint64_t pod_entries;
    domid_t domid;
};

struct xen_vmemrange {
    uint64_t start;
    uint64_t end;
    uint32_t flags;
    uint32_t nid;
};

struct xen_vnuma_topology_info {
    domid_t domid;
    uint16_t pad;
    uint32_t nr_vnodes;
    uint32_t nr_vcpus;
    uint32_t nr_vmemranges;
    union {
        guest_handle h;  /*  */
        uint64_t pad;
    } vdistance;
    union {
        guest_handle h;  /*  */
        uint64_t pad;
    } vcpu_to_vnode;
    union {
        guest_handle h;  /*  */
        uint64_t pad;
    } vmemrange;
};

struct xen_foreign_memory_map {
    domid_t domid;
    struct xen_memory_map map;
};

struct xen_add_to_physmap {
    domid_t domid;
    uint16_t size;
    uint32_t space;
    xen_ulong_t idx;
    xen_pfn_t gpfn;
};

struct xen_remove_from_physmap {
    domid_t domid;
    xen_pfn_t gpfn;
};
