// To be described.

struct xen_hypfs_direntry {
    uint8_t type;
    uint8_t encoding;
    uint16_t pad;
    uint32_t content_len;
    uint32_t max_write_len;
};

struct xen_hypfs_dirlistentry {
    struct xen_hypfs_direntry e;
    uint16_t off_next;
    char name[];
};
