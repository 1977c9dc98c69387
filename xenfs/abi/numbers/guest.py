"""Numbers of the hypercalls that act on one guest: hvm_op, dm_op, events, grants, scheduling, vCPUs.

Each docstring starts with the pattern of the names in Xen's headers. "4.18+" and the like: only there.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class HvmOp(IntEnum):
    """HVMOP_*: sub-operations of hvm_op. pagetable_dying and set_evtchn_upcall_vector are x86 only."""

    set_param = 0
    get_param = 1
    pagetable_dying = 9
    get_time = 10
    xentrace = 11
    get_mem_type = 15
    set_evtchn_upcall_vector = 23  # x86
    guest_request_vm_event = 24
    altp2m = 25


class Altp2mOp(IntEnum):
    """HVMOP_altp2m_*: sub-operations of hvm_op altp2m."""

    get_domain_state = 1
    set_domain_state = 2
    vcpu_enable_notify = 3
    create_p2m = 4
    destroy_p2m = 5
    switch_p2m = 6
    set_mem_access = 7
    change_gfn = 8
    set_mem_access_multi = 9
    set_suppress_ve = 10
    get_suppress_ve = 11
    get_mem_access = 12
    vcpu_disable_notify = 13
    get_p2m_idx = 14
    set_suppress_ve_multi = 15
    set_visibility = 16


class HvmMemType(IntEnum):
    """HVMMEM_*: types of guest memory."""

    ram_rw = 0
    ram_ro = 1
    mmio_dm = 2
    unused = 3
    ioreq_server = 4


class HvmParam(IntEnum):
    """HVM_PARAM_*: parameters of an HVM guest. No NESTEDHVM from 4.15, no setting ALTP2M from 4.19."""

    CALLBACK_IRQ = 0
    STORE_PFN = 1
    STORE_EVTCHN = 2
    PAE_ENABLED = 4
    IOREQ_PFN = 5
    BUFIOREQ_PFN = 6
    VIRIDIAN = 9  # x86
    TIMER_MODE = 10
    HPET_ENABLED = 11
    IDENT_PT = 12
    DM_DOMAIN = 13
    ACPI_S_STATE = 14
    VM86_TSS = 15
    VPT_ALIGN = 16
    CONSOLE_PFN = 17
    CONSOLE_EVTCHN = 18
    ACPI_IOPORTS_LOCATION = 19
    MEMORY_EVENT_CR0 = 20
    MEMORY_EVENT_CR3 = 21
    MEMORY_EVENT_CR4 = 22
    MEMORY_EVENT_INT3 = 23
    NESTEDHVM = 24
    MEMORY_EVENT_SINGLE_STEP = 25
    BUFIOREQ_EVTCHN = 26
    PAGING_RING_PFN = 27
    MONITOR_RING_PFN = 28
    SHARING_RING_PFN = 29
    MEMORY_EVENT_MSR = 30
    TRIPLE_FAULT_REASON = 31
    IOREQ_SERVER_PFN = 32
    NR_IOREQ_SERVER_PAGES = 33
    VM_GENERATION_ID_ADDR = 34
    ALTP2M = 35
    X87_FIP_WIDTH = 36
    VM86_TSS_SIZED = 37
    MCA_CAP = 38


class Viridian(IntFlag):
    """HVMPV_*: bits of the VIRIDIAN parameter. x86 only."""

    base_freq = 0x1
    no_freq = 0x2
    time_ref_count = 0x4
    reference_tsc = 0x8
    hcall_remote_tlb_flush = 0x10
    apic_assist = 0x20
    crash_ctl = 0x40
    synic = 0x80
    stimer = 0x100
    hcall_ipi = 0x200
    ex_processor_masks = 0x400  # 4.15+
    no_vp_limit = 0x800  # 4.15+
    cpu_hotplug = 0x1000  # 4.15+


class DmOp(IntEnum):
    """XEN_DMOP_*: sub-operations of dm_op."""

    create_ioreq_server = 1
    get_ioreq_server_info = 2
    map_io_range_to_ioreq_server = 3
    unmap_io_range_from_ioreq_server = 4
    set_ioreq_server_state = 5
    destroy_ioreq_server = 6
    track_dirty_vram = 7
    set_pci_intx_level = 8
    set_isa_irq_level = 9
    set_pci_link_route = 10
    modified_memory = 11
    set_mem_type = 12
    inject_event = 13
    inject_msi = 14
    map_mem_type_to_ioreq_server = 15
    remote_shutdown = 16
    relocate_memory = 17
    pin_memory_cacheattr = 18
    set_irq_level = 19  # 4.15+
    nr_vcpus = 20  # 4.15+


class DmEvent(IntEnum):
    """XEN_DMOP_EVENT_*: kinds of event for dm_op inject_event."""

    ext_int = 0
    nmi = 2
    hw_exc = 3
    sw_int = 4
    pri_sw_exc = 5
    sw_exc = 6


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
