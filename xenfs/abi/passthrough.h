// What of the hardware a domain may use (domctl). All of it can be set and none be read back.

struct xen_domctl_irq_permission {
    uint8_t pirq;  //@ domctl < 0x14: one byte, allow_access follows at 1
    uint32_t pirq;  //@ domctl >= 0x14: widened, allow_access moves to 4
    uint8_t allow_access;
    uint8_t pad[3];  //@ domctl >= 0x14: fills up the widened struct
};

struct xen_domctl_gsi_permission {  //@ xen >= 4.20: new operation
    uint32_t gsi;
    uint32_t flags;  /* GsiFlag */
};

struct xen_domctl_iomem_permission {
    uint64_t first_mfn;
    uint64_t nr_mfns;
    uint8_t allow_access;
};

struct xen_domctl_ioport_permission {
    uint32_t first_port;
    uint32_t nr_ports;
    uint8_t allow_access;
};

struct xen_domctl_get_device_group {
    uint32_t machine_sbdf;
    uint32_t max_sdevs;
    uint32_t num_sdevs;
    guest_handle sdev_array;  /* segment, bus, device, function as 16.8.5.3 bits */  //= uint32_t[max_sdevs]
};

struct xen_domctl_assign_device {
    uint32_t dev;  /* DeviceKind */
    uint32_t flags;  /* DeviceFlag */
    union {
        struct {
            uint32_t machine_sbdf;
        } pci;
        struct {
            uint32_t size;
            guest_handle path;  //= char[u.dt.size]
        } dt;
    } u;
};

struct xen_domctl_bind_pt_irq {
    uint32_t machine_irq;
    uint32_t irq_type;
    union {
        struct {
            uint8_t isa_irq;
        } isa;
        struct {
            uint8_t bus;
            uint8_t device;
            uint8_t intx;
        } pci;
        struct {
            uint8_t gvec;
            uint32_t gflags;
            uint64_t gtable;
        } msi;
        struct {
            uint16_t spi;
        } spi;
    } u;
};

struct xen_domctl_memory_mapping {
    uint64_t first_gfn;
    uint64_t first_mfn;
    uint64_t nr_mfns;
    uint32_t add_mapping;  /* 1 add, 0 remove */
    uint32_t padding;
};

struct xen_domctl_ioport_mapping {
    uint32_t first_gport;
    uint32_t first_mport;
    uint32_t nr_ports;
    uint32_t add_mapping;  /* 1 add, 0 remove */
};
