// To be described.

struct xen_livepatch_name {
    guest_handle name;  /*  */
    uint16_t size;
    uint16_t pad[3];
};

struct xen_livepatch_status {
    uint32_t state;
    int32_t rc;
};

struct xen_sysctl_livepatch_upload {
    struct xen_livepatch_name name;
    uint64_t size;
    guest_handle payload;  /*  */
};

struct xen_sysctl_livepatch_get {
    struct xen_livepatch_name name;
    struct xen_livepatch_status status;
};

struct xen_sysctl_livepatch_list {
    uint32_t version;
    uint32_t idx;
    uint32_t nr;
    uint32_t pad;
    uint32_t name_total_size;
    uint32_t metadata_total_size;
    guest_handle status;  /*  */
    guest_handle name;  /*  */
    guest_handle len;  /*  */
    guest_handle metadata;  /*  */
    guest_handle metadata_len;  /*  */
};

struct xen_sysctl_livepatch_action {
    struct xen_livepatch_name name;
    uint32_t cmd;
    uint32_t timeout;
    uint32_t flags;
    uint32_t pad;
};

struct xen_sysctl_livepatch_op {
    uint32_t cmd;
    uint32_t pad;  //@ xen < 4.19
    uint32_t flags;  //@ xen >= 4.19
    union {
        struct xen_sysctl_livepatch_upload upload;
        struct xen_sysctl_livepatch_list list;
        struct xen_sysctl_livepatch_get get;
        struct xen_sysctl_livepatch_action action;
    } u;
};
