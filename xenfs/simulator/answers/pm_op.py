"""The sysctl that asks for and sets what saves power."""

from __future__ import annotations

from collections.abc import Callable
from errno import EACCES, EAGAIN, EINVAL, ENODEV, ENOENT, ENOSYS, EOPNOTSUPP
from typing import TypeVar

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.cppc import LEVELS, PRESETS, Hwp
from xenfs.simulator.world.drivers import CPPC, EPP, HWP
from xenfs.simulator.world.frequency import GOVERNORS, Frequency
from xenfs.simulator.world.host import Cpu
from xenfs.simulator.world.refused import Refused

STRUCT = "xen_sysctl_pm_op"
PARA = "xen_get_cpufreq_para"
Body = memoryview
T = TypeVar("T")
POLICIES = ("performance", "powersave", "ondemand")


def pm_op(xen: Machine, op: memoryview) -> int:
    """What holds for all CPUs first; then a CPU that is online, then what is asked of it."""
    cmd, number = xen.get(op, STRUCT, "cmd", "cpuid")
    body = op[xen.layouts.offset(STRUCT, "u") :]
    everywhere = _table(xen, _EVERYWHERE).get(cmd)
    if everywhere:
        return everywhere(xen, number, body)
    cpus = xen.world.host.cpus
    if number >= len(cpus) or not cpus[number].online:
        return -EINVAL
    if cmd & 0xF0 == xen.constant("CPUFREQ_PARA"):
        _require_driver(xen)
    operation = _table(xen, _OF_A_CPU).get(cmd)
    return operation(xen, cpus[number], body) if operation else -ENOSYS


def _table(xen: Machine, named: dict[str, T]) -> dict[int, T]:
    return {xen.constant(name): what for name, what in named.items() if xen.layouts.defines(name)}


def _require_driver(xen: Machine) -> None:
    """ENODEV without a driver; before 4.21 EINVAL where there could be one and the kernel told it nothing."""
    if not xen.world.power.driver:
        raise Refused(EINVAL if xen.world.power.emulated and xen.release < (4, 21) else ENODEV)


# What holds for all CPUs


def _set_sched_smt(xen: Machine, number: int, body: Body) -> int:
    power = xen.world.power
    if number:
        return -EINVAL
    before = power.sched_smt
    power.sched_smt = _word(body) != 0
    body[:4] = int(before).to_bytes(4, "little")
    return 0


def _get_max_cstate(xen: Machine, number: int, body: Body) -> int:
    limits = xen.world.power.limits
    if number > 1:
        return -EINVAL
    body[:4] = (limits.sub_state if number else limits.state).to_bytes(4, "little")
    return 0


def _set_max_cstate(xen: Machine, number: int, body: Body) -> int:
    power = xen.world.power
    if number > 1:
        return -EINVAL
    power.settle()
    if number:
        power.limits.sub_state = _word(body)
    else:
        power.limits.state = _word(body)
    return 0


def _word(body: Body) -> int:
    return int.from_bytes(body[:4], "little")


# What a CPU is asked


def _of(xen: Machine, cpu: Cpu) -> Frequency:
    found = xen.world.power.frequency(cpu)
    if found is None:
        raise Refused(EINVAL)
    return found


def _get_para(xen: Machine, cpu: Cpu, body: Body) -> int:
    found = _of(xen, cpu)
    governors = ("hwp",) if found.driver == HWP else GOVERNORS
    sizes = {"cpu_num": 1, "freq_num": len(found.states), "gov_num": len(governors)}
    if xen.get(body, PARA, *sizes) != tuple(sizes.values()):
        xen.put(body, PARA, **sizes)
        return -EAGAIN
    cpus, frequencies, names = xen.get(
        body, PARA, "affected_cpus", "scaling_available_frequencies", "scaling_available_governors"
    )
    xen.copy_out(cpus, cpu.id.to_bytes(4, "little"))
    xen.copy_out(frequencies, b"".join(khz.to_bytes(4, "little") for khz in found.states))
    xen.put(
        body, PARA, scaling_driver=found.driver.encode(), cpuinfo_cur_freq=found.khz,
        cpuinfo_max_freq=found.highest, cpuinfo_min_freq=found.lowest, turbo_enabled=int(found.turbo),
    )  # fmt: skip
    if isinstance(found, Hwp):
        if xen.layouts.has(PARA, "u.cppc_para"):
            _put_cppc(xen, found, body[xen.layouts.offset(PARA, "u.cppc_para") :], "xen_cppc_para")
    elif found.driver != EPP:
        xen.copy_out(names, _padded(" ".join(governors), 16 * len(governors)))
        _put_governor(xen, found, body)
    return 0


