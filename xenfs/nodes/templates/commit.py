"""templates/<t>/commit: a domain is made of a template, step by step as a toolstack does, or not at all."""

from __future__ import annotations

import errno
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from xenfs.abi.numbers import Altp2mMode, CreateFlag, GicVersion, HvmParam, IommuOpt, X86Emulation
from xenfs.calls import create, domain_memory, domains, domctl, hvm, lifecycle, memory, pools, vnuma
from xenfs.calls.again import again
from xenfs.errors import BadInput, HypercallError, XenfsError, errno_name
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.foreign import PAGE
from xenfs.hypervisor.templates import Template
from xenfs.nodes.domains.asking import store
from xenfs.nodes.domains.introduction import About, Introduction, Step
from xenfs.nodes.tables import parse
from xenfs.nodes.tables.conditions import since, x86
from xenfs.nodes.tables.forms import formed
from xenfs.nodes.tables.refusals import Refusals
from xenfs.nodes.templates.settings import is_hvm, most_vcpus, settled, value
from xenfs.xenstore.names import name_path

ANY = None
_LAST_DOMID = 0x7FEF
_MIB = 1 << 20
_PAGES_A_VCPU, _PAGES_A_MIB = 256, 2  # of page tables: what libxl takes


@formed(f"any, or a number from 1 to {_LAST_DOMID}", ranged=True)
def wanted_domid(text: str) -> int | None:
    """The id that the domain is to have, None for any."""
    return ANY if text.strip(" \t") == "any" else parse.integer(1, _LAST_DOMID, "domain id, or any")(text)


def members(xen: Hypervisor, template: Template) -> dict[str, Any]:
    """What createdomain is told, by the names of its struct in this release."""

    def get(name: str) -> Any:
        return value(xen, template, name)

    iommu = get("iommu")
    flags = sum(CreateFlag[word] for word in get("flags")) | (CreateFlag.iommu if iommu != "off" else 0)
    found: dict[str, Any] = {
        "ssidref": get("ssid"), "flags": flags, "iommu_opts": IommuOpt.no_sharept if iommu == "no_sharept" else 0,
        "max_vcpus": get("max_vcpus"), "max_evtchn_port": get("evtchn_ports"),
        "max_grant_frames": _or_host(get("grant_frames")), "max_maptrack_frames": _or_host(get("maptrack_frames")),
    }  # fmt: skip
    arrived = {
        (4, 15): {"vmtrace_size": get("vmtrace_size")}, (4, 16): {"grant_opts": get("grant_version")},
        (4, 17): {"cpupool_id": get("cpupool")}, (4, 19): _altp2m(xen, template),
    }  # fmt: skip
    for release, those in arrived.items():
        found |= those if since(*release)(xen) else {}
    return found | {"arch": _arch(xen, template)}


def _or_host(number: int | None) -> int:
    return -1 if number is None else number


def _altp2m(xen: Hypervisor, template: Template) -> dict[str, Any]:
    mode = _mode(value(xen, template, "altp2m"))
    if since(4, 21)(xen):
        return {"altp2m": {"opts": mode, "nr": value(xen, template, "altp2m_views") if mode else 0}}
    return {"altp2m_opts": mode}


def _mode(word: str) -> int:
    return 0 if word == "off" else Altp2mMode[word]


def _arch(xen: Hypervisor, template: Template) -> dict[str, Any]:
    if not x86(xen):
        gic = GicVersion[value(xen, template, "arch/gic_version").upper()]
        return {"gic_version": gic, "nr_spis": value(xen, template, "arch/nr_spis")}
    emulated = sum(X86Emulation[word.upper()] for word in value(xen, template, "arch/emulation"))
    relaxed = {"misc_flags": int(value(xen, template, "arch/msr_relaxed"))} if since(4, 15)(xen) else {}
    return {"emulation_flags": emulated, **relaxed}


def _require_consistent(xen: Hypervisor, template: Template) -> None:
    """What only shows when all settings are looked at together, and what Xen would say EINVAL of without a word."""
    hvm_guest, emulated = is_hvm(xen, template), set(value(xen, template, "arch/emulation")) if x86(xen) else set()
    flags = value(xen, template, "flags")
    if hvm_guest != bool(emulated) and x86(xen):
        raise BadInput(f"arch/emulation must be {'lapic or more' if hvm_guest else 'empty'} with these flags", at=0)
    if value(xen, template, "address_size") == "32" and hvm_guest and x86(xen):
        raise BadInput("address_size 32 is of PV domains", at=0)
    if _mode(value(xen, template, "altp2m")) and ("hap" not in flags or "nested_virt" in flags):
        raise BadInput("altp2m needs hap, and no nested_virt", at=0)
    if value(xen, template, "max_vcpus") > most_vcpus(xen, template):
        raise BadInput(f"such a domain has at most {most_vcpus(xen, template)} vCPUs", errno.ERANGE, at=0)
    nodes = value(xen, template, "vnuma")
    if nodes and len(nodes.topology.vcpu_nodes) != value(xen, template, "max_vcpus"):
        raise BadInput(f"vnuma is of {len(nodes.topology.vcpu_nodes)} vCPUs, and max_vcpus says otherwise", at=0)
    if value(xen, template, "vmtrace_size") and not hvm_guest:
        raise BadInput("vmtrace_size is of HVM domains", at=0)


