"""domains/: every domain, by id, by name and by UUID.

This file has the table of domains/<d>/; each file beside it has the part of it with the same name, own.py the
conditions and facts.py the words for what getdomaininfo says. Open this file first.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from functools import partial

from xenfs.abi.numbers import Domid, DomInf
from xenfs.calls import domains, domctl, neighbours
from xenfs.calls.domains import DomainInfo, info
from xenfs.calls.rows import freed
from xenfs.connect.own import own_domid
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.hypervisor.sources import asks
from xenfs.nodes.domains import facts, introduction, names
from xenfs.nodes.domains.access import ACCESS, TARGET
from xenfs.nodes.domains.affinity import NODE_AFFINITY
from xenfs.nodes.domains.console import CONSOLE
from xenfs.nodes.domains.cpuid import CPUID
from xenfs.nodes.domains.debug import DEBUG
from xenfs.nodes.domains.device_model import DM
from xenfs.nodes.domains.devices import DEVICE_STAT, DEVICES
from xenfs.nodes.domains.events import EVENTS
from xenfs.nodes.domains.grants import EVTCHN, GRANTS
from xenfs.nodes.domains.guest_type import ADDRESS_SIZE, TIME, TSC
from xenfs.nodes.domains.hvm import HVM
from xenfs.nodes.domains.lifecycle import ENDS, NR_VCPUS, SOFT_RESET, STATE, TRIGGER, rename
from xenfs.nodes.domains.logdirty import LOGDIRTY
from xenfs.nodes.domains.memory import MORE_MEMORY
from xenfs.nodes.domains.monitor import MONITOR
from xenfs.nodes.domains.moves import CPUPOOL
from xenfs.nodes.domains.own import require_other
from xenfs.nodes.domains.pages import FORKS, PAGES
from xenfs.nodes.domains.passthrough import PASSTHROUGH
from xenfs.nodes.domains.psr import DOMAIN_PSR
from xenfs.nodes.domains.request import NR_VCPUS_TARGET, REQUEST, STATIC_MAX_KB, TARGET_KB
from xenfs.nodes.domains.sched import SCHED
from xenfs.nodes.domains.uptime import UPTIME
from xenfs.nodes.domains.vcpu_affinity import DOMAIN_AFFINITY
from xenfs.nodes.domains.vcpus import VCPUS, vcpu_stat
from xenfs.nodes.domains.watchdog import WATCHDOG
from xenfs.nodes.flask import CONTEXT
from xenfs.nodes.host.device_tree import ATTACH as DT_OVERLAY
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, Each, File, Link, Reader, field
from xenfs.nodes.tables.conditions import answers
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.guard import Guard
from xenfs.nodes.tables.members import members


def _find(xen: Hypervisor, name: str) -> Domain | None:
    if not (name.isascii() and name.isdecimal()) or len(name) > 5 or str(int(name)) != name:
        return None
    domid = int(name)
    return neighbours.life_recent(xen, domid) if domid < Domid.FIRST_RESERVED else None


def _stat(xen: Hypervisor) -> Iterator[str]:
    return facts.stat_lines(xen, freed(domains.rows(xen)))


@asks(domains.GETDOMAININFO, checked=True)
def _info(xen: Hypervisor, domain: Domain) -> str:
    return show.flat(members(xen.abi, domains.whole_info(xen, domain)))


def _shown(what: Callable[[DomainInfo], str]) -> Reader:
    """A reader of one fact that getdomaininfo's numbers give."""

    @asks(domains.GETDOMAININFO, checked=True)
    def read(xen: Hypervisor, domain: Domain) -> str:
        return what(info(xen, domain))

    return read


@asks(domains.GETDOMAININFO, checked=True)
def _kind(xen: Hypervisor, domain: Domain) -> str:
    return facts.kind(xen, info(xen, domain))


