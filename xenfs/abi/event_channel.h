// event_channel_op: the arguments of its sub-operations.

struct evtchn_status {
    domid_t dom;
    uint32_t port;
    uint32_t status;  /* EventStatus */
    uint32_t vcpu;
    union {
        struct {
            domid_t dom;
        } unbound;
        struct {
            domid_t dom;
            uint32_t port;
        } interdomain;
        uint32_t pirq;
        uint32_t virq;
    } u;
};

struct evtchn_reset {
    domid_t dom;
};

struct evtchn_alloc_unbound {
    domid_t dom;
    domid_t remote_dom;
    uint32_t port;
};

struct evtchn_bind_interdomain {
    domid_t remote_dom;
    uint32_t remote_port;
    uint32_t local_port;
};

struct evtchn_bind_virq {
    uint32_t virq;
    uint32_t vcpu;
    uint32_t port;
};

struct evtchn_bind_pirq {
    uint32_t pirq;
    uint32_t flags;
    uint32_t port;
};

struct evtchn_bind_ipi {
    uint32_t vcpu;
    uint32_t port;
};

struct evtchn_bind_vcpu {
    uint32_t port;
    uint32_t vcpu;
};

struct evtchn_close {
    uint32_t port;
};

struct evtchn_send {
    uint32_t port;
};

struct evtchn_unmask {
    uint32_t port;
};

struct evtchn_set_priority {
    uint32_t port;
    uint32_t priority;
};

struct evtchn_init_control {
    uint64_t control_gfn;
    uint32_t offset;
    uint32_t vcpu;
    uint8_t link_bits;  /* out */
    uint8_t _pad[7];
};

struct evtchn_expand_array {
    uint64_t array_gfn;
};
