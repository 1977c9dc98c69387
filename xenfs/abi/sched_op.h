// sched_op: the arguments of its sub-operations.

struct sched_remote_shutdown {
    domid_t domain_id;
    uint32_t reason;  /* ShutdownReason */
};

struct sched_shutdown {
    uint32_t reason;  /* ShutdownReason */
};

struct sched_poll {
    guest_handle ports;  //= uint32_t[nr_ports]
    uint32_t nr_ports;
    uint64_t timeout;  /* system time, ns */
};

struct sched_watchdog {
    uint32_t id;
    uint32_t timeout;  /* seconds */
};

struct sched_pin_override {
    int32_t pcpu;
};
