"""What Xen tells of domains without being asked for more: getdomaininfo, getdomaininfolist, get_domain_state."""

from __future__ import annotations

from collections.abc import Callable
from errno import EACCES, EINVAL, ESRCH
from typing import Any

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import DEAD, DYING, NOT_SHUT_DOWN, Domain
from xenfs.simulator.world.world import FIRST_RESERVED

STRUCT = "xen_domctl_getdomaininfo"
MEMBERS = (
    "domain", "flags", "tot_pages", "max_pages", "outstanding_pages", "shr_pages", "paged_pages", "shared_info_frame",
    "cpu_time", "nr_online_vcpus", "max_vcpu_id", "ssidref", "handle", "cpupool",
)  # fmt: skip
DOMID_INVALID = 0x7FF4
GPADDR_BITS = {True: 46, False: 44}
NO_VCPU = 0xFFFFFFFF

Fill = Callable[[memoryview, int, Domain, int, Any], None]
"""fill(memory, offset, domain, ticks, who runs): one struct xen_domctl_getdomaininfo."""


def filler(machine: Machine) -> tuple[Fill, int]:
    """A function that writes the info of a domain in this release's layout, and how many bytes it writes."""
    made: tuple[Fill, int] | None = machine.domaininfo_filler
    if made is None:
        made = machine.domaininfo_filler = _filler(machine)
    return made


def _filler(machine: Machine) -> tuple[Fill, int]:
    layouts = machine.layouts
    has_width = layouts.has(STRUCT, "gpaddr_bits")
    members = (*MEMBERS, "gpaddr_bits", "arch_config") if has_width else (*MEMBERS, "arch_config")
    packer = layouts.array(STRUCT, *members)
    pack_into = packer.pack_into
    running, blocked = layouts.constants("XEN_DOMINF_running", "XEN_DOMINF_blocked")

    def fill(memory: memoryview, offset: int, domain: Domain, ticks: int, runs: Any) -> None:
        info = domain.info
        if info is None:
            info = domain.info = _constant_part(machine, domain, has_width)
        flags, waiting, before, after = info
        if domain.domid in runs:
            flags |= running
        elif waiting:
            flags |= blocked
        time = domain.used_ns + domain.rate * (ticks - domain.since)
        pack_into(memory, offset, domain.domid, flags, *before, time, *after)

    return fill, packer.size


def _constant_part(machine: Machine, domain: Domain, has_width: bool) -> tuple[Any, ...]:
    """(flags, whether it is blocked when it does not run, members before cpu_time, members after it)."""
    online = sum(vcpu.online for vcpu in domain.existing())
    before = (
        domain.tot_pages, domain.max_pages, domain.outstanding_pages, domain.shared_pages, domain.paged_pages,
        domain.shared_info_frame,
    )  # fmt: skip
    width = (GPADDR_BITS[machine.x86],) if has_width else ()
    size = machine.layouts.field(STRUCT, "arch_config")[1]
    arch: int | bytes = domain.emulation_flags if size in (4, 8) else domain.emulation_flags.to_bytes(4, "little")
    highest = len(domain.existing()) - 1 if domain.existing() else NO_VCPU
    after = (online, highest, domain.ssidref, domain.handle, domain.pool.id, *width, arch)
    return _flags(machine, domain), bool(online) and domain.waiting, before, after


def _flags(machine: Machine, domain: Domain) -> int:
    flag = machine.constant
    code = domain.shutdown_code if domain.shutdown_code != NOT_SHUT_DOWN else 0xFFFF
    return (
        code << flag("XEN_DOMINF_shutdownshift") & 0xFFFFFFFF
        | (flag("XEN_DOMINF_dying") if domain.dying == DEAD else 0)
        | (flag("XEN_DOMINF_hvm_guest") if domain.hvm else 0)
        | (flag("XEN_DOMINF_shutdown") if domain.shutdown_code != NOT_SHUT_DOWN else 0)
        | (flag("XEN_DOMINF_paused") if domain.pause_count else 0)
        | (flag("XEN_DOMINF_xs_domain") if domain.xenstored else 0)
        | (flag("XEN_DOMINF_hap") if domain.hap else 0)
    )


def getdomaininfolist(xen: Machine, op: memoryview) -> int:
    """At most max_domains domains with ids from first_domain on."""
    first, limit, address = xen.get(op, "xen_sysctl_getdomaininfolist", "first_domain", "max_domains", "buffer")
    fill, stride = filler(xen)
    world = xen.world
    ticks = world.clock.ticks()
    runs = world.placement.running(ticks)
    found = world.domains_from(first, limit)
    memory = xen.at(address, len(found) * stride)
    offset = 0
    for domain in found:
        fill(memory, offset, domain, ticks, runs)
        offset += stride
    xen.put(op, "xen_sysctl_getdomaininfolist", num_domains=len(found))
    return 0


def getdomaininfo(xen: Machine, memory: memoryview) -> int:
    """One domain. Up to 4.17 the next one, where there is none with that id; ESRCH since 4.18."""
    (domid,) = xen.get(memory, "xen_domctl", "domain")
    world = xen.world
    domain = world.domain(domid)
    if domain is None and xen.release < (4, 18):
        if domid >= FIRST_RESERVED:
            return -EINVAL
        domain = _next(xen, domid)
    if domain is None:
        return -ESRCH
    ticks = world.clock.ticks()
    filler(xen)[0](memory, xen.domctl_body, domain, ticks, world.placement.running(ticks))
    if domain.domid != domid:
        xen.put(memory, "xen_domctl", domain=domain.domid)
    return 0


def _next(xen: Machine, domid: int) -> Domain | None:
    found = xen.world.domains_from(domid, 1)
    return found[0] if found else None


def get_domain_state(xen: Machine, memory: memoryview) -> int:
    """Stable, since 4.21: state, capabilities and unique id of a domain; EACCES for the walk that is xenstored's."""
    (domid,) = xen.get(memory, "xen_domctl", "domain")
    body = memory[xen.layouts.offset("xen_domctl", "u") :]
    domain = xen.world.domain(domid)
    if domain is None and domid != DOMID_INVALID:
        return -ESRCH
    if xen.get(body, "xen_domctl_get_domain_state", "pad0") != (0,):
        return -EINVAL
    if domain is None:
        return -EACCES
    xen.put(
        body, "xen_domctl_get_domain_state",
        state=_state(xen, domain), caps=domain.capabilities, unique_id=domain.unique_id,
    )  # fmt: skip
    return 0


def _state(xen: Machine, domain: Domain) -> int:
    exist, shutdown, dying, dead = xen.layouts.constants(
        *(f"XEN_DOMCTL_GETDOMSTATE_STATE_{name}" for name in ("EXIST", "SHUTDOWN", "DYING", "DEAD"))
    )
    after = {DYING: dying, DEAD: dead}.get(domain.dying, 0)
    return exist | after | (shutdown if domain.shutdown_code != NOT_SHUT_DOWN else 0)


SYSCTL: Answers = {"XEN_SYSCTL_getdomaininfolist": getdomaininfolist}
DOMCTL: Answers = {
    "XEN_DOMCTL_getdomaininfo": getdomaininfo,
    "XEN_DOMCTL_get_domain_state": get_domain_state,
}