def _steps(
    xen: Hypervisor, template: Template, domid: int, handle: bytes, introduction: Introduction | None
) -> Iterator[Step]:
    """What follows createdomain, in Xen's order: all that the number of vCPUs and their kind decide, then memory."""

    def get(name: str) -> Any:
        return value(xen, template, name)

    hvm_guest, pool, mode = is_hvm(xen, template), get("cpupool"), _mode(get("altp2m"))
    if colors := get("llc_colors"):  # before it has any memory
        yield "llc_colors", lambda: create.set_llc_colors(xen, domid, colors)
    if pool and not since(4, 17)(xen):
        yield "cpupool", lambda: pools.move_domain(xen, domid, pool)
    yield "max_vcpus", lambda: create.max_vcpus(xen, domid, get("max_vcpus"))
    if get("address_size") == "32" or not x86(xen):  # Arm's are of 32 until somebody says otherwise
        yield "address_size", lambda: create.set_address_size(xen, domid, int(get("address_size")))
    yield "max_mem_kb", lambda: domctl.set_max_mem(xen, domid, get("max_mem_kb"))
    if nodes := get("vnuma"):
        yield "vnuma", lambda: vnuma.give(xen, domid, *nodes)
    if get("e820"):
        yield "e820", lambda: memory.set_memory_map(xen, domid, get("e820"))
    if mode and not since(4, 19)(xen):
        yield "altp2m", lambda: hvm.set_param(xen, domid, HvmParam.ALTP2M, mode)
    if hvm_guest:
        yield "paging_pool_bytes", lambda: _set_paging_pool(xen, domid, _paging_pool(xen, template))
    if introduction is not None:
        yield from introduction.steps()
    yield "uuid", lambda: lifecycle.rename(xen, domid, handle)  # whoever was ended before is known by the other


def _paging_pool(xen: Hypervisor, template: Template) -> int:
    given = value(xen, template, "paging_pool_bytes")
    if given is not None:
        return int(given)
    mib = -(-value(xen, template, "max_mem_kb") // 1024)
    return int(_PAGES_A_VCPU * value(xen, template, "max_vcpus") + _PAGES_A_MIB * mib + 512) * PAGE


def _set_paging_pool(xen: Hypervisor, domid: int, nbytes: int) -> None:
    """In whole MiB before Xen 4.17; on Arm only a security fix brought it there."""
    if since(4, 17)(xen):
        again(lambda: domain_memory.set_paging_pool(xen, domid, nbytes), (errno.EAGAIN,))
    elif x86(xen):
        domain_memory.set_paging_pool_mib(xen, domid, -(-nbytes // _MIB))
    else:
        with suppress(HypercallError):
            domain_memory.set_paging_pool_mib(xen, domid, -(-nbytes // _MIB))


def commit(xen: Hypervisor, template: Template, wanted: int | None) -> int:
    """Make a domain; its id. Whatever fails, nothing of it is left, and the message says which step it was."""
    template = settled(xen, template)
    _require_consistent(xen, template)
    _require_new(xen, template)
    handle = value(xen, template, "uuid") or uuid.uuid4().bytes
    try:
        domid = create.create(xen, wanted, create.marked(), members(xen, template))
    except HypercallError as problem:
        raise _failed("createdomain", problem, wanted) from problem
    introduction = _introduction(xen, template, domid, handle)
    for step, work in _steps(xen, template, domid, handle, introduction):
        try:
            work()
        except XenfsError as problem:
            if introduction is not None:
                introduction.undo()
            again(lambda: domctl.destroy(xen, domid), (errno.EAGAIN,))
            raise _failed(step, problem, wanted) from problem
    return domid


def _require_new(xen: Hypervisor, template: Template) -> None:
    """That nobody has its UUID or its name."""
    taken, called, others = value(xen, template, "uuid"), value(xen, template, "name"), domains.identities(xen)
    if taken is not None and any(handle == taken for _, handle in others):
        raise BadInput("there is a domain with this template's uuid", errno.EEXIST, at=0)
    if called and called.encode() in store(xen).read_many([name_path(domid) for domid, _ in others]):
        raise BadInput("there is a domain with this template's name", errno.EEXIST, at=0)


def _introduction(xen: Hypervisor, template: Template, domid: int, handle: bytes) -> Introduction | None:
    """None where it is to have no name: then xenstore hears nothing of it."""
    called = value(xen, template, "name")
    if not called:
        return None
    emulated = set(value(xen, template, "arch/emulation")) if x86(xen) else set()
    kind = "pv" if not is_hvm(xen, template) else "pvh" if emulated <= {"lapic"} else "hvm"
    vcpus, kib = value(xen, template, "max_vcpus"), value(xen, template, "max_mem_kb")
    return Introduction(xen, domid, About(called, handle, kind, vcpus, kib))


def _failed(step: str, problem: XenfsError, wanted: int | None) -> BadInput:
    taken = problem.errno == errno.EEXIST and wanted is not None
    why = f"there is a domain {wanted}" if taken else f"Xen says {errno_name(problem.errno)}: {problem}"
    return BadInput(f"nothing was made: {step} failed; {why}", problem.errno, at=0)


def orphans(xen: Hypervisor) -> list[int]:
    """Domains that were begun and never finished, by an xenfs that was ended meanwhile, or by one that is at it."""
    return [domid for domid, handle in domains.identities(xen) if create.is_marked(handle)]


def name_orphans(xen: Hypervisor, refusals: Refusals) -> None:
    """Say in xenfs/error_log which there are. Nothing is done to them: another xenfs may be making one right now."""
    try:
        found = orphans(xen)
    except XenfsError:
        return  # Xen lists no domains: then there is nothing to be made of templates either
    for domid in found:
        why = "this domain was begun by templates/ and never finished: a write of 1 to its kill ends it"
        refusals.add(f"domains/{domid}", b"", BadInput(why, errno.EOWNERDEAD))
