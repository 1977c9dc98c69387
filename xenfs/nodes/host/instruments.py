"""host/pmu/, host/time/, host/xensyms, host/vm_event_version: what Xen has for those who look closely."""

from __future__ import annotations

import time
import zlib
from weakref import WeakKeyDictionary

from xenfs.abi.numbers import PmuFeature, PmuMode
from xenfs.calls import host_time, pmu, symbols, vm_event
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.conditions import answers, every, x86
from xenfs.nodes.tables.cost import Cost

_MODES = {str(mode.name).lower(): int(mode) for mode in (PmuMode.OFF, PmuMode.SELF, PmuMode.HV, PmuMode.ALL)}
_MODE_NAMES = {value: name for name, value in _MODES.items()}
_FEATURES = sum(PmuFeature)


def _mode(xen: Hypervisor) -> str:
    value = pmu.mode(xen)
    return _MODE_NAMES.get(value, f"{value:#x}")


def _set_mode(xen: Hypervisor, name: str) -> None:
    if _MODES[name] != pmu.mode(xen):
        pmu.set_mode(xen, _MODES[name])


def _set_features(xen: Hypervisor, wanted: int) -> None:
    if wanted != pmu.features(xen):
        pmu.set_features(xen, wanted)


def features(text: str) -> int:
    """Bits of PmuFeature, hexadecimal or decimal."""
    value = parse.integer(0, 2**32 - 1, "set of feature bits")(text)
    if value & ~_FEATURES:
        raise BadInput(f"no other bits than {_FEATURES:#x}", word=text.strip(" \t"))
    return value


PMU = Dir(
    "pmu",
    "Performance counters for guests, where Xen was booted with vpmu",
    (
        File(
            "mode", "off; self: a domain sees itself; hv: the control domain sees Xen too; all: and every domain",
            read=_mode, write=_set_mode, parse=parse.one_of(_MODES), write_grows=Cost.WAITS, tier="B",
            write_option="debug",
            call=f"{pmu.MODE_GET.name}, mode_set",
        ),
        File(
            "features", "What guests may use: 1 branch trace store, 2 few counters, 4 only architectural events",
            read=pmu.features, write=_set_features, show=show.hexa, parse=features, write_grows=Cost.WAITS, tier="B",
            write_option="debug", call=f"{pmu.FEATURE_GET.name}, feature_set",
        ),
    ),
    when=every(x86, answers(pmu.mode)),
)  # fmt: skip


def _booted(xen: Hypervisor) -> int:
    return round((time.time_ns() - host_time.system_ns(xen)) / 1e9)


TIME = Dir(
    "time",
    "Xen's clock, by which every time in nanoseconds here is counted",
    (
        File(
            "system_ns", "Since Xen booted, ns", read=host_time.system_ns, show=show.dec, tier="B",
            call=host_time.GET_TIME.name,
        ),
        File(
            "boot_s", "When Xen booted, in seconds since 1970, by this domain's clock", read=_booted,
            show=show.dec, tier="B", call=host_time.GET_TIME.name,
        ),
    ),
    when=every(x86, answers(host_time.system_ns)),
)  # fmt: skip

_known: WeakKeyDictionary[Hypervisor, bytes] = WeakKeyDictionary()


def _xensyms(xen: Hypervisor) -> bytes:
    """Asked once: while this Xen runs, and as long as it does this is the same, its symbols stay."""
    packed = _known.get(xen)
    if packed is None:
        text = "".join(f"{each.address:016x} {each.type} {each.name}\n" for each in symbols.symbols(xen))
        packed = _known[xen] = zlib.compress(text.encode())
    return zlib.decompress(packed)


XENSYMS = File(
    "xensyms", "Xen's symbols, as /proc/kallsyms has the kernel's: address, type, name", read=_xensyms,
    grows=Cost.WAITS,
    call=symbols.GET_SYMBOL.name, tier="B", format='"address type name" lines', when=every(x86, answers(symbols.first)),
)  # fmt: skip

VM_EVENT_VERSION = File(
    "vm_event_version", "Version of the interface by which other programs look into guests", tier="C",
    read=vm_event.interface_version, show=show.dec, call=vm_event.VM_EVENT_OP.name,
    when=answers(vm_event.interface_version),
)  # fmt: skip