def _set_max(xen: Hypervisor, domain: Domain, kib: int | None) -> None:
    domctl.set_max_mem(xen, domain.domid, 2**64 - 1 if kib is None else kib)


def _frozen(info: DomainInfo) -> str:
    return show.flag(info.flags & DomInf.paused)


def _freeze(xen: Hypervisor, domain: Domain, wanted: bool, known: DomainInfo) -> None:
    """Xen counts pauses, of whomever: one is taken, or given back and then looked at what is left of them.

    What was taken needs no look: the domain is paused, whoever else holds it, and a 0 takes it back. Toolstacks pause
    what is over before they clear it away: then there is nothing left to take back.
    """
    paused = bool(known.flags & DomInf.paused)
    if wanted and not paused:
        require_other(xen, domain)
        domctl.pause(xen, domain.domid)
    elif paused and not wanted:
        domctl.unpause(xen, domain.domid)
        left = domains.require_same(xen, domain)
        if left is not None and left.flags & DomInf.paused and not facts.finished(left):
            raise BadInput(
                "one pause was taken back, and others hold it still: write 0 once more to take back another",
                errno.EBUSY,
                at=0,
            )


def _kill(xen: Hypervisor, domain: Domain, *_: object) -> None:
    require_other(xen, domain)
    domctl.destroy(xen, domain.domid)
    introduction.forget(xen, domain.domid)


def _clear_away(xen: Hypervisor, domain: Domain) -> Callable[[], None]:
    """rmdir: what is over, as a cgroup that nobody is in. Tools that delete whole trees must not end a domain."""
    if not facts.finished(info(xen, domain)):
        raise BadInput("this domain is not over: only a write to kill ends it", errno.EBUSY)
    return partial(_kill, xen, domain)


DOMAIN = Dir(
    "<d>",
    "A domain",
    (
        File("info", "Everything that getdomaininfo says", read=_info, format='"key value" lines'),
        File(
            "uuid", "UUID", read=lambda xen, domain: info(xen, domain).handle, write=rename, show=show.handle,
            knowing=True, parse=parse.handle, write_option="debug", checked=True,
            call="domctl getdomaininfo, setdomainhandle, (xen_version guest_handle)",
        ),
        File(
            "name", "Name in xenstore, empty without one", read=names.name, grows=Cost.WAITS,
            format="text, or empty", call="(xenstore)",
        ),
        File("type", "pv, hvm or pvh", read=_kind, format="one word"),
        File(
            "state", "dying, crashed, shutdown, paused, offline (no vCPU is online), running, blocked or runnable",
            read=_shown(facts.state), format="one word", wakes=True,
        ),
        *STATE,
        File("shutdown_reason", "Why it has shut down, empty while it has not", read=_shown(facts.reason),
             format="poweroff, reboot, suspend, crash, watchdog, soft_reset, or empty"),
        field(info, "cpu_time_ns", show.dec, "CPU time of all vCPUs, ns", of="cpu_time"),
        field(info, "nr_online_vcpus", show.dec, "How many vCPUs are online"),
        field(info, "max_vcpu_id", facts.vcpu_id, "Highest vCPU number, -1 for none"),
        NR_VCPUS,
        NR_VCPUS_TARGET,
        *UPTIME,
        CPUPOOL,
        CONTEXT,
        ADDRESS_SIZE,
        File(
            "vcpu_stat", "A line for each vCPU", read=vcpu_stat, grows=Cost.VCPUS, format='"v key=value ..." lines',
            call="domctl getvcpuinfo",
        ),
        *DOMAIN_AFFINITY,
        File(
            "freeze", "Whether it is paused; write 0 or 1, idempotent", read=_shown(_frozen), write=_freeze,
            knowing=True, settles=True, parse=parse.switch, format="0 or 1", errnos="EBUSY",
            call="domctl getdomaininfo, pausedomain, unpausedomain",
        ),
        File(
            "kill", "Write 1: the domain ends at once", write=_kill, parse=parse.one,
            write_grows=Cost.MEMORY | Cost.WAITS, option="lifecycle", call="domctl destroydomain, (xenstore)", tier="B",
        ),
        *ENDS,
        REQUEST,
        SOFT_RESET,
        *FORKS,
        TARGET,
        TRIGGER,
        CONSOLE,
        Dir(
            "memory",
            "Memory of the domain",
            (
                field(
                    info, "current_kb", show.kib_of_pages, "Memory that it has, kB", of="tot_pages",
                    call="domctl getdomaininfo, (memory_op current_reservation)",
                ),
                File(
                    "max", "Most that it may have, kB (or a size such as 512M), or max",
                    read=_shown(lambda i: facts.limit(i.max_pages)),
                    write=_set_max, parse=parse.or_max(parse.size(4, facts.MOST_LIMIT_KIB, "number of kB", unit=1024)),
                    call="domctl getdomaininfo, max_mem, (memory_op maximum_reservation)",
                    format="decimal number, or max",
                ),
                field(info, "shared_kb", show.kib_of_pages, "Memory that it shares, kB", of="shr_pages"),
                field(info, "paged_kb", show.kib_of_pages, "Memory that is paged out, kB", of="paged_pages"),
                TARGET_KB,
                STATIC_MAX_KB,
                NODE_AFFINITY,
                *MORE_MEMORY,
                *PAGES,
            ),
        ),
        DEVICES,
        SCHED,
        GRANTS,
        EVTCHN,
        DOMAIN_PSR,
        CPUID,
        TSC,
        TIME,
        HVM,
        ACCESS,
        PASSTHROUGH,
        LOGDIRTY,
        DM,
        MONITOR,
        DEBUG,
        WATCHDOG,
        DT_OVERLAY,
        VCPUS,
    ),
    remove=_clear_away,
    call="domctl getdomaininfo, destroydomain, (xenstore)",
    volatile=True,
)  # fmt: skip

