"""host/cpus/<c>/cpufreq/: how fast a CPU runs, with the names that Linux has for it in cpufreq/ of each CPU."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import Any

from xenfs.abi.numbers import CppcPreset, CppcSet, FreqPara
from xenfs.calls import cpufreq
from xenfs.calls.cpufreq import Cppc, Governed, Ondemand, Para, para
from xenfs.errors import BadInput, there
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.sources import asks
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File, consuming, field
from xenfs.nodes.tables.conditions import answers, of_cpus, recent, since

_U32 = 2**32 - 1
_EPP_POLICIES = ("performance", "powersave", "ondemand")
_PRESETS = {"ondemand": CppcPreset.ONDEMAND, "powersave": CppcPreset.POWERSAVE, "performance": CppcPreset.PERFORMANCE}


# What is there: ENODEV and its kin are asked for once, the state of each CPU whenever its directory is looked into


_para_recent = recent(para)
_drives = of_cpus(_para_recent, errno.EINVAL)  # or Xen was told of no P-states


def _governed(xen: Hypervisor, cpu: int) -> bool:
    return _para_recent(xen, cpu).governed is not None


def _governed_by(name: str) -> Callable[[Hypervisor, int], bool]:
    def governs(xen: Hypervisor, cpu: int) -> bool:
        found = _para_recent(xen, cpu).governed
        return found is not None and found.governor.lower() == name

    return governs


@asks(cpufreq.GET_CPPC)
def _cppc(xen: Hypervisor, cpu: int) -> Cppc:
    return there(cpufreq.cppc(xen, cpu), f"CPPC of CPU {cpu}")


@asks(cpufreq.GET_PARA)
def _governor(xen: Hypervisor, cpu: int) -> Governed:
    return there(para(xen, cpu).governed, f"governor of CPU {cpu}")


@asks(cpufreq.GET_PARA)
def _ondemand(xen: Hypervisor, cpu: int) -> Ondemand:
    return there(_governor(xen, cpu).ondemand, f"governor ondemand of CPU {cpu}")


# What is written


def _set_governor(xen: Hypervisor, cpu: int, name: str) -> None:
    available = para(xen, cpu).governors
    if name.strip(" \t") not in available:
        raise BadInput(f"must be one of: {' '.join(available)}", word=name.strip(" \t") or None, at=0)
    cpufreq.set_governor(xen, cpu, name.strip(" \t"))


def _require_within(xen: Hypervisor, cpu: int, khz: int) -> None:
    """Xen would move a frequency that is out of the CPU's range to its ends, and say nothing."""
    found = para(xen, cpu)
    if not found.cpuinfo_min <= khz <= found.cpuinfo_max:
        limits = f"{found.cpuinfo_min} to {found.cpuinfo_max} kHz"
        raise BadInput(f"this CPU runs at {limits}", errno.ERANGE, word=str(khz), at=0)


def _setter(kind: FreqPara) -> Callable[[Hypervisor, int, int], None]:
    def write(xen: Hypervisor, cpu: int, khz: int) -> None:
        _require_within(xen, cpu, khz)
        cpufreq.set_para(xen, cpu, kind, khz)

    return write


def _set_sampling_rate(xen: Hypervisor, cpu: int, us: int) -> None:
    now = _ondemand(xen, cpu)
    if not now.sampling_rate_min <= us <= now.sampling_rate_max:
        limits = f"{now.sampling_rate_min} to {now.sampling_rate_max} us"
        raise BadInput(f"Xen takes {limits}", errno.ERANGE, word=str(us), at=0)
    cpufreq.set_para(xen, cpu, FreqPara.SAMPLING_RATE, us)


def _set_cppc(what: CppcSet) -> Callable[[Hypervisor, int, int], None]:
    return lambda xen, cpu, value: cpufreq.set_cppc(xen, cpu, what, value)


# An activity window is seven bits times a power of ten that has three


def window_us(encoded: int) -> int:
    """The length of an activity window, us."""
    scale: int = 10 ** (encoded >> 7 & 7)
    return (encoded & 0x7F) * scale


def window(us: int) -> int:
    """An activity window of this length as the hardware has it; EINVAL where it is between two that it has."""
    for exponent in range(8):
        mantissa, rest = divmod(us, int(10**exponent))
        if mantissa < 0x80 and not rest:
            return exponent << 7 | mantissa
    raise BadInput("the hardware has up to 127, with zeros behind: such as 90000", word=str(us), at=0)