def _padded(text: str, room: int) -> bytes:
    return text.encode().ljust(room, b"\0")


def _put_governor(xen: Machine, found: Frequency, body: Body) -> None:
    place = next(each for each in ("s.", "u.s.", "") if xen.layouts.has(PARA, f"{each}scaling_governor"))
    inner = f"{place}u."
    values: dict[str, object] = {
        f"{place}scaling_cur_freq": found.khz, f"{place}scaling_governor": _padded(found.governor, 16),
        f"{place}scaling_max_freq": found.high, f"{place}scaling_min_freq": found.low,
    }  # fmt: skip
    at = body[xen.layouts.offset(PARA, f"{inner}userspace") :]
    if found.governor == "userspace":
        at[:4] = found.khz.to_bytes(4, "little")
    if found.governor == "ondemand":
        shared = xen.world.power.ondemand
        words = (shared.RATES[1], shared.RATES[0], shared.sampling_rate, shared.up_threshold)
        at[:16] = b"".join(word.to_bytes(4, "little") for word in words)
    xen.put(body, PARA, **values)


def _put_cppc(xen: Machine, found: Hwp, body: Body, struct: str) -> None:
    xen.put(body, struct, features=xen.constant("XEN_SYSCTL_CPPC_FEAT_ACT_WINDOW"), **LEVELS, **vars(found.request))


def _get_cppc(xen: Machine, cpu: Cpu, body: Body) -> int:
    found = _of(xen, cpu)
    if not isinstance(found, Hwp):
        return -ENODEV
    _put_cppc(xen, found, body, "xen_get_cppc_para")
    return 0


def _get_average(xen: Machine, cpu: Cpu, body: Body) -> int:
    body[:8] = _of(xen, cpu).measured().to_bytes(8, "little")
    return 0


# What a CPU is told


def _set_governor(xen: Machine, cpu: Cpu, body: Body) -> int:
    found = _of(xen, cpu)
    (raw,) = xen.get(body, "xen_set_cpufreq_gov", "scaling_governor")
    name = raw.split(b"\0")[0].decode("latin-1").lower()
    registered = ("hwp",) if found.driver == HWP else GOVERNORS
    if name not in registered or (found.driver in (CPPC, EPP) and name not in POLICIES):
        return -EINVAL
    found.set_governor(name)
    return 0


def _set_para(xen: Machine, cpu: Cpu, body: Body) -> int:
    found = _of(xen, cpu)
    governorless = (HWP,) if (4, 19) <= xen.release < (4, 21) else (HWP, EPP) if xen.release >= (4, 21) else ()
    if found.driver in governorless:
        return -EOPNOTSUPP
    kind, value = xen.get(body, "xen_set_cpufreq_para", "ctrl_type", "ctrl_value")
    settings: dict[int, Callable[[Machine, Frequency, int], None]] = _table(xen, _PARAMETERS)
    if kind not in settings:
        return -EINVAL
    settings[kind](xen, found, value)
    return 0


def _require_governor(governor: str, found: Frequency, in_range: bool = True) -> None:
    if found.governor != governor or not in_range:
        raise Refused(EINVAL)


def _set_speed(xen: Machine, found: Frequency, khz: int) -> None:
    _require_governor("userspace", found)
    found.set_speed(khz)


def _set_rate(xen: Machine, found: Frequency, us: int) -> None:
    shared = xen.world.power.ondemand
    _require_governor("ondemand", found, shared.RATES[0] <= us <= shared.RATES[1])
    xen.world.power.settle()
    shared.sampling_rate = us


def _set_threshold(xen: Machine, found: Frequency, per_cent: int) -> None:
    shared = xen.world.power.ondemand
    _require_governor("ondemand", found, shared.THRESHOLDS[0] <= per_cent <= shared.THRESHOLDS[1])
    xen.world.power.settle()
    shared.up_threshold = per_cent


