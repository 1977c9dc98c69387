"""What createdomain is told about a domain to be, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from errno import EINVAL, EOPNOTSUPP

from xenfs.simulator.machine import Machine
from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.refused import Refused

STRUCT = "xen_domctl_createdomain"
MAX_VCPUS = {"pv": 8192, "hvm": 128}
MAX_GRANT_VERSION = 2
UNSUPPORTED = ("vpmu", "nested_virt", "s3_integrity")


@dataclass
class Config:
    """The part that the pretended Xen makes use of."""

    handle: bytes
    hvm: bool
    hap: bool
    xenstored: bool
    max_vcpus: int
    pool: int
    emulation: int
    ssidref: int = 0
    iommu: bool = False


def read(xen: Machine, op: memoryview) -> Config:
    """The configuration; EINVAL for flags that this release does not know and for numbers that it does not take."""
    flags, iommu_opts, max_vcpus = xen.get(op, STRUCT, "flags", "iommu_opts", "max_vcpus")
    (handle,) = xen.get(op, STRUCT, "handle")
    flag = {name: bool(flags & _flag(xen, name)) for name in ("hvm", "hap", "xs_domain", "iommu", *UNSUPPORTED)}
    kind = "hvm" if flag["hvm"] else "pv"
    refused = (
        flags & ~_known_flags(xen)
        or any(flag[name] for name in UNSUPPORTED)
        or not 1 <= max_vcpus <= MAX_VCPUS[kind]
        or (flag["hap"] and not flag["hvm"])
        or (iommu_opts and not flag["iommu"])
        or (flag["iommu"] and not xen.iommu)
        or (not xen.x86 and flags & ~_optional_on_arm(xen) != _flag(xen, "hvm") | _flag(xen, "hap"))
        or _refused_numbers(xen, op)
    )
    if refused:
        raise Refused(EINVAL)
    if flag["hvm"] and not flag["hap"] and not xen.settings.shadow:
        raise Refused(EINVAL if xen.release >= (4, 22) else EOPNOTSUPP)
    pool = xen.get(op, STRUCT, "cpupool_id")[0] if xen.layouts.has(STRUCT, "cpupool_id") else 0
    (ssidref,) = xen.get(op, STRUCT, "ssidref")
    if xen.world.policy is not None:
        ssidref = xen.world.policy.created(ssidref)
    emulated = _emulation(xen, op, kind)
    return Config(
        handle, flag["hvm"], flag["hap"], flag["xs_domain"], max_vcpus, pool, emulated, ssidref, flag["iommu"]
    )


def _flag(xen: Machine, name: str) -> int:
    constant = f"XEN_DOMCTL_CDF_{name}"
    return xen.constant(constant) if xen.layouts.defines(constant) else 0


def _known_flags(xen: Machine) -> int:
    highest = xen.constant("XEN_DOMCTL_CDF_MAX")
    known = highest * 2 - 1
    return known & ~_flag(xen, "trap_unmapped_accesses") if xen.x86 else known


def _optional_on_arm(xen: Machine) -> int:
    names = ["iommu", *(["vpmu"] if xen.release >= (4, 16) else [])]
    names += ["xs_domain", "trap_unmapped_accesses"] if xen.release >= (4, 21) else []
    return sum(_flag(xen, name) for name in names)


def _refused_numbers(xen: Machine, op: memoryview) -> bool:
    """Members that came later: grant_opts needs a version since 4.16, an altp2m mode a number of views since 4.21."""
    has = xen.layouts.has
    if has(STRUCT, "grant_opts"):
        (options,) = xen.get(op, STRUCT, "grant_opts")
        if not 1 <= options <= MAX_GRANT_VERSION:
            return True
    if has(STRUCT, "vmtrace_size") and xen.get(op, STRUCT, "vmtrace_size") != (0,):
        return True
    if has(STRUCT, "altp2m.opts"):
        options, views = xen.get(op, STRUCT, "altp2m.opts", "altp2m.nr")
        return bool(options & ~3 or bool(options) != bool(views) or views > 512 or (options and not xen.x86))
    if has(STRUCT, "altp2m_opts"):
        (options,) = xen.get(op, STRUCT, "altp2m_opts")
        return bool(options & ~3 or (options and not xen.x86))
    return False


def _emulation(xen: Machine, op: memoryview, kind: str) -> int:
    """Which devices Xen emulates: none for PV; a local APIC or all but vPCI for the others, on x86."""
    arch = op[xen.layouts.offset(STRUCT, "arch") :]
    if not xen.x86:
        pad = xen.layouts.has("xen_arch_domainconfig", "pad") and xen.get(arch, "xen_arch_domainconfig", "pad") != (0,)
        if pad:
            raise Refused(EINVAL)
        return 0
    (emulated,) = xen.get(arch, "xen_arch_domainconfig", "emulation_flags")
    if xen.layouts.has("xen_arch_domainconfig", "misc_flags"):
        (misc,) = xen.get(arch, "xen_arch_domainconfig", "misc_flags")
        if misc & ~1:
            raise Refused(EINVAL)
    apic, every, vpci, pirq = (xen.constant(f"XEN_X86_EMU_{name}") for name in ("LAPIC", "ALL", "VPCI", "USE_PIRQ"))
    allowed = {0} if kind == "pv" else {apic, every & ~vpci}
    if kind == "hvm" and xen.release >= (4, 19):
        allowed.add(every & ~vpci & ~pirq)
    if emulated not in allowed:
        raise Refused(EINVAL)
    return int(emulated)


def build(xen: Machine, domid: int, config: Config) -> Domain:
    """The domain: paused once, without memory, its vCPUs still to be made."""
    apic = xen.constant("XEN_X86_EMU_LAPIC") if xen.x86 else 0
    kind = "pv" if not config.hvm else "pvh" if config.emulation == apic else "hvm"
    domain = xen.world.build(domid, config.handle, kind, config.pool, config.hap)
    domain.emulation_flags, domain.xenstored = config.emulation, config.xenstored
    domain.kept["iommu"], domain.bare = config.iommu, True
    if not xen.x86:
        domain.kept["address_size"] = 32
    domain.max_vcpus = config.max_vcpus
    domain.ssidref = config.ssidref if xen.world.policy else 0
    domain.vcpus = [None] * config.max_vcpus
    return domain
