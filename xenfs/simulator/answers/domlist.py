"""What Xen tells of domains without being asked for more: getdomaininfo, getdomaininfolist, get_domain_state."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from errno import EACCES, EINVAL, ESRCH
from operator import attrgetter

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
_WORTH_KEEPING, _MOST_KEPT = 64, 20_000  # domains in one list, and in all that are kept


class Rows:
    """Writes arrays of struct xen_domctl_getdomaininfo in this release's layout.

    All but the time and whether it runs is kept, packed, with each domain, and for many in a row as long as nothing
    changes: hosts of ten thousand domains are asked for many times a second.
    """

    def __init__(self, machine: Machine) -> None:
        layouts = machine.layouts
        self._machine, self._has_width = machine, layouts.has(STRUCT, "gpaddr_bits")
        self._packer = layouts.array(STRUCT, *MEMBERS, *(("gpaddr_bits",) if self._has_width else ()), "arch_config")
        self._flags, self._flags_at = layouts.format(STRUCT, "flags")
        self._time, self._time_at = layouts.format(STRUCT, "cpu_time")
        self.stride = self._packer.size
        self._kept: dict[tuple[int, int], _Listed] = {}

    def one(self, memory: memoryview, domain: Domain) -> None:
        """The struct of this one, at the start of the memory."""
        world = self._machine.world
        ticks = world.clock.ticks()
        row, runs = domain.info or self._pack(domain)
        memory[: self.stride] = row
        self._time.pack_into(memory, self._time_at, domain.used_ns + domain.rate * (ticks - domain.since))
        if domain.domid in world.placement.running(ticks):
            self._flags.pack_into(memory, self._flags_at, runs)

    def fill(self, memory: memoryview, listed: _Listed) -> None:
        """A struct for each of these."""
        world, domains = self._machine.world, listed.domains
        ticks = world.clock.ticks()
        memory[:] = listed.rows
        memory.cast("Q")[self._time_at // 8 :: self.stride // 8] = memoryview(listed.times(ticks)).cast("Q")
        for domid in world.placement.running(ticks):
            at = bisect_left(domains, domid, key=_domid)
            if at < len(domains) and domains[at].domid == domid:
                self._flags.pack_into(memory, at * self.stride + self._flags_at, listed.flags[at])

    def of(self, first: int, limit: int) -> _Listed:
        """At most so many domains from this id on, kept as long as nothing changes anywhere."""
        world = self._machine.world
        changes, kept = world.settled(), self._kept.get((first, limit))
        if kept is not None and kept.changes == changes:
            return kept
        domains = world.domains_from(first, limit)
        listed = _Listed(changes, domains, [each.info or self._pack(each) for each in domains], world.clock.ticks())
        if len(domains) >= _WORTH_KEEPING:
            if sum(len(each.domains) for each in self._kept.values()) > _MOST_KEPT:
                self._kept.clear()
            self._kept[first, limit] = listed
        return listed

    def _pack(self, domain: Domain) -> tuple[bytes, int]:
        """(its struct at time 0 while it does not run, its flags while it does)."""
        machine, existing = self._machine, domain.existing()
        online = sum(vcpu.online for vcpu in existing)
        flags, blocked = _flags(machine, domain), bool(online) and domain.waiting
        size = machine.layouts.field(STRUCT, "arch_config")[1]
        row = self._packer.pack(
            domain.domid, flags | (machine.constant("XEN_DOMINF_blocked") if blocked else 0), domain.tot_pages,
            domain.max_pages, domain.outstanding_pages, domain.shared_pages, domain.paged_pages,
            domain.shared_info_frame, 0, online, len(existing) - 1 if existing else NO_VCPU, domain.ssidref,
            domain.handle, domain.pool.id, *((GPADDR_BITS[machine.x86],) if self._has_width else ()),
            domain.emulation_flags if size in (4, 8) else domain.emulation_flags.to_bytes(4, "little"),
        )  # fmt: skip
        domain.info = row, flags | machine.constant("XEN_DOMINF_running")
        return domain.info


_domid = attrgetter("domid")


class _Listed:
    """Domains in the order of their ids: their structs at time 0, the flags of each while it runs, and its time."""

    def __init__(self, changes: int, domains: Sequence[Domain], infos: Sequence[tuple[bytes, int]], ticks: int) -> None:
        self.changes, self.domains, self._since = changes, domains, ticks
        self.rows, self.flags = b"".join([row for row, _ in infos]), [flags for _, flags in infos]
        self._times = _number(each.cpu_time(ticks) for each in domains)
        self._rates = _number(each.rate for each in domains)

    def times(self, ticks: int) -> bytes:
        """The CPU time of each, 8 bytes a domain. All are added up as one long number: that takes a tenth of the time
        of so many sums, and none is ever so large that it would carry into the next."""
        return (self._times + self._rates * (ticks - self._since)).to_bytes(8 * len(self.domains), "little")


def _number(words: Iterable[int]) -> int:
    return int.from_bytes(array("Q", words).tobytes(), "little")


def rows(machine: Machine) -> Rows:
    """Of this machine, made when it is first asked."""
    made: Rows | None = machine.domaininfo_rows
    if made is None:
        made = machine.domaininfo_rows = Rows(machine)
    return made


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
    packed = rows(xen)
    listed = packed.of(first, limit)
    found = len(listed.domains)
    if found:
        packed.fill(xen.at(address, found * packed.stride), listed)
    xen.put(op, "xen_sysctl_getdomaininfolist", num_domains=found)
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
    rows(xen).one(memory[xen.domctl_body :], domain)
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