_PARAMETERS: dict[str, Callable[[Machine, Frequency, int], None]] = {
    "SCALING_MAX_FREQ": lambda xen, found, khz: found.set_limits(found.low, khz),
    "SCALING_MIN_FREQ": lambda xen, found, khz: found.set_limits(khz, found.high),
    "SCALING_SETSPEED": _set_speed,
    "SAMPLING_RATE": _set_rate,
    "UP_THRESHOLD": _set_threshold,
}


def _turbo(on: bool) -> Callable[[Machine, Cpu, Body], int]:
    def switch(xen: Machine, cpu: Cpu, body: Body) -> int:
        found = xen.world.power.frequency(cpu)
        if found is None:
            return -EACCES  # which Xen says where there is no policy
        found.turbo = on
        return 0

    return switch


def _set_cppc(xen: Machine, cpu: Cpu, body: Body) -> int:
    struct, mask = "xen_set_cppc_para", xen.constant
    found = xen.world.power.frequency(cpu)
    if found is None:
        return -ENOENT
    if not isinstance(found, Hwp):
        return -EOPNOTSUPP
    names = ("minimum", "maximum", "desired", "energy_perf", "activity_window")
    params, *given = xen.get(body, struct, "set_params", *names)
    values = dict(zip(names, given, strict=True))
    chosen = {name: bool(params & mask(f"XEN_SYSCTL_CPPC_SET_{_FLAGS.get(name, name.upper())}")) for name in names}
    window = values["activity_window"] & ~mask("XEN_SYSCTL_CPPC_ACT_WINDOW_MASK")
    if any(values[name] > 255 for name in names[:-1]) or window or params & ~mask("XEN_SYSCTL_CPPC_SET_PARAM_MASK"):
        return -EINVAL
    if any(values[name] and not chosen[name] for name in names):
        return -EINVAL
    _apply_preset(xen, found, params & mask("XEN_SYSCTL_CPPC_SET_PRESET_MASK"))
    for name in names:
        if chosen[name]:
            setattr(found.request, name, values[name])
    return 0


_FLAGS = {"activity_window": "ACT_WINDOW"}


def _apply_preset(xen: Machine, found: Hwp, preset: int) -> None:
    if not preset:
        return
    # What is called ONDEMAND was BALANCE before 4.21.
    numbers = {
        xen.constant(f"XEN_SYSCTL_CPPC_SET_PRESET_{each}"): values
        for name, values in PRESETS.items()
        for each in (name, "BALANCE" if name == "ONDEMAND" else name)
        if xen.layouts.defines(f"XEN_SYSCTL_CPPC_SET_PRESET_{each}")
    }
    if preset not in numbers:
        raise Refused(EINVAL)
    request = found.request
    request.minimum, request.maximum, request.energy_perf = numbers[preset]
    request.desired = request.activity_window = 0


_EVERYWHERE: dict[str, Callable[[Machine, int, Body], int]] = {
    "XEN_SYSCTL_pm_op_set_sched_opt_smt": _set_sched_smt,
    "XEN_SYSCTL_pm_op_get_max_cstate": _get_max_cstate,
    "XEN_SYSCTL_pm_op_set_max_cstate": _set_max_cstate,
}
_OF_A_CPU: dict[str, Callable[[Machine, Cpu, Body], int]] = {
    "GET_CPUFREQ_PARA": _get_para,
    "GET_CPUFREQ_CPPC": _get_cppc,
    "GET_CPUFREQ_AVGFREQ": _get_average,
    "SET_CPUFREQ_GOV": _set_governor,
    "SET_CPUFREQ_PARA": _set_para,
    "SET_CPUFREQ_CPPC": _set_cppc,
    "XEN_SYSCTL_pm_op_enable_turbo": _turbo(True),
    "XEN_SYSCTL_pm_op_disable_turbo": _turbo(False),
}
OPERATIONS_X86: Answers = {"XEN_SYSCTL_pm_op": pm_op}


def name_of(xen: Machine, op: memoryview) -> str:
    """What a record of calls has for it."""
    (cmd,) = xen.get(op, STRUCT, "cmd")
    name = _table(xen, {name: name for name in (*_EVERYWHERE, *_OF_A_CPU)}).get(cmd, str(cmd))
    return name.removeprefix("XEN_SYSCTL_pm_op_")
