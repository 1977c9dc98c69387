"""The list of domains and what getdomaininfo says of each: the calls that nearly every file of a domain begins with."""

from __future__ import annotations

import errno
from bisect import insort
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from time import perf_counter_ns
from typing import Any, NamedTuple

from xenfs.abi import Abi
from xenfs.abi.numbers import Domctl, DomInf, Sysctl
from xenfs.abi.operations import operation
from xenfs.calls.control import domctl, sysctl, sysctls
from xenfs.calls.rows import Rows, freed, packer
from xenfs.errors import HypercallError, Stale, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain, Roll, Sight
from xenfs.hypervisor.sources import asks
from xenfs.politely import politely
from xenfs.pool import Buffer

NO_VCPU = 0xFFFFFFFF  # max_vcpu_id of a domain without vCPUs
GETDOMAININFO = operation(Domctl.getdomaininfo)
GETDOMAININFOLIST = operation(Sysctl.getdomaininfolist)
# Of one domain it takes nothing away, and may be asked again.
GET_DOMAIN_STATE = replace(operation(Domctl.get_domain_state), repeatable=True)

_TRIES = 16  # of who hears something else from Xen than other threads at the same time
_BATCH = 512  # domains a call: Xen holds its domain list lock meanwhile
_STRUCT = "struct xen_domctl_getdomaininfo"
Beside = Callable[[memoryview, int], object]
_tuple: Any = tuple.__new__  # what _make comes to, in half of its time: nearly every read of a domain's file makes two
_BODY = 16  # where the union of struct xen_domctl begins, in every release


class DomainInfo(NamedTuple):
    """What every struct xen_domctl_getdomaininfo has, of any release; sizes in pages, cpu_time in ns."""

    domain: int
    flags: int
    tot_pages: int
    max_pages: int
    outstanding_pages: int
    shr_pages: int
    paged_pages: int
    shared_info_frame: int
    cpu_time: int
    nr_online_vcpus: int
    max_vcpu_id: int
    ssidref: int
    handle: bytes
    cpupool: int
    gpaddr_bits: int
    emulation_flags: int

    @property
    def dying(self) -> bool:
        """True while Xen takes the domain apart."""
        return bool(self.flags & DomInf.dying)

    @property
    def has_vcpus(self) -> bool:
        """Whether its vCPUs have been made: a domain that is still being built has none."""
        return self.max_vcpu_id != NO_VCPU

    def sight(self, unique_id: int = 0) -> Sight:
        """What of this tells one life of a domain from another."""
        sight: Sight = _tuple(Sight, (self.handle, self.flags, self.cpu_time, self.shared_info_frame, unique_id))
        return sight


@cache
def _rows(abi: Abi) -> Rows:
    return Rows(abi, _STRUCT, (*DomainInfo._fields[:-1], "arch_config.emulation_flags"))


@cache
def _question(abi: Abi) -> tuple[Callable[..., bytes], Rows]:
    """How the first members of a domctl are packed, and how the answer is unpacked."""
    return packer(abi, "struct xen_domctl", "cmd", "interface_version", "domain").pack, _rows(abi)


def info_now(xen: Hypervisor, domid: int) -> DomainInfo | None:
    """What getdomaininfo says of this id now, None where there is no such domain; domctl getdomaininfo."""
    pack, rows = _question(xen.abi)  # not by `domctl`: all of it is looked at, by nearly every read of a domain's file
    try:
        answer = xen.ask(GETDOMAININFO, pack(GETDOMAININFO.cmd, xen.abi.domctl, domid), domid)
    except HypercallError as problem:
        if problem.errno in (errno.ESRCH, errno.EINVAL):  # EINVAL up to 4.17, for ids that no domain can have
            return None
        raise
    info = _tuple(DomainInfo, rows.one(answer, _BODY))
    return info if info.domain == domid else None  # up to 4.17 Xen answers with the next domain that exists