def _window(value: str) -> int:
    return window(parse.integer(0, window_us(0x3FF), "number of us")(value))


# The tables


def _fixed(name: str, help: str, read: Callable[[Para], Any], shown: Callable[[Any], str], **more: Any) -> File:
    return File(name, help, read=lambda xen, cpu: read(para(xen, cpu)), show=shown, call=cpufreq.GET_PARA.name, **more)


def _steered(
    name: str, help: str, member: str, kind: FreqPara, only: Callable[..., bool] | None = _governed, tier: str = "A"
) -> File:
    """A frequency that a governor goes by, in kHz."""

    def read(xen: Hypervisor, cpu: int) -> int:
        khz: int | None = getattr(_governor(xen, cpu), member)
        return there(khz, f"{name} of CPU {cpu}: it is another governor's")

    return File(
        name, help, read=read, show=show.dec, only=only, tier=tier,
        write=_setter(kind), parse=parse.integer(0, _U32, "number of kHz"),
        call=f"{cpufreq.GET_PARA.name}, {cpufreq.SET_PARA[kind].name}",
    )  # fmt: skip


def _told(name: str, help: str, what: CppcSet, **more: Any) -> File:
    """One of the values that CPPC hardware is told."""
    more = {"show": show.dec, "parse": parse.integer(0, 255, "performance level")} | more
    return File(
        name, help, read=lambda xen, cpu: getattr(_cppc(xen, cpu), name), write=_set_cppc(what), tier="B",
        call="sysctl pm_op GET_CPUFREQ_CPPC, sysctl pm_op SET_CPUFREQ_CPPC", since="4.18", **more,
    )  # fmt: skip


def _levels(*pairs: tuple[str, str]) -> Sequence[File]:
    return [field(_cppc, name, show.dec, help, tier="B", since="4.18") for name, help in pairs]


ONDEMAND = Dir(
    "ondemand",
    "Parameters of the governor ondemand, the same for all CPUs",
    (
        File(
            "sampling_rate", "How often the load is looked at, us", show=show.dec, tier="B",
            read=lambda xen, cpu: _ondemand(xen, cpu).sampling_rate, write=_set_sampling_rate,
            parse=parse.integer(0, _U32, "number of us"),
            call="sysctl pm_op GET_CPUFREQ_PARA, sysctl pm_op SET_CPUFREQ_PARA SAMPLING_RATE",
        ),
        field(_ondemand, "sampling_rate_min", show.dec, "Least sampling_rate, us", tier="B"),
        field(_ondemand, "sampling_rate_max", show.dec, "Greatest sampling_rate, us", tier="B"),
        File(
            "up_threshold", "Load above which a CPU runs as fast as it may, per cent (11 to 100)", show=show.dec,
            read=lambda xen, cpu: _ondemand(xen, cpu).up_threshold, tier="B",
            write=lambda xen, cpu, value: cpufreq.set_para(xen, cpu, FreqPara.UP_THRESHOLD, value),
            parse=parse.integer(11, 100, "percentage"),
            call="sysctl pm_op GET_CPUFREQ_PARA, sysctl pm_op SET_CPUFREQ_PARA UP_THRESHOLD",
        ),
    ),
    only=_governed_by(cpufreq.ONDEMAND),
)  # fmt: skip

