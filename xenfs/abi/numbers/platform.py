"""Numbers of the platform_op hypercall and of its close relatives mca, kexec, xenpmu and physdev.

Each docstring starts with the pattern of the names in Xen's headers. "4.18+" and the like: only there.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Platform(IntEnum):
    """XENPF_*: sub-operations of platform_op."""

    settime32 = 17
    add_memtype = 31
    del_memtype = 32
    read_memtype = 33
    microcode_update = 35
    platform_quirk = 39
    get_cpu_version = 48
    efi_runtime_call = 49
    firmware_info = 50
    enter_acpi_sleep = 51
    change_freq = 52
    getidletime = 53
    set_processor_pminfo = 54
    get_cpuinfo = 55
    cpu_online = 56
    cpu_offline = 57
    cpu_hotadd = 58
    mem_hotadd = 59
    core_parking = 60
    resource_op = 61
    settime = 62
    settime64 = 62
    get_symbol = 63
    get_dom0_console = 64  # 4.18+
    get_ucode_revision = 65  # 4.18+
    microcode_update2 = 66  # 4.20+


class PcpuFlag(IntFlag):
    """XEN_PCPU_FLAGS_*: flags of get_cpuinfo."""

    ONLINE = 0x1
    INVALID = 0x2


class CoreParking(IntEnum):
    """XEN_CORE_PARKING_*: core_parking operations."""

    SET = 1
    GET = 2


class ResourceOp(IntEnum):
    """XEN_RESOURCE_OP_*: resource_op entries."""

    MSR_READ = 0
    MSR_WRITE = 1


class Firmware(IntEnum):
    """XEN_FW_*: firmware_info types."""

    DISK_INFO = 1
    DISK_MBR_SIGNATURE = 2
    VBEDDC_INFO = 3
    EFI_INFO = 4
    KBD_SHIFT_FLAGS = 5


class FirmwareEfi(IntEnum):
    """XEN_FW_EFI_*: index of firmware_info about EFI."""

    VERSION = 0
    CONFIG_TABLE = 1
    VENDOR = 2
    MEM_INFO = 3
    RT_VERSION = 4
    PCI_ROM = 5
    APPLE_PROPERTIES = 6


class EfiCall(IntEnum):
    """XEN_EFI_*: EFI run-time services."""

    get_time = 1
    set_time = 2
    get_wakeup_time = 3
    set_wakeup_time = 4
    get_next_high_monotonic_count = 5
    get_variable = 6
    set_variable = 7
    get_next_variable_name = 8
    query_variable_info = 9
    query_capsule_capabilities = 10
    update_capsule = 11


class MicrocodeFlag(IntFlag):
    """XENPF_UCODE_*: flags of microcode_update2. Xen 4.20 and later."""

    FORCE = 0x1  # 4.20+


class McaOp(IntEnum):
    """XEN_MC_*: sub-operations of mca. x86 only."""

    fetch = 1
    notifydomain = 2
    physcpuinfo = 3
    msrinject = 4
    mceinject = 5
    inject_v2 = 6


class McaFetch(IntFlag):
    """XEN_MC_*: flags of an mca fetch, as given."""

    NONURGENT = 0x1
    URGENT = 0x2
    ACK = 0x4


class McaOutcome(IntFlag):
    """XEN_MC_*: flags of an mca fetch, as answered."""

    FETCHFAILED = 0x1
    NODATA = 0x2
    NOMATCH = 0x4


class McaRecord(IntEnum):
    """MC_TYPE_*: types of machine check records."""

    GLOBAL = 0
    BANK = 1
    EXTENDED = 2
    RECOVERY = 3


class McaInjectFlag(IntFlag):
    """MC_MSRINJ_F_*: how an mca msrinject is meant."""

    INTERPOSE = 0x1
    GPADDR = 0x2


class McaInject(IntEnum):
    """XEN_MC_INJECT_TYPE_*: what mca injects."""

    MCE = 0
    CMCI = 1
    LMCE = 2


class KexecOp(IntEnum):
    """KEXEC_CMD_*: sub-operations of kexec_op."""

    kexec = 0
    kexec_load_v1 = 1
    kexec_unload_v1 = 2
    kexec_get_range = 3
    kexec_load = 4
    kexec_unload = 5
    kexec_status = 6


class KexecType(IntEnum):
    """KEXEC_TYPE_*: which image."""

    DEFAULT = 0
    CRASH = 1


class KexecRange(IntEnum):
    """KEXEC_RANGE_MA_*: which range. Some are x86 only and answer EINVAL elsewhere."""

    CRASH = 0
    XEN = 1
    CPU = 2
    XENHEAP = 3
    BOOT_PARAM = 4
    EFI_MEMMAP = 5
    VMCOREINFO = 6


class PmuOp(IntEnum):
    """XENPMU_*: sub-operations of xenpmu_op."""

    mode_get = 0
    mode_set = 1
    feature_get = 2
    feature_set = 3
    init = 4
    finish = 5
    lvtpc_set = 6
    flush = 7


class PmuMode(IntFlag):
    """XENPMU_MODE_*: who may use the performance counters."""

    OFF = 0x0
    SELF = 0x1
    HV = 0x2
    ALL = 0x4


class PmuFeature(IntFlag):
    """XENPMU_FEATURE_*: performance counter features."""

    INTEL_BTS = 0x1
    IPC_ONLY = 0x2
    ARCH_ONLY = 0x4


class PmInfo(IntEnum):
    """XEN_PM_*: types of set_processor_pminfo. TX is not implemented."""

    CX = 0
    PX = 1
    TX = 2
    PDC = 3
    CPPC = 4  # 4.21+


class DebugPort(IntEnum):
    """PHYSDEVOP_DBGP_*: dbgp_op operations."""

    RESET_PREPARE = 1
    RESET_DONE = 2


class PhysdevOp(IntEnum):
    """PHYSDEVOP_*: sub-operations of physdev_op."""

    irq_status_query = 5
    set_iopl = 6
    set_iobitmap = 7
    apic_read = 8
    apic_write = 9
    alloc_irq_vector = 10
    free_irq_vector = 11
    eoi = 12
    map_pirq = 13
    unmap_pirq = 14
    manage_pci_add = 15
    manage_pci_remove = 16
    pirq_eoi_gmfn_v1 = 17
    restore_msi = 19
    manage_pci_add_ext = 20
    setup_gsi = 21
    get_free_pirq = 23
    pci_mmcfg_reserved = 24
    pci_device_add = 25
    pci_device_remove = 26
    restore_msi_ext = 27
    pirq_eoi_gmfn_v2 = 28
    dbgp_op = 29
    prepare_msix = 30
    release_msix = 31
    pci_device_reset = 32  # 4.20+
