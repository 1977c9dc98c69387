"""Numbers of the hypercalls that every guest makes: events, grants, scheduling, vCPUs, console; and of Flask.

Each docstring starts with the pattern of the names in Xen's headers. "4.18+" and the like: only there.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class GrantStatus(IntEnum):
    """GNTST_*: outcomes of grant table operations."""

    no_space = -13  # 4.16+
    eagain = -12
    address_too_big = -11
    bad_copy_arg = -10
    bad_page = -9
    permission_denied = -8
    no_device_space = -7
    bad_dev_addr = -6
    bad_virt_addr = -5
    bad_handle = -4
    bad_gntref = -3
    bad_domain = -2
    general_error = -1
    okay = 0


class EventOp(IntEnum):
    """EVTCHNOP_*: sub-operations of event_channel_op."""

    bind_interdomain = 0
    bind_virq = 1
    bind_pirq = 2
    close = 3
    send = 4
    status = 5
    alloc_unbound = 6
    bind_ipi = 7
    bind_vcpu = 8
    unmask = 9
    reset = 10
    init_control = 11
    expand_array = 12
    set_priority = 13


class EventStatus(IntEnum):
    """EVTCHNSTAT_*: states of an event channel."""

    closed = 0
    unbound = 1
    interdomain = 2
    pirq = 3
    virq = 4
    ipi = 5


class GrantOp(IntEnum):
    """GNTTABOP_*: sub-operations of grant_table_op."""

    map_grant_ref = 0
    unmap_grant_ref = 1
    setup_table = 2
    dump_table = 3
    transfer = 4
    copy = 5
    query_size = 6
    unmap_and_replace = 7
    set_version = 8
    get_status_frames = 9
    get_version = 10
    swap_grant_ref = 11
    cache_flush = 12


class GrantFlag(IntFlag):
    """GTF_*: flags of a grant table entry, above its two type bits."""

    readonly = 0x4
    reading = 0x8
    writing = 0x10
    PWT = 0x20
    PCD = 0x40
    PAT = 0x80
    sub_page = 0x100


class SchedOp(IntEnum):
    """SCHEDOP_*: sub-operations of sched_op."""

    yield_ = 0
    block = 1
    shutdown = 2
    poll = 3
    remote_shutdown = 4
    shutdown_code = 5
    watchdog = 6
    pin_override = 7


class VcpuOp(IntEnum):
    """VCPUOP_*: sub-operations of vcpu_op."""

    initialise = 0
    up = 1
    down = 2
    is_up = 3
    get_runstate_info = 4
    register_runstate_memory_area = 5
    set_periodic_timer = 6
    stop_periodic_timer = 7
    set_singleshot_timer = 8
    stop_singleshot_timer = 9
    register_vcpu_info = 10
    send_nmi = 11
    get_physid = 12
    register_vcpu_time_memory_area = 13
    register_runstate_phys_area = 14  # 4.18+
    register_vcpu_time_phys_area = 15  # 4.18+


class RunState(IntEnum):
    """RUNSTATE_*: what a vCPU is doing."""

    running = 0
    runnable = 1
    blocked = 2
    offline = 3


class ConsoleOp(IntEnum):
    """CONSOLEIO_*: sub-operations of console_io."""

    write = 0
    read = 1


class FlaskOp(IntEnum):
    """FLASK_*: sub-operations of xsm_op with Flask. DISABLE is refused from Xen 4.16 on."""

    LOAD = 1
    GETENFORCE = 2
    SETENFORCE = 3
    CONTEXT_TO_SID = 4
    SID_TO_CONTEXT = 5
    ACCESS = 6
    CREATE = 7
    RELABEL = 8
    POLICYVERS = 10
    GETBOOL = 11
    SETBOOL = 12
    COMMITBOOLS = 13
    MLS = 14
    DISABLE = 15
    GETAVC_THRESHOLD = 16
    SETAVC_THRESHOLD = 17
    AVC_HASHSTATS = 18
    AVC_CACHESTATS = 19
    MEMBER = 20
    ADD_OCONTEXT = 21
    DEL_OCONTEXT = 22
    GET_PEER_SID = 23
    RELABEL_DOMAIN = 24
    DEVICETREE_LABEL = 25


class CallbackOp(IntEnum):
    """CALLBACKOP_*: sub-operations of callback_op."""

    register = 0
    unregister = 1


class NmiOp(IntEnum):
    """XENNMI_*: sub-operations of nmi_op."""

    register_callback = 0
    unregister_callback = 1


class VmAssist(IntEnum):
    """VMASST_CMD_*: sub-operations of vm_assist."""

    enable = 0
    disable = 1


class MmuUpdate(IntEnum):
    """MMU_*: what mmu_update does with an entry, by the two lowest bits of its address."""

    NORMAL_PT_UPDATE = 0
    MACHPHYS_UPDATE = 1
    PT_UPDATE_PRESERVE_AD = 2
    PT_UPDATE_NO_TRANSLATE = 3


class MmuextOp(IntEnum):
    """MMUEXT_*: sub-operations of mmuext_op."""

    PIN_L1_TABLE = 0
    PIN_L2_TABLE = 1
    PIN_L3_TABLE = 2
    PIN_L4_TABLE = 3
    UNPIN_TABLE = 4
    NEW_BASEPTR = 5
    TLB_FLUSH_LOCAL = 6
    INVLPG_LOCAL = 7
    TLB_FLUSH_MULTI = 8
    INVLPG_MULTI = 9
    TLB_FLUSH_ALL = 10
    INVLPG_ALL = 11
    FLUSH_CACHE = 12
    SET_LDT = 13
    NEW_USER_BASEPTR = 15
    CLEAR_PAGE = 16
    COPY_PAGE = 17
    FLUSH_CACHE_GLOBAL = 18
    MARK_SUPER = 19
    UNMARK_SUPER = 20


class ArgoOp(IntEnum):
    """XEN_ARGO_OP_*: sub-operations of argo_op."""

    register_ring = 1
    unregister_ring = 2
    sendv = 3
    notify = 4


class XenoprofOp(IntEnum):
    """XENOPROF_*: sub-operations of xenoprof_op, which is gone in Xen 4.22."""

    init = 0
    reset_active_list = 1
    reset_passive_list = 2
    set_active = 3
    set_passive = 4
    reserve_counters = 5
    counter = 6
    setup_events = 7
    enable_virq = 8
    start = 9
    stop = 10
    disable_virq = 11
    release_counters = 12
    shutdown = 13
    get_buffer = 14
    set_backtrace = 15
    get_ibs_caps = 16
    ibs_counter = 17
