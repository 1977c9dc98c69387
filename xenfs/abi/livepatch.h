// Live patches: the sysctl operation livepatch_op.

struct xen_livepatch_name {
    guest_handle name;  //= char[size]
    uint16_t size;  /* with the final NUL */
    uint16_t pad[3];
};

struct xen_livepatch_status {
    uint32_t state;  /* LivepatchState */
    int32_t rc;  /* 0, or a negative errno; -EAGAIN while busy */
};

struct xen_sysctl_livepatch_upload {
    struct xen_livepatch_name name;
    uint64_t size;
    guest_handle payload;  /* ELF file */  //= uint8_t[size]
};

struct xen_sysctl_livepatch_get {
    struct xen_livepatch_name name;
    struct xen_livepatch_status status;
};

/* With nr 0 both total sizes come out as what all names and metadata need. Give them as room from Xen 4.21
   on: what does not fit ends the list with ENOBUFS. Before, Xen writes past a buffer that is too small. */
struct xen_sysctl_livepatch_list {
    uint32_t version;  /* out: rises with every change */
    uint32_t idx;  /* in: where to start */
    uint32_t nr;  /* in: room; out: how many there are */
    uint32_t pad;
    uint32_t name_total_size;
    uint32_t metadata_total_size;
    guest_handle status;  //= struct xen_livepatch_status[nr]
    guest_handle name;  /* one after another */  //= char[name_total_size]
    guest_handle len;  /* of each name */  //= uint32_t[nr]
    guest_handle metadata;  /* key=value with a NUL each */  //= char[metadata_total_size]
    guest_handle metadata_len;  //= uint32_t[nr]
};

struct xen_sysctl_livepatch_action {
    struct xen_livepatch_name name;
    uint32_t cmd;  /* LivepatchAction */
    uint32_t timeout;  /* ns, 0: Xen's default */
    uint32_t flags;
    uint32_t pad;
};

struct xen_sysctl_livepatch_op {
    uint32_t cmd;  /* LivepatchOp */
    uint32_t pad;  //@ xen < 4.19: must be 0
    uint32_t flags;  //@ xen >= 4.19: padding got a meaning: LivepatchFlag
    union {
        struct xen_sysctl_livepatch_upload upload;
        struct xen_sysctl_livepatch_list list;
        struct xen_sysctl_livepatch_get get;
        struct xen_sysctl_livepatch_action action;
    } u;
};
