"""How CPUs save power as a whole: limits of their idle states, SMT, parked CPUs. On Arm ENOSYS, all of it."""

from __future__ import annotations

import errno
from typing import Any

from xenfs.abi.numbers import CoreParking, CpuHotplug, Limit, Platform, PmSetting, Sysctl
from xenfs.abi.operations import operation
from xenfs.calls.again import again
from xenfs.calls.control import platform, sysctl
from xenfs.calls.sysctl import physinfo
from xenfs.hypervisor.base import Hypervisor

UNLIMITED = int(Limit.XEN_SYSCTL_CX_UNLIMITED)


GET_MAX_CSTATE = operation(Sysctl.pm_op, "get_max_cstate")
SET_MAX_CSTATE = operation(Sysctl.pm_op, "set_max_cstate")
SET_SCHED_SMT = operation(Sysctl.pm_op, "set_sched_opt_smt")
GET_PARKED = operation(Platform.core_parking, "GET")
SET_PARKED = operation(Platform.core_parking, "SET")
SMT = {True: operation(Sysctl.cpu_hotplug, "SMT_ENABLE"), False: operation(Sysctl.cpu_hotplug, "SMT_DISABLE")}


def max_cstate(xen: Hypervisor, sub_state: bool) -> int:
    """The deepest C-state that idle CPUs may enter, or its sub-state; UNLIMITED for no limit. pm_op get_max_cstate."""
    arm: Any = sysctl(xen, GET_MAX_CSTATE, "pm_op", cmd=PmSetting.get_max_cstate, cpuid=int(sub_state))
    return int(arm.u.get_max_cstate)


def set_max_cstate(xen: Hypervisor, sub_state: bool, limit: int) -> None:
    """Limit the C-states of all CPUs, or the sub-states of the deepest one that is allowed. pm_op set_max_cstate."""
    sysctl(
        xen, SET_MAX_CSTATE, "pm_op",
        cmd=PmSetting.set_max_cstate, cpuid=int(sub_state), u={"set_max_cstate": limit},
    )  # fmt: skip


def set_sched_smt(xen: Hypervisor, on: bool) -> bool:
    """Whether schedulers fill a core's threads before the next core; what it was before. pm_op set_sched_opt_smt."""
    arm: Any = sysctl(
        xen, SET_SCHED_SMT, "pm_op",
        cmd=PmSetting.set_sched_opt_smt, u={"set_sched_opt_smt": int(on)},
    )  # fmt: skip
    return bool(arm.u.set_sched_opt_smt)


def set_smt(xen: Hypervisor, on: bool) -> None:
    """Bring every core's further threads up or down; EOPNOTSUPP without SMT, EBUSY where scheduling needs it as it is.

    Stops at the first CPU that does not move: ENODEV for one in a pool other than Pool-0. Xen says EBUSY too where
    it stopped to let others have their turn: it goes on when it is asked again. sysctl cpu_hotplug.
    """
    what = CpuHotplug.SMT_ENABLE if on else CpuHotplug.SMT_DISABLE
    again(
        lambda: sysctl(xen, SMT[on], "cpu_hotplug", op=what), (errno.EBUSY,), within_s=1.0,
        progress=lambda: int(physinfo(xen).nr_cpus),
    )  # fmt: skip


def parked_cpus(xen: Hypervisor) -> int:
    """How many CPUs Xen has taken out of use for the control domain's sake; platform_op core_parking GET."""
    return int(platform(xen, GET_PARKED, "core_parking", type=CoreParking.GET).idle_nums)


def park_cpus(xen: Hypervisor, count: int) -> None:
    """Have Xen park so many CPUs, of its choosing; more than all but one means all but one. core_parking SET."""
    platform(xen, SET_PARKED, "core_parking", type=CoreParking.SET, idle_nums=count)
