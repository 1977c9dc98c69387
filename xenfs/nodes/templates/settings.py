"""templates/<t>/: what a domain that is to be made will be, one file each, and what each is if nobody says anything."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection
from typing import Any

from xenfs.abi.numbers import Altp2mMode, CreateFlag, GicVersion, PhysCap, X86Emulation
from xenfs.calls import sysctl
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.foreign import PAGE
from xenfs.hypervisor.templates import Template
from xenfs.nodes.domains.asking import has_store
from xenfs.nodes.host import e820
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import LONGEST_COMMAND, File
from xenfs.nodes.tables.conditions import Condition, since, x86
from xenfs.nodes.tables.forms import form, formed
from xenfs.nodes.templates import lists

DEFAULT = None  # of a number: the host's, or what follows from the other settings
Default = Callable[[Hypervisor, Template], Any]

_MOST_VCPUS = {"hvm": 128, "pv": 8192}
_X86_SINCE = {  # not iommu, which has a file of its own, nor s3_integrity, which all builds but one refuse
    CreateFlag.hvm: (4, 14), CreateFlag.hap: (4, 14), CreateFlag.oos_off: (4, 14), CreateFlag.xs_domain: (4, 14),
    CreateFlag.nested_virt: (4, 15), CreateFlag.vpmu: (4, 16),
}  # fmt: skip
_ARM_SINCE = {
    CreateFlag.hvm: (4, 14), CreateFlag.hap: (4, 14), CreateFlag.xs_domain: (4, 21), CreateFlag.vpmu: (4, 16),
    CreateFlag.trap_unmapped_accesses: (4, 21),
}  # fmt: skip
_MOST_KIB = 2**44
_LONGEST_NAME = 200
_VIEWS = 10  # of altp2m, as all had before there was a number


def value(xen: Hypervisor, template: Template, name: str) -> Any:
    """A setting by the name of its file."""
    if name in template.settings:
        return template.settings[name]
    return _DEFAULTS[name](xen, template)


def settled(xen: Hypervisor, template: Template) -> Template:
    """The template as it is now, with its defaults looked up: later writes change nothing of what is made of it."""
    found = Template(template.name)
    found.settings |= template.settings
    for name in _DEFAULTS:
        found.settings[name] = value(xen, found, name)
    return found


def is_hvm(xen: Hypervisor, template: Template) -> bool:
    """Whether it will be an HVM or PVH domain."""
    return "hvm" in value(xen, template, "flags")


def _flags(xen: Hypervisor, template: Template) -> tuple[str, ...]:
    can = sysctl.physinfo(xen).capabilities
    if x86(xen) and not can & PhysCap.hvm:
        return ()
    return ("hvm", "hap") if can & PhysCap.hap or not x86(xen) else ("hvm",)


def flag_words(xen: Hypervisor) -> list[str]:
    """The words for flags that this Xen takes."""
    arrived = _X86_SINCE if x86(xen) else _ARM_SINCE
    return [str(flag.name) for flag, release in arrived.items() if release <= xen.abi.release]


def _set_flags(xen: Hypervisor, template: Template, words: tuple[str, ...]) -> None:
    known = flag_words(xen)
    odd = next((word for word in words if word not in known), None)
    if odd is not None:
        raise BadInput(f"this Xen has no flag of that name; it has: {' '.join(known)}", word=odd)
    if "hap" in words and "hvm" not in words:
        raise BadInput("hap is of HVM domains: write hvm too", word="hap")
    if "nested_virt" in words and "hap" not in words:
        raise BadInput("nested_virt is of domains with hap: write hap too", word="nested_virt")
    if not x86(xen) and not {"hvm", "hap"} <= set(words):
        raise BadInput("on Arm all domains have hvm and hap", at=0)
    can = sysctl.physinfo(xen).capabilities
    for word, needs in (("hvm", PhysCap.hvm), ("hap", PhysCap.hap), ("vpmu", PhysCap.vpmu)):
        if word in words and not can & needs:
            raise BadInput(f"this host cannot do that: host/virt_caps has no {needs.name}", word=word)
    if "hvm" in words and "hap" not in words and not can & PhysCap.shadow:
        raise BadInput("this Xen has no shadow paging: write hap too", word="hvm")
    template.settings["flags"] = tuple(word for word in known if word in words)


@formed("words with a blank between, or none")
def _words(text: str) -> tuple[str, ...]:
    """An empty line is none as well; what is shown is not, for who copies a file that is empty writes nothing."""
    words = tuple(text.split())
    return () if words == (lists.NONE,) else words


@formed("words with a blank between, or none")
def _show_words(words: tuple[str, ...]) -> str:
    return show.words(words) or lists.NONE


def most_vcpus(xen: Hypervisor, template: Template) -> int:
    """How many such a domain may have."""
    return _MOST_VCPUS["hvm" if is_hvm(xen, template) else "pv"]


def _set_vcpus(xen: Hypervisor, template: Template, count: int) -> None:
    most = most_vcpus(xen, template)
    if count > most and not template.copy:
        raise BadInput(f"such a domain has at most {most} vCPUs", errno.ERANGE, word=str(count))
    template.settings["max_vcpus"] = count


def _set_pool(xen: Hypervisor, template: Template, pool: int) -> None:
    found = next((each for each in sysctl.cpupools(xen) if each.id == pool), None)
    if found is None or not found.cpus:
        raise BadInput(f"there is no cpupool {pool} that has CPUs", errno.ERANGE, word=str(pool))
    template.settings["cpupool"] = pool


def _grant_version(xen: Hypervisor, _: Template) -> int:
    return 2 if sysctl.physinfo(xen).capabilities & PhysCap.gnttab_v2 else 1


def _set_grant_version(xen: Hypervisor, template: Template, version: int) -> None:
    if version > _grant_version(xen, template):
        raise BadInput("this host has no grant tables of version 2", errno.ERANGE, word=str(version))
    template.settings["grant_version"] = version


def _set_iommu(xen: Hypervisor, template: Template, word: str) -> None:
    if word != "off" and not sysctl.physinfo(xen).capabilities & PhysCap.directio:
        raise BadInput("this host has no IOMMU in use: host/virt_caps has no directio", word=word)
    if word == "no_sharept" and not x86(xen):
        raise BadInput("on Arm the IOMMU's tables are always the CPU's", word=word)
    template.settings["iommu"] = word


def _set_vmtrace(xen: Hypervisor, template: Template, nbytes: int) -> None:
    if nbytes and not sysctl.physinfo(xen).capabilities & PhysCap.vmtrace:
        raise BadInput("this host cannot trace vCPUs: host/virt_caps has no vmtrace", word=str(nbytes))
    template.settings["vmtrace_size"] = nbytes


@formed("0, or a power of two from 4096 to 67108864", ranged=True)
def _vmtrace_size(text: str) -> int:
    found = parse.size(PAGE, 64 << 20, "number of bytes", unit=1)(text)
    if found & (found - 1):
        raise BadInput("must be a power of two", word=text.strip(" \t"))
    return found


def _set_altp2m(xen: Hypervisor, template: Template, word: str) -> None:
    if word != "off" and "hap" not in value(xen, template, "flags") and not template.copy:
        raise BadInput("other views of memory are of HVM domains with hap", word=word)
    template.settings["altp2m"] = word


def _emulation(xen: Hypervisor, template: Template) -> tuple[str, ...]:
    return ("lapic",) if is_hvm(xen, template) else ()


def _set_emulation(xen: Hypervisor, template: Template, words: tuple[str, ...]) -> None:
    known = [str(device.name).lower() for device in X86Emulation]
    odd = next((word for word in words if word not in known), None)
    if odd is not None:
        raise BadInput(f"must be some of: {' '.join(known)}", word=odd)
    template.settings["arch/emulation"] = tuple(word for word in known if word in words)


def _set_address_size(xen: Hypervisor, template: Template, bits: str) -> None:
    if bits == "32" and x86(xen) and is_hvm(xen, template) and not template.copy:
        raise BadInput("an HVM domain chooses for itself: this is of PV ones", word=bits)
    template.settings["address_size"] = bits


def _plain(name: str) -> Callable[[Hypervisor, Template, Any], None]:
    def write(_xen: Hypervisor, template: Template, given: Any) -> None:
        template.settings[name] = given

    return write


def or_default(inner: Callable[[str], int]) -> Callable[[str], int | None]:
    """What `inner` reads, or the word default."""
    words = form(inner).words

    @formed(f"{words}, or default", ranged=True)
    def read(text: str) -> int | None:
        return DEFAULT if text.strip(" \t") == "default" else inner(text)

    return read


@formed("decimal number, or default")
def _number(found: int | None) -> str:
    return "default" if found is None else str(found)


_DEFAULTS: dict[str, Default] = {}


def _setting(
    name: str, help: str, default: Any, parser: Callable[[str], Any], shown: Callable[[Any], str], *,
    write: Callable[[Hypervisor, Template, Any], None] | None = None, when: Condition | None = None,
    longest: int = LONGEST_COMMAND,
) -> File:  # fmt: skip
    _DEFAULTS[name] = default if callable(default) else lambda xen, template: default
    return File(
        name.rpartition("/")[2], help, read=lambda xen, template: value(xen, template, name),
        write=write or _plain(name), parse=parser, show=shown, when=when, longest=longest, tier="C",
    )  # fmt: skip


def _one_of(words: Collection[str]) -> tuple[Callable[[str], str], Callable[[Any], str]]:
    return parse.one_of(words), formed(" or ".join(words))(lambda found: str(found))


@formed("text, or empty")
def _shown_name(found: str) -> str:
    return found


@formed("UUID, or new")
def _uuid(text: str) -> bytes | None:
    return None if text.strip(" \t") == "new" else parse.handle(text)


@formed("UUID, or new")
def _show_uuid(found: bytes | None) -> str:
    return "new" if found is None else show.handle(found)


@formed("a name as xl takes it, or an empty line")
def _called(text: str) -> str:
    """What can be told from an id, and shown by everybody who lists domains."""
    found = text.strip(" \t")
    odd = next((char for char in found if not char.isprintable() or char == "/"), None)
    if odd is not None or len(found.encode()) > _LONGEST_NAME:
        raise BadInput(f"must be at most {_LONGEST_NAME} bytes that can be shown, and no /", word=odd, at=0)
    if found.isdecimal():
        raise BadInput("xl would take it for the id of a domain", word=found)
    return found


_limit = or_default(parse.integer(1, 2**31 - 1, "number"))
_kib = parse.size(4, _MOST_KIB, "number of kB", unit=1024)

SETTINGS = (
    _setting("flags", "What it is: hvm, hap, ..., or none: a PV domain", _flags, _words, _show_words,
             write=_set_flags),
    _setting("max_vcpus", "How many vCPUs it has", 1, parse.integer(1, 8192, "number of vCPUs"), show.dec,
             write=_set_vcpus),
    _setting("max_mem_kb", "How much memory it may have, kB: memory/max of the domain", 128 << 10, _kib, show.dec),
    _setting("paging_pool_bytes", "Memory for its page tables, bytes; default: enough for max_mem_kb", DEFAULT,
             or_default(parse.size(PAGE, 2**44 - PAGE, "number of bytes", unit=1)), _number),
    _setting("uuid", "Its UUID, or new for one of its own at each commit", None, _uuid, _show_uuid),
    _setting("name", "Its name: with one xenstore is told of it, so that xl knows it; with none nobody is", "", _called,
             _shown_name, when=has_store),
    _setting("ssid", "Its FLASK security id, 0 for none", 0, parse.integer(0, 2**32 - 1, "security id"), show.dec),
    _setting("grant_frames", "Most frames of its grant table", DEFAULT, _limit, _number),
    _setting("maptrack_frames", "Most frames for the grants that it maps", DEFAULT, _limit, _number),
    _setting("grant_version", "Highest version of grant tables, 1 or 2", _grant_version,
             parse.integer(1, 2, "version"), show.dec, write=_set_grant_version, when=since(4, 16)),
    _setting("evtchn_ports", "Highest number of an event channel", 1023,
             parse.integer(0, 2**31 - 1, "number of a port"), show.dec),
    _setting("cpupool", "Cpupool that it begins in", 0, parse.integer(0, 2**31 - 1, "cpupool"), show.dec,
             write=_set_pool),
    _setting("iommu", "Whether devices can be given to it: off, on, or no_sharept", "off",
             *_one_of(("off", "on", "no_sharept")), write=_set_iommu),
    _setting("altp2m", "Who may use other views of its memory: off, mixed, external or limited", "off",
             *_one_of(("off", *(str(mode.name) for mode in Altp2mMode))), write=_set_altp2m, when=x86),
    _setting("altp2m_views", "How many such views it may have", _VIEWS, parse.integer(1, 512, "number of views"),
             show.dec, when=lambda xen: x86(xen) and since(4, 21)(xen)),
    _setting("vmtrace_size", "Bytes of trace of each vCPU, a power of two", 0, _vmtrace_size, show.dec,
             write=_set_vmtrace, when=lambda xen: x86(xen) and since(4, 15)(xen)),
    _setting("vnuma", "NUMA nodes that it is to believe to have", None, lists.nodes, lists.show_nodes),
    _setting("llc_colors", "Colours of the last-level cache that its memory has, where Xen was booted with them",
             None, lists.colors, lists.show_colors, when=lambda xen: not x86(xen) and since(4, 20)(xen)),
    _setting("address_size", "Width of its addresses, 32 or 64, of a PV or an arm64 domain", "64",
             *_one_of(("32", "64")), write=_set_address_size),
    _setting("e820", "Map of memory that its kernel can ask Xen for, lines as in host/memory/e820; empty: none", (),
             e820.parse_map, e820.shown, when=x86, longest=e820.LONGEST),
)  # fmt: skip

ARCH = (
    _setting("arch/emulation", "Devices that Xen emulates: lapic alone is PVH", _emulation, _words, _show_words,
             write=_set_emulation, when=x86),
    _setting("arch/msr_relaxed", "Whether it may read MSRs that Xen does not know", False, parse.switch, show.flag,
             when=lambda xen: x86(xen) and since(4, 15)(xen)),
    _setting("arch/gic_version", "Interrupt controller: native is the host's, or v2, v3", "native",
             *_one_of(tuple(str(each.name).lower() for each in GicVersion)), when=lambda xen: not x86(xen)),
    _setting("arch/nr_spis", "How many shared interrupts it has", 0, parse.integer(0, 960, "number"), show.dec,
             when=lambda xen: not x86(xen)),
)  # fmt: skip