def unique_id(xen: Hypervisor, domid: int) -> int:
    """Xen's own number for this life of a domain, 0 before Xen 4.21; domctl get_domain_state."""
    if xen.abi.release < (4, 21):
        return 0
    return int(domctl(xen, GET_DOMAIN_STATE, domid, "get_domain_state", version=0).unique_id)


def seen_now(xen: Hypervisor, domid: int) -> tuple[Domain, DomainInfo] | None:
    """The life that goes on under this id, and what getdomaininfo says of it; None where there is none."""
    for _ in range(_TRIES):
        asked = perf_counter_ns()
        info = info_now(xen, domid)
        if info is None:
            xen.lives.gone(domid, asked)
            return None
        life = xen.lives.observe(domid, info.sight(_identity(xen, domid)), asked)
        if life is not None:
            return life, info
    return None


def life_now(xen: Hypervisor, domid: int) -> Domain | None:
    """The life that goes on under this id, None where there is none."""
    seen = seen_now(xen, domid)
    return seen and seen[0]


def _identity(xen: Hypervisor, domid: int) -> int:
    if xen.abi.release < (4, 21):
        return 0
    try:
        return unique_id(xen, domid)
    except HypercallError:
        return 0


@asks(GETDOMAININFO, checked=True)
def info(xen: Hypervisor, domain: Domain) -> DomainInfo:
    """What getdomaininfo says of this life of a domain; Stale when it is over."""
    seen = seen_now(xen, domain.domid)
    if seen is None:
        raise Stale(f"domain {domain.domid}")
    if seen[0] != domain:
        raise Stale(f"domain {domain.domid} (the id has another domain now)")
    return seen[1]


def require_now(xen: Hypervisor, domain: Domain, *_: object) -> DomainInfo:
    """Raise Stale unless this life of a domain goes on; what getdomaininfo says of it."""
    return info(xen, domain)


def require_same(xen: Hypervisor, domain: Domain, *_: object) -> DomainInfo | None:
    """Raise Stale where the id has another domain by now: what was done a moment ago may have been done to that one.

    What getdomaininfo says of it now, None of a domain that is gone: it may just have been ended. None, too, where Xen
    does not say.
    """
    try:
        seen = seen_now(xen, domain.domid)
    except HypercallError:
        return None
    if seen is not None and seen[0] != domain:
        raise Stale(f"domain {domain.domid} (the id has another domain, and may have had it when this was done)")
    return seen and seen[1]


def infos(xen: Hypervisor, beside: Beside | None = None) -> list[DomainInfo]:
    """Every domain in the order of ids; `beside` is shown each batch as it lies in memory. sysctl getdomaininfolist."""
    return list(map(DomainInfo._make, politely(freed(_listed(xen, _rows(xen.abi), beside)))))


def rows(xen: Hypervisor) -> list[tuple[Any, ...]]:
    """The same as plain tuples, with the members of DomainInfo in order: for who looks at each of them once."""
    return _listed(xen, _rows(xen.abi))


def infos_from(xen: Hypervisor, first: int, most: int) -> list[DomainInfo]:
    """The same of at most so many, from this id on; of one alone by domctl getdomaininfo."""
    if most == 1 or GETDOMAININFOLIST.hypercall.name in xen.unusable:
        found = info_now(xen, first)
        return [found] if found else []
    layout = _rows(xen.abi)
    with xen.pool.take(layout.stride * most) as buf:
        arm = sysctl(
            xen, GETDOMAININFOLIST, "getdomaininfolist",
            first_domain=first, max_domains=most, buffer=(buf, layout.stride * most),
        )  # fmt: skip
        return list(map(DomainInfo._make, layout(buf.memory, arm.num_domains)))


def _listed(xen: Hypervisor, rows: Rows, beside: Beside | None = None) -> list[tuple[Any, ...]]:
    """A row for each domain, the id first, a batch a call."""
    found: list[tuple[Any, ...]] = []
    with xen.pool.take(rows.stride * _BATCH) as buf:
        for count in _batches(xen, rows, buf):
            found += politely(rows(buf.memory, count))
            if beside is not None:
                beside(buf.memory, count)
    return found


