"""Numbers of the domctl hypercall.

Each docstring starts with the pattern of the names in Xen's headers. "4.18+" and the like: only there.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Domctl(IntEnum):
    """XEN_DOMCTL_*: sub-operations."""

    createdomain = 1
    destroydomain = 2
    pausedomain = 3
    unpausedomain = 4
    getdomaininfo = 5
    setvcpuaffinity = 9
    shadow_op = 10
    max_mem = 11
    setvcpucontext = 12
    getvcpucontext = 13
    getvcpuinfo = 14
    max_vcpus = 15
    scheduler_op = 16
    setdomainhandle = 17
    setdebugging = 18
    irq_permission = 19
    iomem_permission = 20
    ioport_permission = 21
    hypercall_init = 22
    settimeoffset = 24
    getvcpuaffinity = 25
    real_mode_area = 26
    resumedomain = 27
    sendtrigger = 28
    subscribe = 29
    gethvmcontext = 33
    sethvmcontext = 34
    set_address_size = 35
    get_address_size = 36
    assign_device = 37
    bind_pt_irq = 38
    memory_mapping = 39
    ioport_mapping = 40
    set_ext_vcpucontext = 42
    get_ext_vcpucontext = 43
    set_opt_feature = 44
    test_assign_device = 45
    set_target = 46
    deassign_device = 47
    unbind_pt_irq = 48
    get_device_group = 50
    debug_op = 54
    gethvmcontext_partial = 55
    vm_event_op = 56
    mem_sharing_op = 57
    disable_migrate = 58  # up to 4.14
    gettscinfo = 59
    settscinfo = 60
    getpageframeinfo3 = 61
    setvcpuextstate = 62
    getvcpuextstate = 63
    set_access_required = 64
    audit_p2m = 65
    set_virq_handler = 66
    set_broken_page_p2m = 67
    setnodeaffinity = 68
    getnodeaffinity = 69
    cacheflush = 71
    get_vcpu_msrs = 72
    set_vcpu_msrs = 73
    setvnumainfo = 74
    psr_cmt_op = 75
    monitor_op = 77
    psr_alloc = 78
    soft_reset = 79
    vuart_op = 81
    get_cpu_policy = 82
    set_cpu_policy = 83
    vmtrace_op = 84  # 4.15+
    get_paging_mempool_size = 85  # 4.17+
    set_paging_mempool_size = 86  # 4.17+
    dt_overlay = 87  # 4.19+
    gsi_permission = 88  # 4.20+
    set_llc_colors = 89  # 4.20+
    get_domain_state = 90  # 4.21+
    gdbsx_guestmemio = 1000
    gdbsx_pausevcpu = 1001
    gdbsx_unpausevcpu = 1002
    gdbsx_domstatus = 1003


class Affinity(IntFlag):
    """XEN_VCPUAFFINITY_*: which affinity is meant."""

    HARD = 0x1
    SOFT = 0x2
    FORCE = 0x4


class DomctlSched(IntEnum):
    """XEN_DOMCTL_SCHEDOP_*: scheduler_op operations on one domain."""

    putinfo = 0
    getinfo = 1
    putvcpuinfo = 2
    getvcpuinfo = 3


class RtdsFlag(IntFlag):
    """XEN_DOMCTL_SCHEDRT_*: flags of a vCPU under the rtds scheduler."""

    extra = 0x1


class ShadowOp(IntEnum):
    """XEN_DOMCTL_SHADOW_OP_*: shadow_op operations."""

    OFF = 0
    ENABLE_TEST = 1
    ENABLE_LOGDIRTY = 2
    CLEAN = 11
    PEEK = 12
    GET_ALLOCATION = 30
    SET_ALLOCATION = 31
    ENABLE = 32


class PsrCmtOp(IntEnum):
    """XEN_DOMCTL_PSR_CMT_OP_*: cache monitoring of one domain."""

    DETACH = 0
    ATTACH = 1
    QUERY_RMID = 2


class PsrDomainOp(IntEnum):
    """XEN_DOMCTL_PSR_*: cache and bandwidth allocation of one domain."""

    SET_L3_CBM = 0
    GET_L3_CBM = 1
    SET_L3_CODE = 2
    SET_L3_DATA = 3
    GET_L3_CODE = 4
    GET_L3_DATA = 5
    SET_L2_CBM = 6
    GET_L2_CBM = 7
    SET_MBA_THRTL = 8
    GET_MBA_THRTL = 9


class DebugOp(IntEnum):
    """XEN_DOMCTL_DEBUG_OP_*: debug_op operations."""

    SINGLE_STEP_OFF = 0
    SINGLE_STEP_ON = 1


class VmtraceOp(IntEnum):
    """XEN_DOMCTL_vmtrace_*: vmtrace_op operations. Xen 4.15 and later."""

    enable = 1  # 4.15+
    disable = 2  # 4.15+
    reset_and_enable = 3  # 4.15+
    output_position = 4  # 4.15+
    get_option = 5  # 4.15+
    set_option = 6  # 4.15+


class VuartOp(IntEnum):
    """XEN_DOMCTL_VUART_OP_*: vuart_op operations."""

    INIT = 0


class PfnType(IntEnum):
    """XEN_DOMCTL_PFINFO_*: types of getpageframeinfo3; LPINTAB adds 0x80000000 to a table type."""

    NOTAB = 0
    L1TAB = 0x10000000
    L2TAB = 0x20000000
    L3TAB = 0x30000000
    L4TAB = 0x40000000
    BROKEN = 0xD0000000
    XALLOC = 0xE0000000
    XTAB = 0xF0000000


class MemSharing(IntEnum):
    """XEN_DOMCTL_MEM_SHARING_*: mem_sharing_op operations."""

    CONTROL = 0


class MonitorOp(IntEnum):
    """XEN_DOMCTL_MONITOR_OP_*: monitor_op operations."""

    ENABLE = 0
    DISABLE = 1
    GET_CAPABILITIES = 2
    EMULATE_EACH_REP = 3
    CONTROL_REGISTERS = 4


class MonitorEvent(IntEnum):
    """XEN_DOMCTL_MONITOR_EVENT_*: events. Enabling INTERRUPT stops Xen, though it is advertised."""

    WRITE_CTRLREG = 0
    MOV_TO_MSR = 1
    SINGLESTEP = 2
    SOFTWARE_BREAKPOINT = 3
    GUEST_REQUEST = 4
    DEBUG_EXCEPTION = 5
    CPUID = 6
    PRIVILEGED_CALL = 7
    INTERRUPT = 8
    DESC_ACCESS = 9
    EMUL_UNIMPLEMENTED = 10
    INGUEST_PAGEFAULT = 11
    VMEXIT = 12  # 4.17+
    IO = 13  # 4.18+


class VmEventRing(IntEnum):
    """XEN_DOMCTL_VM_EVENT_OP_*: vm_event_op modes."""

    PAGING = 1
    MONITOR = 2
    SHARING = 3


class VmEventOp(IntEnum):
    """XEN_VM_EVENT_*: vm_event_op operations."""

    ENABLE = 0
    DISABLE = 1
    RESUME = 2
    GET_VERSION = 3
