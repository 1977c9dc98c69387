"""What a simulated host can be told to be: "xen=4.17,arch=x86_64,domains=12,cpus=8,nodes=2,profile=full"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from xenfs.errors import StartError
from xenfs.simulator.layouts import ARCHES, releases, version

# The last point release of each series, which is also what the layouts were measured from.
POINT_RELEASES = {
    "4.14": 6, "4.15": 7, "4.16": 7, "4.17": 7, "4.18": 6, "4.19": 6, "4.20": 4, "4.21": 2, "4.22": 0,
}  # fmt: skip

# Settings that go together by one word. What is said beside that word comes first.
PROFILES: dict[str, dict[str, object]] = {
    "default": {},
    "bare": {
        "hypfs": False,
        "sharing": False,
        "livepatch": False,
        "iommu": False,
        "kexec": False,
        "efi": False,
        "cpufreq": "none",
        "pm": False,
        "shadow": False,
    },
    "full": {
        "flask": True,
        "smmu": True,
        "vpmu": True,
        "processor": "intel",
        "psr": "on",
        "cpufreq": "hwp",
        "instruments": True,
        "vmtrace": True,
        "arinc653": True,
        "overlays": True,
    },
}


@dataclass(frozen=True)
class Settings:
    """A host to pretend. `nodes` 0 means two on x86_64 and one on arm64, where Xen knows of no other."""

    xen: str = "4.17"
    arch: str = "x86_64"
    domains: int = 12
    vcpus: int = 0
    cpus: int = 8
    nodes: int = 0
    memory: int = 32
    profile: str = "default"
    seed: int = 1
    speed: float = 1.0
    churn: float = 0.0
    life: float = 3.0
    dom0: str = "pv"
    hypfs: bool = True
    xenstore: bool = True
    devices: int = 2
    qemu: str = "answers"
    sharing: bool = True
    flask: bool = False
    livepatch: bool = True
    livepatches: int = 2
    pci: int = 9
    iommu: bool = True
    smmu: bool = False
    llc_colors: int = 0
    kexec: bool = True
    efi: bool = True
    vpmu: bool = False
    processor: str = "amd"
    psr: str = "off"
    cpufreq: str = "acpi"
    pm: bool = True
    instruments: bool = False
    vmtrace: bool = False
    shadow: bool = True
    arinc653: bool = False
    overlays: bool = False
    domctl: int = 0
    sysctl: int = 0

    @property
    def series(self) -> str:
        """The release whose layouts and habits are used: the newest known for a Xen from the future."""
        major, minor = version(self.xen)
        known = releases()
        return f"{major}.{minor}" if f"{major}.{minor}" in known else known[-1]

    @property
    def point(self) -> int:
        """The point release, as in 4.17.3."""
        words = self.xen.split(".")
        return int(words[2]) if len(words) > 2 else POINT_RELEASES.get(self.xen, 0)

    @property
    def memory_gib(self) -> int:
        """How much memory the host has: at least what its domains need."""
        return max(self.memory, 4 + 2 * min(self.domains, 12) + self.domains // 12)

    @property
    def nr_nodes(self) -> int:
        """How many NUMA nodes there are."""
        return self.nodes or (2 if self.arch == "x86_64" and self.cpus > 1 else 1)


HELP = """\
xen=4.17        release to be, 4.14 to 4.22; a point release (4.17.3) or a later one (4.23) is possible
arch=x86_64     or arm64
domains=12      domains, the control domain included (1 to 10000)
vcpus=0         vCPUs of each domain after the twelfth (1 to 128); 0: one or two
cpus=8          physical CPUs (1 to 4096)
nodes=2         NUMA nodes (1 to 64, not more than CPUs)
memory=32       GiB of memory, raised where the domains need more
profile=default bare: a Xen built without what can be left out; full: with all that can be there
seed=1          another number makes another host
speed=1         how fast time goes by: 60 lets a minute pass in a second
churn=0         domains that are born in a second (0 to 1000)
life=3          seconds that these live
dom0=pv         or pvh
hypfs=on        off: a Xen built without hypfs
xenstore=on     off: domains have no names, and their guests cannot be asked for anything
devices=2       networks and disks of each domain, half of each (0 to 16)
qemu=answers    with devices=4 or more QEMU serves the second disks of domains 3 and 6. silent: that of 6 never answers;
                lies: it tells of a disk that nobody has made; garbles: what it says is no QMP
sharing=on      off: a Xen built without memory sharing
flask=off       on: FLASK in force, with a small policy
livepatch=on    off: a Xen built without live patching
livepatches=2   live patches that are loaded (0 to 4096)
pci=9           PCI devices (0 to 4096)
iommu=on        off: no device can be given to a guest
smmu=off        on (arm64): devices of the device tree can be
llc_colors=0    colours of the last-level cache, that guests can be given (arm64, from 4.20 on)
kexec=on        off: a Xen built without kexec
efi=on          off: not booted by EFI
vpmu=off        on: guests may use the performance counters
processor=amd   or intel: what CPUs the host has
psr=off         on: caches and bandwidth can be shared out; cdp: caches for code and for data as well
cpufreq=acpi    what drives the CPUs' frequency: ACPI's P-states, hwp (intel, from 4.18 on), amd-cppc or amd-cppc-epp
                (amd, from 4.21 on), none, or emulated: a machine such as QEMU makes