_ALIVE = Guard(now=domains.require_now, recent=neighbours.require_recent, after=domains.require_same)
_LINK = Link(
    "<domain>", "Where the domain's directory is", target=lambda xen, domain: f"../{domain.domid}", to="domains/<d>"
)  # fmt: skip

DOMAINS = Dir(
    "domains",
    "Domains",
    (
        File(
            "stat", "A line for each domain: its single-value files", read=_stat, grows=Cost.DOMAINS,
            show=show.many_lines, format='"d key=value ..." lines',
            call="sysctl getdomaininfolist",
        ),
        File(
            "names", "A line for each domain that has a name in xenstore", read=names.listing, format='"d name" lines',
            show=show.many_lines, grows=Cost.DOMAINS | Cost.WAITS, call="sysctl getdomaininfolist, (xenstore)",
        ),
        DEVICE_STAT,
        EVENTS,
        Link("self", "The domain that xenfs runs in", target=lambda xen: str(own_domid(xen)), to="domains/<d>"),
        Dir(
            "by-name",
            "Domains by their names in xenstore",
            (Each(label="<name>", list=names.by_name, find=names.find_name, node=_LINK, guard=_ALIVE),),
            volatile=True,
            grows=Cost.DOMAINS | Cost.WAITS,
            find_grows=Cost.DOMAINS | Cost.WAITS,
        ),
        Dir(
            "by-uuid",
            "Domains by their UUIDs",
            (Each(label="<uuid>", list=names.by_uuid, find=names.find_uuid, node=_LINK, guard=_ALIVE),),
            volatile=True,
            grows=Cost.DOMAINS,
            find_grows=Cost.DOMAINS,
        ),
        Each(label="<d>", list=domains.named, find=_find, node=DOMAIN, guard=_ALIVE),
    ),
    when=answers(lambda xen: domains.info_now(xen, 0)),
    volatile=True,
    grows=Cost.DOMAINS,
)  # fmt: skip
