"""Numbers of the hvm_op and dm_op hypercalls.

Each docstring starts with the pattern of the names in Xen's headers. "4.18+" and the like: only there.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class HvmOp(IntEnum):
    """HVMOP_*: sub-operations of hvm_op. pagetable_dying and set_evtchn_upcall_vector are x86 only."""

    set_param = 0
    get_param = 1
    flush_tlbs = 5  # x86
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


class TimerMode(IntEnum):
    """HVMPTM_*: values of the TIMER_MODE parameter."""

    delay_for_missed_ticks = 0
    no_delay_for_missed_ticks = 1
    no_missed_ticks_pending = 2
    one_missed_tick_pending = 3


class MemmapType(IntEnum):
    """XEN_HVM_MEMMAP_TYPE_*: types of a memory map, E820 numbers too. x86 only."""

    RAM = 1
    RESERVED = 2
    ACPI = 3
    NVS = 4
    UNUSABLE = 5
    DISABLED = 6
    PMEM = 7


class CtrlReg(IntEnum):
    """VM_EVENT_X86_*: register numbers of the monitor event WRITE_CTRLREG."""

    CR0 = 0
    CR3 = 1
    CR4 = 2
    XCR0 = 3


class HvmRecord(IntEnum):
    """Type codes of the records of a saved HVM guest. x86 only. CPU_XSAVE and CPU_MSR vary in length."""

    END = 0
    HEADER = 1
    CPU = 2
    PIC = 3
    IOAPIC = 4
    LAPIC = 5
    LAPIC_REGS = 6
    PCI_IRQ = 7
    ISA_IRQ = 8
    PCI_LINK = 9
    PIT = 10
    RTC = 11
    HPET = 12
    PMTIMER = 13
    MTRR = 14
    VIRIDIAN_DOMAIN = 15
    CPU_XSAVE = 16
    VIRIDIAN_VCPU = 17
    VMCE_VCPU = 18
    TSC_ADJUST = 19
    CPU_MSR = 20