CPPC = Dir(
    "cppc",
    "What a CPU that chooses its frequency by itself is told; levels from 0 to 255",
    (
        *_levels(
            ("lowest", "Lowest level that it has"),
            ("lowest_nonlinear", "Lowest level that is worth it: below, power falls less than performance"),
            ("nominal", "Level that it can keep up"),
            ("highest", "Highest level that it has"),
        ),
        _told("minimum", "Level not to go below", CppcSet.MINIMUM),
        _told("maximum", "Level not to go above", CppcSet.MAXIMUM),
        _told("desired", "Level to aim at; 0 for what the hardware thinks best", CppcSet.DESIRED),
        _told(
            "energy_perf", "0 for performance to 255 for saving energy", CppcSet.ENERGY_PERF,
            parse=parse.integer(0, 255, "preference"),
        ),
        _told(
            "activity_window", "Time over which it looks at the load, us: up to 127 with zeros behind; 0 if it chooses",
            CppcSet.ACT_WINDOW, show=lambda encoded: show.dec(window_us(encoded)), parse=_window, errnos="ERANGE",
            format="decimal number",
            only=lambda xen, cpu: bool(_cppc(xen, cpu).features & 1),
        ),
        File(
            "preset", "Sets minimum, maximum, energy_perf and the rest at once: ondemand, powersave or performance",
            write=lambda xen, cpu, name: cpufreq.preset_cppc(xen, cpu, _PRESETS[name]), tier="B", since="4.18",
            parse=parse.one_of(_PRESETS), call=cpufreq.SET_CPPC.name,
        ),
    ),
    when=since(4, 18),
    only=lambda xen, cpu: cpufreq.cppc(xen, cpu) is not None,
    volatile=True,
)  # fmt: skip

CPUFREQ = Dir(
    "cpufreq",
    "The frequency of the CPU",
    (
        _fixed("scaling_driver", "What sets the frequency", lambda found: found.driver, show.text),
        _fixed("affected_cpus", "CPUs that share the frequency", lambda found: found.affected_cpus, show.words),
        _fixed(
            "scaling_available_frequencies", "Frequencies of its P-states, kHz, fastest first",
            lambda found: found.frequencies, show.words, only=lambda xen, cpu: bool(_para_recent(xen, cpu).frequencies),
        ),
        _fixed("cpuinfo_cur_freq", "Frequency that the hardware says, kHz", lambda found: found.cpuinfo_cur, show.dec),
        _fixed("cpuinfo_min_freq", "Lowest that it can do, kHz", lambda found: found.cpuinfo_min, show.dec),
        _fixed("cpuinfo_max_freq", "Highest that it can do, kHz", lambda found: found.cpuinfo_max, show.dec),
        _fixed(
            "scaling_available_governors", "What can be scaling_governor", lambda found: found.governors, show.words,
            only=_governed,
        ),
        File(
            "scaling_governor", "What chooses the frequency", show=show.text, only=_governed,
            read=lambda xen, cpu: _governor(xen, cpu).governor, write=_set_governor, parse=parse.text,
            call="sysctl pm_op GET_CPUFREQ_PARA, sysctl pm_op SET_CPUFREQ_GOV",
        ),
        field(_governor, "scaling_cur_freq", show.dec, "Frequency that Xen has set, kHz", of="cur", only=_governed),
        _steered("scaling_max_freq", "Frequency not to go above, kHz", "max", FreqPara.SCALING_MAX_FREQ),
        _steered("scaling_min_freq", "Frequency not to go below, kHz", "min", FreqPara.SCALING_MIN_FREQ),
        _steered(
            "scaling_setspeed", "Frequency to run at, kHz; with the governor userspace only", "setspeed",
            FreqPara.SCALING_SETSPEED, only=_governed_by(cpufreq.USERSPACE), tier="B",
        ),
        ONDEMAND,
        File(
            "policy", "Any of performance, powersave and ondemand, for a driver without governors; cannot be read back",
            write=lambda xen, cpu, name: cpufreq.set_governor(xen, cpu, name), parse=parse.one_of(_EPP_POLICIES),
            call=cpufreq.SET_GOV.name, tier="B", since="4.21",
            only=lambda xen, cpu: _para_recent(xen, cpu).driver == cpufreq.EPP,
        ),
        File(
            "turbo", "Whether it may go above its nominal frequency; 0 also where it cannot", show=show.flag,
            read=lambda xen, cpu: para(xen, cpu).turbo, write=cpufreq.set_turbo, parse=parse.switch,
            call="sysctl pm_op GET_CPUFREQ_PARA, sysctl pm_op enable_turbo, sysctl pm_op disable_turbo",
            errnos="EOPNOTSUPP",
        ),
        consuming(
            "avg_freq", "Write 1, then read: average frequency while busy, kHz, since it was last asked for by anyone",
            read=cpufreq.average, show=show.dec, call=cpufreq.GET_AVGFREQ.name,
        ),
        CPPC,
    ),
    when=answers(lambda xen: _drives(xen, 0)),
    only=_drives,
    volatile=True,
)  # fmt: skip
