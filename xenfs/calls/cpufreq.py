"""Frequencies of CPUs: sysctl pm_op. ENODEV where Xen drives no frequencies at all, EINVAL of a CPU that is offline or
whose P-states the control domain's kernel has not told. All frequencies are in kHz."""

from __future__ import annotations

import errno
from typing import Any, NamedTuple

from xenfs.abi.numbers import CppcPreset, CppcSet, FreqPara, GetCpufreq, Limit, PmSetting, SetCpufreq, Sysctl
from xenfs.abi.operations import Operation, operation
from xenfs.calls.control import fill, sysctl
from xenfs.errors import HypercallError, XenfsError, answered_by
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.sources import asks

GET_PARA = operation(Sysctl.pm_op, "GET_CPUFREQ_PARA")
GET_AVGFREQ = operation(Sysctl.pm_op, "GET_CPUFREQ_AVGFREQ")
GET_CPPC = operation(Sysctl.pm_op, "GET_CPUFREQ_CPPC")
SET_GOV = operation(Sysctl.pm_op, "SET_CPUFREQ_GOV")
SET_PARA = {kind: operation(Sysctl.pm_op, "SET_CPUFREQ_PARA").part(kind.name) for kind in FreqPara}
SET_CPPC = operation(Sysctl.pm_op, "SET_CPUFREQ_CPPC")
TURBO = {True: operation(Sysctl.pm_op, "enable_turbo"), False: operation(Sysctl.pm_op, "disable_turbo")}

_NAME_BYTES = int(Limit.CPUFREQ_NAME_LEN)
USERSPACE, ONDEMAND = "userspace", "ondemand"
HWP = "hwp"
EPP = "amd-cppc-epp"
GOVERNORLESS = frozenset({HWP, EPP})
"""Drivers that leave the choice to the hardware: what the struct has for governors means nothing with them."""


class Ondemand(NamedTuple):
    """What the governor ondemand goes by: how often it looks, in us, and above which load it runs as fast as it may."""

    sampling_rate_max: int
    sampling_rate_min: int
    sampling_rate: int
    up_threshold: int


class Governed(NamedTuple):
    """What a governor steers by. Only one that is userspace has `setspeed`, and only ondemand has `ondemand`."""

    governor: str
    cur: int
    max: int
    min: int
    setspeed: int | None
    ondemand: Ondemand | None


class Cppc(NamedTuple):
    """What hardware that chooses by itself is told: performance levels from 0 to 255, on no scale but its own."""

    features: int
    lowest: int
    lowest_nonlinear: int
    nominal: int
    highest: int
    minimum: int
    maximum: int
    desired: int
    energy_perf: int
    activity_window: int


class Para(NamedTuple):
    """What GET_CPUFREQ_PARA says of a CPU. `governed` is None with a driver that has no governors."""

    driver: str
    affected_cpus: list[int]
    frequencies: list[int]
    governors: list[str]
    cpuinfo_cur: int
    cpuinfo_max: int
    cpuinfo_min: int
    turbo: bool
    governed: Governed | None
    cppc: Cppc | None  # 4.18 to 4.20 with HWP: later Xens have an operation for it


@asks(GET_PARA)
def para(xen: Hypervisor, cpu: int) -> Para:
    """Everything about a CPU's frequency but what it is on average. pm_op GET_CPUFREQ_PARA, asked for sizes first.

    They can change in between, as a CPU comes or goes that shares the frequency: then it is asked again.
    """
    sizes = (0, 0, 0)
    for _ in range(4):
        found = _para(xen, cpu, sizes)
        if isinstance(found, Para):
            return found
        sizes = found
    raise XenfsError(f"CPU {cpu}: its frequencies change faster than they can be read", errno.EAGAIN)


def _para(xen: Hypervisor, cpu: int, sizes: tuple[int, int, int]) -> Para | tuple[int, int, int]:
    with (
        xen.pool.take(xen.abi.sizeof("struct xen_sysctl")) as buf,
        xen.pool.take(max(1, 4 * sizes[0])) as cpus,
        xen.pool.take(max(1, 4 * sizes[1])) as frequencies,
        xen.pool.take(max(1, _NAME_BYTES * sizes[2])) as governors,
    ):
        view = xen.abi.view("struct xen_sysctl", buf)
        view.cmd, view.interface_version = Sysctl.pm_op, xen.abi.sysctl
        view.u.pm_op.cmd, view.u.pm_op.cpuid = GetCpufreq.PARA, cpu
        arm = view.u.pm_op.u.get_para
        arm.cpu_num, arm.freq_num, arm.gov_num = sizes
        fill(xen.abi, buf, arm, {
            "affected_cpus": cpus, "scaling_available_frequencies": frequencies,
            "scaling_available_governors": governors,
        })  # fmt: skip
        try:
            xen.hypercall(GET_PARA, buf)
        except HypercallError as problem:
            if problem.errno != errno.EAGAIN:
                raise
            return int(arm.cpu_num), int(arm.freq_num), int(arm.gov_num)
        return _understood(
            xen, arm,
            affected_cpus=cpus.memory[: 4 * sizes[0]].cast("I").tolist(),
            frequencies=frequencies.memory[: 4 * sizes[1]].cast("I").tolist(),
            governors=_text(bytes(governors.memory[: _NAME_BYTES * sizes[2]])).split(),
        )  # fmt: skip


