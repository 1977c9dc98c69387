// xsm_op with Flask: labels and permissions. A wrong interface_version is answered with ENOSYS.

struct xen_flask_load {
    guest_handle buffer;  /* binary policy */  //= uint8_t[size]
    uint32_t size;
};

struct xen_flask_setenforce {
    uint32_t enforcing;
};

struct xen_flask_sid_context {
    uint32_t sid;
    uint32_t size;  /* in: room; out: needed */
    guest_handle context;  //= char[size]
};

struct xen_flask_access {
    uint32_t ssid;
    uint32_t tsid;
    uint32_t tclass;
    uint32_t req;
    uint32_t allowed;
    uint32_t audit_allow;
    uint32_t audit_deny;
    uint32_t seqno;
};

struct xen_flask_transition {
    uint32_t ssid;
    uint32_t tsid;
    uint32_t tclass;
    uint32_t newsid;
};

struct xen_flask_boolean {
    uint32_t bool_id;  /* 0xff and a name: look it up */
    uint8_t enforcing;  /* out */
    uint8_t pending;
    uint8_t new_value;
    uint8_t commit;
    uint32_t size;
    guest_handle name;  //= char[size]
};

struct xen_flask_setavc_threshold {
    uint32_t threshold;
};

struct xen_flask_hash_stats {
    uint32_t entries;
    uint32_t buckets_used;
    uint32_t buckets_total;
    uint32_t max_chain_len;
};

struct xen_flask_cache_stats {
    uint32_t cpu;
    uint32_t lookups;
    uint32_t hits;
    uint32_t misses;
    uint32_t allocations;
    uint32_t reclaims;
    uint32_t frees;
};

struct xen_flask_ocontext {
    uint32_t ocon;
    uint32_t sid;
    uint64_t low;
    uint64_t high;
};

struct xen_flask_peersid {
    uint32_t evtchn;
    uint32_t sid;
};

struct xen_flask_relabel {
    uint32_t domid;
    uint32_t sid;
};

struct xen_flask_devicetree_label {
    uint32_t sid;
    uint32_t length;
    guest_handle path;  //= char[length]
};

struct xen_flask_op {
    uint32_t cmd;  /* FlaskOp */
    uint32_t interface_version;  /* Interface.XEN_FLASK_INTERFACE_VERSION */
    union {
        struct xen_flask_load load;
        struct xen_flask_setenforce enforce;
        struct xen_flask_sid_context sid_context;
        struct xen_flask_access access;
        struct xen_flask_transition transition;
        struct xen_flask_boolean boolean;
        struct xen_flask_setavc_threshold setavc_threshold;
        struct xen_flask_hash_stats hash_stats;
        struct xen_flask_cache_stats cache_stats;
        struct xen_flask_ocontext ocontext;
        struct xen_flask_peersid peersid;
        struct xen_flask_relabel relabel;
        struct xen_flask_devicetree_label devicetree_label;
    } u;
};
