// What every header builds on. All types are those of 64-bit x86 and Arm.

typedef uint16_t domid_t;
typedef uint32_t evtchn_port_t;
typedef uint32_t grant_ref_t;
typedef uint16_t ioservid_t;
typedef uint64_t xen_pfn_t;
typedef uint64_t xen_ulong_t;
typedef uint8_t xen_domain_handle_t[16];

/* The address of memory that Xen reads or writes. An opaque pointer and no integer, so that cffi refuses a
   number and only an attached pool buffer gets here. What it points to stands beside each member. */
typedef struct xen_guest_memory *guest_handle;

struct xenctl_bitmap {
    guest_handle bitmap;  /* bit 0 of byte 0 first */  //= bit[nr_bits]
    uint32_t nr_bits;
};

/* One call of a batch; Xen 4.21 and later look at five of the six arguments. */
struct multicall_entry {
    xen_ulong_t op;
    xen_ulong_t result;  /* a signed result: negative is an errno */
    xen_ulong_t args[6];
};
