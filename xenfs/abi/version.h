// What xen_version fills in. The plain texts (extraversion, capabilities, changeset, commandline) are char
// arrays of Limit.XEN_EXTRAVERSION_LEN, XEN_CAPABILITIES_INFO_LEN, XEN_CHANGESET_INFO_LEN and
// MAX_GUEST_CMDLINE bytes.

/* NUL-terminated texts, cut to fit. */
struct xen_compile_info {
    char compiler[64];
    char compile_by[16];
    char compile_domain[32];
    char compile_date[32];
};

struct xen_feature_info {
    uint32_t submap_idx;  /* in: which 32 features; only 0 exists */
    uint32_t submap;  /* out: one bit a feature */
};

struct xen_platform_parameters {
    xen_ulong_t virt_start;
};

struct xen_build_id {
    uint32_t len;  /* in: room after it; the call returns the length */
    uint8_t buf[];  //= uint8_t[len]
};

/* A text of any length, without a terminator. A null argument asks for the length alone. */
struct xen_varbuf {  //@ xen >= 4.20: with the long texts, XENVER 11 to 14
    uint32_t len;  /* in: room after it */
    uint8_t buf[];  //= uint8_t[len]
};
