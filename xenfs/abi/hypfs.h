// hypfs_op: Xen's own little filesystem.

struct xen_hypfs_direntry {
    uint8_t type;  /* HypfsType */
    uint8_t encoding;  /* HypfsEncoding */
    uint16_t pad;
    uint32_t content_len;  /* bytes, as they would be read now */
    uint32_t max_write_len;  /* 0: read-only */
};

/* One entry of a directory's contents; the name ends in NUL. */
struct xen_hypfs_dirlistentry {
    struct xen_hypfs_direntry e;
    uint16_t off_next;  /* to the next entry; 0 in the last */
    char name[];
};
