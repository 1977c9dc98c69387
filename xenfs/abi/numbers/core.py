"""Hypercall numbers, what xen_version answers, and numbers that more than one hypercall uses.

Each docstring starts with the pattern of the names in Xen's headers. "4.18+" and the like: only there.
"""

from __future__ import annotations

from enum import IntEnum


class Hypercall(IntEnum):
    """__HYPERVISOR_*: hypercall numbers. mca is x86 only."""

    set_trap_table = 0
    mmu_update = 1
    set_gdt = 2
    stack_switch = 3
    set_callbacks = 4
    fpu_taskswitch = 5
    sched_op_compat = 6
    platform_op = 7
    set_debugreg = 8
    get_debugreg = 9
    update_descriptor = 10
    memory_op = 12
    multicall = 13
    update_va_mapping = 14
    set_timer_op = 15
    event_channel_op_compat = 16
    xen_version = 17
    console_io = 18
    physdev_op_compat = 19
    grant_table_op = 20
    vm_assist = 21
    update_va_mapping_otherdomain = 22
    iret = 23
    vcpu_op = 24
    set_segment_base = 25
    mmuext_op = 26
    xsm_op = 27
    nmi_op = 28
    sched_op = 29
    callback_op = 30
    xenoprof_op = 31
    event_channel_op = 32
    physdev_op = 33
    hvm_op = 34
    sysctl = 35
    domctl = 36
    kexec_op = 37
    argo_op = 39
    xenpmu_op = 40
    dm_op = 41
    hypfs_op = 42
    mca = 48  # x86


class Xenver(IntEnum):
    """XENVER_*: sub-operations of xen_version. The four long texts exist from Xen 4.20 on."""

    version = 0
    extraversion = 1
    compile_info = 2
    capabilities = 3
    changeset = 4
    platform_parameters = 5
    get_features = 6
    pagesize = 7
    guest_handle = 8
    commandline = 9
    build_id = 10
    extraversion2 = 11  # 4.20+
    capabilities2 = 12  # 4.20+
    changeset2 = 13  # 4.20+
    commandline2 = 14  # 4.20+


class Feature(IntEnum):
    """XENFEAT_*: bits of XENVER_get_features, as bit numbers."""

    writable_page_tables = 0
    writable_descriptor_tables = 1
    auto_translated_physmap = 2
    supervisor_mode_kernel = 3
    pae_pgdir_above_4gb = 4
    mmu_pt_update_preserve_ad = 5
    highmem_assist = 6
    gnttab_map_avail_bits = 7
    hvm_callback_vector = 8
    hvm_safe_pvclock = 9
    hvm_pirqs = 10
    dom0 = 11
    memory_op_vnode_supported = 13
    ARM_SMCCC_supported = 14
    linux_rsdp_unrestricted = 15
    not_direct_mapped = 16  # 4.16+
    direct_mapped = 17  # 4.16+
    runstate_phys_area = 18  # 4.18+
    vcpu_time_phys_area = 19  # 4.18+
    dm_msix_all_writes = 20  # 4.19+


class Domid(IntEnum):
    """DOMID_*: domain ids with a meaning of their own. ANY has its name since Xen 4.22 and works in all."""

    SELF = 0x7FF0
    FIRST_RESERVED = 0x7FF0  # no domain that can be listed has this id or a higher one
    IO = 0x7FF1
    XEN = 0x7FF2
    COW = 0x7FF3
    INVALID = 0x7FF4
    ANY = 0x7FF5  # 4.22+
    IDLE = 0x7FFF


class ShutdownReason(IntEnum):
    """SHUTDOWN_*: why a domain has shut down."""

    poweroff = 0
    reboot = 1
    suspend = 2
    crash = 3
    watchdog = 4
    soft_reset = 5


class SchedId(IntEnum):
    """XEN_SCHEDULER_*: schedulers."""

    CREDIT = 5
    CREDIT2 = 6
    ARINC653 = 7
    RTDS = 8
    NULL = 9


class Interface(IntEnum):
    """*: interface numbers that never moved; domctl and sysctl have theirs in releases.py."""

    HVMOP_ALTP2M_INTERFACE_VERSION = 1
    XEN_FLASK_INTERFACE_VERSION = 1
    XEN_HYPFS_VERSION = 1
    XEN_MCA_INTERFACE_VERSION = 0x1ECC003  # x86
    XENPF_INTERFACE_VERSION = 0x3000001


class Invalid(IntEnum):
    """XEN_INVALID_*: what stands in a 32-bit member for "there is none"."""

    DEV = 0xFFFFFFFE
    CORE_ID = 0xFFFFFFFF
    MAX_VCPU_ID = 0xFFFFFFFF
    MEM_SZ = 0xFFFFFFFF
    NODE_DIST = 0xFFFFFFFF
    NODE_ID = 0xFFFFFFFF
    SOCKET_ID = 0xFFFFFFFF


class Limit(IntEnum):
    """*: lengths, bounds and the values that mean "any" and "unlimited". The MC ones are x86 only."""

    XEN_SYSCTL_CSCHED_TSLICE_MIN = 1
    MC_MSRINJ_MAXMSRS = 8  # x86
    CPUFREQ_NAME_LEN = 16
    XEN_EXTRAVERSION_LEN = 16
    HVM_NR_PARAMS = 39
    ARINC653_MAX_DOMAINS_PER_SCHEDULE = 64
    XEN_CHANGESET_INFO_LEN = 64
    XEN_SYSCTL_SCHED_RATELIMIT_MIN = 100
    XEN_LIVEPATCH_NAME_SIZE = 128
    MCINFO_MAXSIZE = 768  # x86
    XEN_SYSCTL_CSCHED_TSLICE_MAX = 1000
    MAX_GUEST_CMDLINE = 1024  # x86
    XEN_CAPABILITIES_INFO_LEN = 1024
    XEN_HYPFS_MAX_PATHLEN = 1024
    XENSTORE_PAYLOAD_MAX = 4096
    XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US = 0x186A0
    XEN_SYSCTL_SCHED_RATELIMIT_MAX = 0x7A120
    XEN_SYSCTL_CPUPOOL_PAR_ANY = 0xFFFFFFFF
    XEN_SYSCTL_CX_UNLIMITED = 0xFFFFFFFF


class Virq(IntEnum):
    """VIRQ_*: virtual interrupts. MCA is x86 only."""

    TIMER = 0
    DEBUG = 1
    CONSOLE = 2
    DOM_EXC = 3
    TBUF = 4
    DEBUGGER = 6
    CON_RING = 8
    PCPU_STATE = 9
    MEM_EVENT = 10
    ARGO = 11
    ENOMEM = 12
    XENPMU = 13
    MCA = 16  # x86
