// argo_op: messages between domains, in builds of Xen that have them.

struct xen_argo_addr {
    uint32_t aport;
    domid_t domain_id;
    uint16_t pad;
};

struct xen_argo_send_addr {
    struct xen_argo_addr src;
    struct xen_argo_addr dst;
};

struct xen_argo_iov {
    guest_handle iov_hnd;  //= uint8_t[iov_len]
    uint32_t iov_len;
    uint32_t pad;
};

struct xen_argo_register_ring {
    uint32_t aport;
    domid_t partner_id;
    uint16_t pad;
    uint32_t len;  /* bytes of the ring */
};

struct xen_argo_unregister_ring {
    uint32_t aport;
    domid_t partner_id;
    uint16_t pad;
};

struct xen_argo_ring_data_ent {
    struct xen_argo_addr ring;
    uint16_t flags;  /* out */
    uint16_t pad;
    uint32_t space_required;
    uint32_t max_message_size;  /* out */
};

struct xen_argo_ring_data {
    uint32_t nent;
    uint32_t pad;
    struct xen_argo_ring_data_ent data[];  //= struct xen_argo_ring_data_ent[nent]
};
