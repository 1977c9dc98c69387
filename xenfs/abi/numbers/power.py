"""Numbers of the power management operations of sysctl: pm_op and get_pmstat.

Each docstring starts with the pattern of the names in Xen's headers. "4.18+" and the like: only there.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class PmStat(IntEnum):
    """PMSTAT_*: statistics operations."""

    get_max_px = 17
    get_pxstat = 18
    reset_pxstat = 19
    get_max_cx = 33
    get_cxstat = 34
    reset_cxstat = 35


class PmSetting(IntEnum):
    """XEN_SYSCTL_pm_op_*: pm_op operations that are not about frequency."""

    set_sched_opt_smt = 33
    get_max_cstate = 34
    set_max_cstate = 35
    set_vcpu_migration_delay = 36
    get_vcpu_migration_delay = 37
    enable_turbo = 38
    disable_turbo = 39


class GetCpufreq(IntEnum):
    """GET_CPUFREQ_*: pm_op questions about frequency."""

    PARA = 17
    AVGFREQ = 20
    CPPC = 22  # 4.21+


class SetCpufreq(IntEnum):
    """SET_CPUFREQ_*: pm_op orders about frequency."""

    GOV = 18
    PARA = 19
    CPPC = 21  # 4.18+


class FreqPara(IntEnum):
    """*: ctrl_type of SET_CPUFREQ_PARA."""

    SCALING_MAX_FREQ = 1
    SCALING_MIN_FREQ = 2
    SCALING_SETSPEED = 3
    SAMPLING_RATE = 4
    UP_THRESHOLD = 5


class CppcSet(IntFlag):
    """XEN_SYSCTL_CPPC_SET_*: which members of set_cppc count."""

    MINIMUM = 0x1  # 4.18+
    MAXIMUM = 0x2  # 4.18+
    DESIRED = 0x4  # 4.18+
    ENERGY_PERF = 0x8  # 4.18+
    ACT_WINDOW = 0x10  # 4.18+


class CppcPreset(IntEnum):
    """XEN_SYSCTL_CPPC_SET_PRESET_*: ready-made settings. ONDEMAND was named BALANCE before Xen 4.21."""

    NONE = 0  # 4.18+
    ONDEMAND = 0x10000000  # 4.21+
    POWERSAVE = 0x20000000  # 4.18+
    PERFORMANCE = 0x30000000  # 4.18+