def _batches(xen: Hypervisor, rows: Rows, buf: Buffer) -> Iterator[int]:
    """How many structs of each batch are in the buffer; when the next one is asked for, they are gone."""
    first, room = 0, (buf, rows.stride * _BATCH)
    with sysctls(xen, GETDOMAININFOLIST, "getdomaininfolist", max_domains=_BATCH, buffer=room) as ask:
        while True:
            count = min(ask(first_domain=first, num_domains=0).num_domains, _BATCH)
            yield count
            if count < _BATCH:
                return
            last, *_ = rows.one(buf.memory, rows.stride * (count - 1))
            if last < first:  # or an answer that makes no sense would be asked for for good
                raise XenfsError(f"{GETDOMAININFOLIST.name}: domain {last} comes after {first}")
            first = last + 1


def identities(xen: Hypervisor) -> list[tuple[Any, ...]]:
    """(id, UUID) of every domain; sysctl getdomaininfolist."""
    return _listed(xen, _identities(xen.abi))


def living(xen: Hypervisor, beside: Beside | None = None) -> list[tuple[Domain, DomainInfo]]:
    """Every domain with the life that it is in; `beside` as `infos` has it."""
    asked = perf_counter_ns()
    found = infos(xen, beside)
    xen.lives.keep_only((info.domain for info in found), asked)
    observe = xen.lives.observe
    seen, unsure = list[tuple[Domain, DomainInfo]](), list[int]()
    for info in politely(found):
        life = observe(info.domain, info.sight(), asked)
        if life is not None:
            seen.append((life, info))
        else:
            unsure.append(info.domain)
    for domid in unsure:
        with suppress(HypercallError):
            if again := seen_now(xen, domid):
                insort(seen, again, key=lambda each: each[0].domid)
    return seen


def named(xen: Hypervisor) -> list[tuple[str, Domain]]:
    """(id as text, life) of every domain: the same list again as long as neither ids nor UUIDs have changed.

    What else tells lives apart is looked at when a file of the domain is used, and by every other call here. Ids and
    UUIDs are compared as they lie in memory: to make ten thousand rows of them takes eight times as long.
    """
    layout = _identities(xen.abi)
    with xen.pool.take(layout.stride * _BATCH) as buf:
        now = [layout.columns(buf.memory, count) for count in politely(_batches(xen, layout, buf), 1)]
    roll = xen.lives.roll
    if roll is None or roll.identities != now or roll.changes != xen.lives.changes:
        roll = _roll(xen, layout)
    return roll.names


def _roll(xen: Hypervisor, layout: Rows) -> Roll:
    """One that is kept only if it has been true at one time: who ended meanwhile may be back when it is looked at."""
    now, listed = list[bytes](), list[int]()

    def beside(memory: memoryview, count: int) -> None:
        now.append(layout.columns(memory, count))
        listed.append(count)

    names = [(str(domain.domid), domain) for domain, _ in living(xen, beside)]
    roll = Roll(now, xen.lives.changes, names)
    ended = xen.lives.ended
    if len(names) == sum(listed) and not any(ended(domain) for _, domain in politely(names)):
        xen.lives.roll = roll
    return roll


@cache
def _identities(abi: Abi) -> Rows:
    return Rows(abi, _STRUCT, ("domain", "handle"))


def whole_info(xen: Hypervisor, domain: Domain) -> Any:
    """The whole struct xen_domctl_getdomaininfo of this life of a domain; Stale when it is over."""
    info(xen, domain)
    found = domctl(xen, GETDOMAININFO, domain.domid, "getdomaininfo")
    if found.domain != domain.domid or bytes(found.handle) != info(xen, domain).handle:
        raise Stale(f"domain {domain.domid}")
    return found