pm=on           off: a Xen built without power management for the control domain, as can be from 4.21 on
instruments=off on: a Xen built with performance counters, watched locks and coverage
vmtrace=off     on: the CPUs can trace guests (from 4.15 on)
shadow=on       off: built without shadow paging, so nothing is noted of PV guests' page tables
arinc653=off    on: a Xen built with this scheduler, and a pool that has it
overlays=off    on (arm64): a Xen built with overlays of the device tree, from 4.18 on
domctl=, sysctl=   interface version to insist on instead of the release's own"""


def parse(text: str) -> Settings:
    """Settings from "key=value,key=value"; StartError names what is wrong and what could stand there."""
    given: dict[str, object] = {}
    for item in filter(None, (word.strip() for word in text.split(","))):
        key, equals, value = item.partition("=")
        if key not in _PARSERS:
            raise StartError(f"the simulator has no setting {key!r}: it has {', '.join(_PARSERS)}")
        if not equals or not value:
            raise StartError(f"the simulator's setting {key} needs a value, as in {key}={_example(key)}")
        given[key] = _PARSERS[key](key, value)
    profile = PROFILES[str(given.get("profile", "default"))]
    return _consistent(Settings(**{**profile, **given}))  # type: ignore[arg-type]


def _example(key: str) -> object:
    value = next(field.default for field in fields(Settings) if field.name == key)
    return ("on" if value else "off") if isinstance(value, bool) else value


def _consistent(settings: Settings) -> Settings:
    if settings.nr_nodes > settings.cpus:
        raise StartError(f"{settings.nodes} nodes need at least as many CPUs, not {settings.cpus}")
    changed: dict[str, object] = {}
    if settings.arch == "arm64" and settings.dom0 == "pv":
        changed["dom0"] = "pvh"
    if settings.cpufreq in _MAKERS:
        changed["processor"] = _MAKERS[settings.cpufreq]
    return replace(settings, **changed) if changed else settings  # type: ignore[arg-type]


_MAKERS = {"hwp": "intel", "amd-cppc": "amd", "amd-cppc-epp": "amd"}  # who makes processors that have it


def _release(key: str, value: str) -> str:
    words = value.split(".")
    if 2 <= len(words) <= 3 and all(word.isdecimal() for word in words) and version(value) >= version(releases()[0]):
        return value
    raise StartError(f"the simulator cannot be Xen {value!r}: give a release from {releases()[0]} on, as in xen=4.17")


def _one_of(*choices: str) -> Callable[[str, str], str]:
    def parse_one(key: str, value: str) -> str:
        if value not in choices:
            raise StartError(f"the simulator's setting {key} is {' or '.join(choices)}, not {value!r}")
        return value

    return parse_one


def _integer(low: int, high: int) -> Callable[[str, str], int]:
    def parse_integer(key: str, value: str) -> int:
        try:
            number = int(value, 0)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise StartError(f"the simulator's setting {key} is a number from {low} to {high}, not {value!r}")
        return number

    return parse_integer


def _rate(most: float) -> Callable[[str, str], float]:
    def parse_rate(key: str, value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number <= most:
            raise StartError(f"the simulator's setting {key} is a number from 0 to {most:.0f}, not {value!r}")
        return number

    return parse_rate


def _switch(key: str, value: str) -> bool:
    return _one_of("on", "off")(key, value) == "on"


_PARSERS: dict[str, Callable[[str, str], object]] = {
    "xen": _release,
    "arch": _one_of(*ARCHES),
    "domains": _integer(1, 10_000),
    "vcpus": _integer(0, 128),
    "cpus": _integer(1, 4096),
    "nodes": _integer(1, 64),
    "memory": _integer(4, 1 << 16),
    "profile": _one_of(*PROFILES),
    "seed": _integer(0, (1 << 63) - 1),
    "speed": _rate(1e6),
    "churn": _rate(1000),
    "life": _rate(1e6),
    "dom0": _one_of("pv", "pvh"),
    "hypfs": _switch,
    "xenstore": _switch,
    "devices": _integer(0, 16),
    "qemu": _one_of("answers", "silent", "lies", "garbles"),
    "sharing": _switch,
    "flask": _switch,
    "livepatch": _switch,
    "livepatches": _integer(0, 4096),
    "pci": _integer(0, 4096),
    "iommu": _switch,
    "smmu": _switch,
    "llc_colors": _integer(0, 1024),
    "kexec": _switch,
    "efi": _switch,
    "vpmu": _switch,
    "processor": _one_of("amd", "intel"),
    "psr": _one_of("off", "on", "cdp"),
    "cpufreq": _one_of("acpi", "hwp", "amd-cppc", "amd-cppc-epp", "none", "emulated"),
    "pm": _switch,
    "instruments": _switch,
    "vmtrace": _switch,
    "shadow": _switch,
    "arinc653": _switch,
    "overlays": _switch,
    "domctl": _integer(1, 0xFFFFFFFF),
    "sysctl": _integer(1, 0xFFFFFFFF),
}