def _understood(xen: Hypervisor, arm: Any, **lists: Any) -> Para:
    driver = _text(bytes(xen.abi.ffi.buffer(arm.scaling_driver)))
    return Para(
        driver=driver,
        cpuinfo_cur=int(arm.cpuinfo_cur_freq),
        cpuinfo_max=int(arm.cpuinfo_max_freq),
        cpuinfo_min=int(arm.cpuinfo_min_freq),
        turbo=bool(arm.turbo_enabled),
        governed=None if driver in GOVERNORLESS else _governed(xen, arm),
        cppc=_cppc(arm.u.cppc_para) if driver == HWP and _in_union(xen) else None,
        **lists,
    )


def _in_union(xen: Hypervisor) -> bool:
    """Whether CPPC lies over the governor's block: 4.18 to 4.20."""
    return bool(xen.abi.has("struct xen_get_cpufreq_para", "u.cppc_para"))


def _governed(xen: Hypervisor, arm: Any) -> Governed | None:
    """The governor's block where this release has it; None where Xen has left it as it was."""
    if xen.abi.has("struct xen_get_cpufreq_para", "scaling_cur_freq"):
        block = arm
    else:
        block = arm.u.s if _in_union(xen) else arm.s
    governor = _text(bytes(xen.abi.ffi.buffer(block.scaling_governor)))
    if not governor:
        return None
    return Governed(
        governor, int(block.scaling_cur_freq), int(block.scaling_max_freq), int(block.scaling_min_freq),
        int(block.u.userspace.scaling_setspeed) if governor.lower() == USERSPACE else None,
        Ondemand(*(int(getattr(block.u.ondemand, name)) for name in Ondemand._fields))
        if governor.lower() == ONDEMAND else None,
    )  # fmt: skip


def _cppc(block: Any) -> Cppc:
    return Cppc(*(int(getattr(block, name)) for name in Cppc._fields))


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


@asks(GET_CPPC)
def cppc(xen: Hypervisor, cpu: int) -> Cppc | None:
    """What the hardware may do and is told; None without HWP. pm_op GET_CPUFREQ_CPPC, or within GET_CPUFREQ_PARA.

    Xen has no CPPC to read with AMD's drivers: ENODEV, like everywhere else without HWP.
    """
    if not xen.abi.has("struct xen_sysctl_pm_op", "u.get_cppc"):
        return para(xen, cpu).cppc
    with answered_by(errno.ENODEV, errno.ENODATA):
        arm = _pm_op(xen, GET_CPPC, GetCpufreq.CPPC, cpu)
        return _cppc(arm.u.get_cppc)
    return None


def average(xen: Hypervisor, cpu: int) -> int:
    """The average frequency while it was busy since anybody asked last; pm_op GET_CPUFREQ_AVGFREQ."""
    arm = _pm_op(xen, GET_AVGFREQ, GetCpufreq.AVGFREQ, cpu)
    return int(arm.u.get_avgfreq)


def set_governor(xen: Hypervisor, cpu: int, governor: str) -> None:
    """Give a CPU, and those that share its frequency, a governor; EINVAL for one that Xen lacks. SET_CPUFREQ_GOV."""
    _pm_op(xen, SET_GOV, SetCpufreq.GOV, cpu, set_gov={"scaling_governor": governor.encode()})


def set_para(xen: Hypervisor, cpu: int, kind: FreqPara, value: int) -> None:
    """Set a limit or a governor's parameter; EINVAL with another governor or out of range. SET_CPUFREQ_PARA."""
    _pm_op(xen, SET_PARA[kind], SetCpufreq.PARA, cpu, set_para={"ctrl_type": kind, "ctrl_value": value})


def set_turbo(xen: Hypervisor, cpu: int, on: bool) -> None:
    """Allow frequencies above the nominal one; EOPNOTSUPP where the CPU has none. pm_op enable_turbo, disable_turbo."""
    _pm_op(xen, TURBO[on], PmSetting.enable_turbo if on else PmSetting.disable_turbo, cpu)


def set_cppc(xen: Hypervisor, cpu: int, what: CppcSet, value: int) -> None:
    """Set one of CPPC's values; Xen leaves out, without an error, what the hardware lacks. SET_CPUFREQ_CPPC, 4.18."""
    member = {CppcSet.ACT_WINDOW: "activity_window"}.get(what, str(what.name).lower())
    done = _pm_op(xen, SET_CPPC, SetCpufreq.CPPC, cpu, set_cppc={"set_params": what, member: value})
    if not done.u.set_cppc.set_params & what:
        raise XenfsError(f"CPU {cpu} has no {member}", errno.EOPNOTSUPP)


def preset_cppc(xen: Hypervisor, cpu: int, preset: CppcPreset) -> None:
    """Set all of CPPC's values to a ready-made combination. pm_op SET_CPUFREQ_CPPC, 4.18."""
    _pm_op(xen, SET_CPPC, SetCpufreq.CPPC, cpu, set_cppc={"set_params": preset})


def _pm_op(xen: Hypervisor, op: Operation, cmd: int, cpu: int, **arms: Any) -> Any:
    """The struct as it came back; it has to be held as long as anything within it is looked at."""
    return sysctl(xen, op, "pm_op", cmd=cmd, cpuid=cpu, u=arms)
