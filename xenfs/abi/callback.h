// What a PV domain tells Xen of itself: where its callbacks are.

struct callback_register {
    uint16_t type;
    uint16_t flags;
    uint64_t address;
};

struct callback_unregister {
    uint16_t type;
    uint16_t _unused;
};

struct xennmi_callback {
    uint64_t handler_address;
    uint64_t pad;
};
