"""Numbers of the sysctl hypercall.

Each docstring starts with the pattern of the names in Xen's headers. "4.18+" and the like: only there.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Sysctl(IntEnum):
    """XEN_SYSCTL_*: sub-operations."""

    readconsole = 1
    tbuf_op = 2
    physinfo = 3
    sched_id = 4
    perfc_op = 5
    getdomaininfolist = 6
    debug_keys = 7
    getcpuinfo = 8
    availheap = 9
    get_pmstat = 10
    cpu_hotplug = 11
    pm_op = 12
    page_offline_op = 14
    lockprof_op = 15
    cputopoinfo = 16
    numainfo = 17
    cpupool_op = 18
    scheduler_op = 19
    coverage_op = 20
    psr_cmt_op = 21
    pcitopoinfo = 22
    psr_alloc = 23
    get_cpu_levelling_caps = 25  # up to 4.21
    get_cpu_featureset = 26
    livepatch_op = 27
    get_cpu_policy = 29
    dt_overlay = 30  # 4.18+


class PhysCap(IntFlag):
    """XEN_SYSCTL_PHYSCAP_*: what physinfo.capabilities says of the host."""

    hvm = 0x1
    pv = 0x2
    directio = 0x4
    hap = 0x8
    shadow = 0x10
    iommu_hap_pt_share = 0x20
    vmtrace = 0x40  # 4.15+
    vpmu = 0x80  # 4.16+
    gnttab_v1 = 0x100  # 4.16+
    gnttab_v2 = 0x200  # 4.16+


class TbufOp(IntEnum):
    """XEN_SYSCTL_TBUFOP_*: trace buffer operations."""

    get_info = 0
    set_cpu_mask = 1
    set_evt_mask = 2
    set_size = 3
    enable = 4
    disable = 5


class PerfcOp(IntEnum):
    """XEN_SYSCTL_PERFCOP_*: performance counter operations."""

    reset = 1
    query = 2


class LockprofOp(IntEnum):
    """XEN_SYSCTL_LOCKPROF_*: lock profile operations."""

    reset = 1
    query = 2


class LockprofType(IntEnum):
    """LOCKPROF_TYPE_*: what a profiled lock belongs to."""

    GLOBAL = 0
    PERDOM = 1


class CoverageOp(IntEnum):
    """XEN_SYSCTL_COVERAGE_*: coverage operations."""

    get_size = 0
    read = 1
    reset = 2


class CpupoolOp(IntEnum):
    """XEN_SYSCTL_CPUPOOL_OP_*: cpupool operations."""

    CREATE = 1
    DESTROY = 2
    INFO = 3
    ADDCPU = 4
    RMCPU = 5
    MOVEDOMAIN = 6
    FREEINFO = 7


class CpuHotplug(IntEnum):
    """XEN_SYSCTL_CPU_HOTPLUG_*: cpu_hotplug operations."""

    ONLINE = 0
    OFFLINE = 1
    SMT_ENABLE = 2
    SMT_DISABLE = 3


class SysctlSched(IntEnum):
    """XEN_SYSCTL_SCHEDOP_*: scheduler_op operations on a whole cpupool."""

    putinfo = 0
    getinfo = 1


class PageOffline(IntEnum):
    """sysctl_*: page_offline_op operations."""

    page_offline = 1
    page_online = 2
    query_page_offline = 3


class PageStatus(IntFlag):
    """PG_OFFLINE_*: outcome of taking a page offline."""

    OFFLINED = 0x2
    PENDING = 0x4
    FAILED = 0x8
    AGAIN = 0x10
    XENPAGE = 0x100
    DOM0PAGE = 0x200
    ANONYMOUS = 0x400
    NOT_CONV_RAM = 0x800
    OWNED = 0x1000
    BROKEN = 0x2000


class PageQuery(IntFlag):
    """PG_OFFLINE_STATUS_*: answer to asking about a page."""

    OFFLINED = 0x2
    ONLINE = 0x4
    OFFLINE_PENDING = 0x8
    BROKEN = 0x10


class PsrCmt(IntEnum):
    """XEN_SYSCTL_PSR_CMT_*: cache monitoring operations."""

    get_total_rmid = 0
    get_l3_upscaling_factor = 1
    get_l3_cache_size = 2
    enabled = 3
    get_l3_event_mask = 4


class PsrFlag(IntFlag):
    """XEN_SYSCTL_PSR_*: flags of the answers of psr_alloc; which one is meant follows from the question."""

    CAT_L3_CDP = 0x1
    MBA_LINEAR = 0x1


class PsrAlloc(IntEnum):
    """XEN_SYSCTL_PSR_*: cache and bandwidth allocation operations."""

    get_l3_info = 0
    get_l2_info = 1
    get_mba_info = 2


class Featureset(IntEnum):
    """XEN_SYSCTL_cpu_featureset_*: which featureset. pv_max and hvm_max came with late point releases."""

    raw = 0
    host = 1
    pv = 2
    hvm = 3
    pv_max = 4
    hvm_max = 5


class HostPolicy(IntEnum):
    """XEN_SYSCTL_cpu_policy_*: which CPUID and MSR policy. x86 only."""

    raw = 0
    host = 1
    pv_max = 2
    hvm_max = 3
    pv_default = 4
    hvm_default = 5


class LevellingCap(IntFlag):
    """XEN_SYSCTL_CPU_LEVELCAP_*: levelling capabilities. Gone in Xen 4.22."""

    faulting = 0x1  # up to 4.21
    ecx = 0x2  # up to 4.21
    edx = 0x4  # up to 4.21
    extd_ecx = 0x8  # up to 4.21
    extd_edx = 0x10  # up to 4.21
    xsave_eax = 0x20  # up to 4.21
    thermal_ecx = 0x40  # up to 4.21
    l7s0_eax = 0x80  # up to 4.21
    l7s0_ebx = 0x100  # up to 4.21


class LivepatchOp(IntEnum):
    """XEN_SYSCTL_LIVEPATCH_*: livepatch operations."""

    UPLOAD = 0
    GET = 1
    LIST = 2
    ACTION = 3


class LivepatchAction(IntEnum):
    """LIVEPATCH_ACTION_*: what to do with a livepatch."""

    UNLOAD = 1
    REVERT = 2
    APPLY = 3
    REPLACE = 4


class LivepatchState(IntEnum):
    """LIVEPATCH_STATE_*: where a livepatch is."""

    CHECKED = 1
    APPLIED = 2


class LivepatchFlag(IntFlag):
    """LIVEPATCH_FLAG_*: flags of the whole operation, must be 0 before Xen 4.19."""

    FORCE = 0x1  # 4.19+


class DtOverlay(IntEnum):
    """XEN_SYSCTL_DT_OVERLAY_*: device tree overlay operations. Arm only."""

    ADD = 1  # 4.18+
    REMOVE = 2  # 4.18+
