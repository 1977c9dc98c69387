// memory_op: the arguments of its sub-operations.

struct xen_memory_domain {  //@ xen >= 4.16: got a name; the same bytes were a bare domid_t before
    domid_t domid;
};

struct xen_memory_reservation {
    guest_handle extent_start;  //= xen_pfn_t[nr_extents] or null
    xen_ulong_t nr_extents;
    uint32_t extent_order;
    uint32_t mem_flags;
    domid_t domid;
};

struct xen_memory_map {
    uint32_t nr_entries;  /* in: room; out: filled */
    guest_handle buffer;  /* E820: 20 bytes each, address and size of 8 and type of 4 */  //= uint8_t[20 * nr_entries] or null
};

/* A PCI function; physdev_op and sysctl pcitopoinfo use it too. */
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
    uint32_t flags;  /* RdmFlag */
    uint32_t nr_entries;  /* in: room; out: needed, with ENOBUFS if it was too little */
    guest_handle buffer;  //= struct xen_reserved_device_memory[nr_entries]
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
    uint16_t flags;  /* ForkFlag */
    uint32_t pad;
};

struct xen_mem_sharing_op {
    uint8_t op;  /* SharingOp */
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
    uint8_t op;  /* AccessOp */
    uint8_t access;  /* MemAccess or access_default() */
    domid_t domid;
    uint32_t nr;
    uint64_t pfn;  /* of the first; all ones for the default */
    guest_handle pfn_list;  //= uint64_t[nr]
    guest_handle access_list;  //= uint8_t[nr]
};

/* With a null list and nr_frames 0 the size comes out in nr_frames: truly from Xen 4.15 on, before always 32.
   */
struct xen_mem_acquire_resource {
    domid_t domid;
    uint16_t type;  /* Resource */
    uint32_t id;
    uint32_t nr_frames;
    uint32_t pad;  /* must be 0 */
    uint64_t frame;
    guest_handle frame_list;  /* in, where to map; or out, machine frames */  //= xen_pfn_t[nr_frames] or null
};

struct xen_pod_target {
    uint64_t target_pages;  /* in */
    uint64_t tot_pages;  /* out */
    uint64_t pod_cache_pages;
    uint64_t pod_entries;
    domid_t domid;
};

struct xen_vmemrange {
    uint64_t start;
    uint64_t end;
    uint32_t flags;
    uint32_t nid;  /* virtual node */
};

struct xen_vnuma_topology_info {
    domid_t domid;
    uint16_t pad;
    uint32_t nr_vnodes;
    uint32_t nr_vcpus;
    uint32_t nr_vmemranges;
    union {
        guest_handle h;  //= uint32_t[nr_vnodes * nr_vnodes]
        uint64_t pad;
    } vdistance;
    union {
        guest_handle h;  //= uint32_t[nr_vcpus]
        uint64_t pad;
    } vcpu_to_vnode;
    union {
        guest_handle h;  //= struct xen_vmemrange[nr_vmemranges]
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

/* Pairs of batches of machine frames: what is given away, and what comes back for it. */
struct xen_memory_exchange {
    struct xen_memory_reservation in;
    struct xen_memory_reservation out;
    xen_ulong_t nr_exchanged;  /* in: 0; out: frames done */
};

struct xen_machphys_mfn_list {
    uint32_t max_extents;  /* in: room */
    guest_handle extent_start;  //= xen_pfn_t[max_extents]
    uint32_t nr_extents;  /* out: filled */
};

struct xen_machphys_mapping {
    xen_ulong_t v_start;
    xen_ulong_t v_end;
    xen_ulong_t max_mfn;
};

union xen_add_to_physmap_batch_extra {
    domid_t foreign_domid;  /* whose frames, for the space of foreign ones */
    uint16_t res0;
};

struct xen_add_to_physmap_batch {
    domid_t domid;
    uint16_t space;
    uint16_t size;
    union xen_add_to_physmap_batch_extra u;
    guest_handle idxs;  //= xen_ulong_t[size]
    guest_handle gpfns;  //= xen_pfn_t[size]
    guest_handle errs;  /* a negative errno each */  //= int32_t[size]
};

struct xen_mem_paging_op {
    uint8_t op;  /* PagingOp */
    domid_t domain;
    guest_handle buffer;  /* prep: what the page is to hold */  //= uint8_t[4096] or null
    uint64_t gfn;
};
