"""domains/<d>/grants/ and evtchn/: what a domain shares with others, and how they signal each other."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from xenfs.abi.numbers import Domid, DomInf, EventStatus, GrantFlag, Resource, Virq
from xenfs.calls import evtchn, grants
from xenfs.calls.domains import DomainInfo
from xenfs.calls.evtchn import Port
from xenfs.calls.grants import Grant
from xenfs.calls.resources import OPERATIONS
from xenfs.calls.rows import freed
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.hypervisor.sources import asks
from xenfs.nodes.domains.own import is_other
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File, field
from xenfs.nodes.tables.conditions import answers, since, x86
from xenfs.nodes.tables.cost import Cost


@asks(grants.QUERY_SIZE)
def _size(xen: Hypervisor, domain: Domain) -> object:
    return grants.size(xen, domain.domid)


def _mapped(xen: Hypervisor) -> bool:
    """Xen 4.14 on Arm has no such pages mapped for anybody."""
    return x86(xen) or since(4, 15)(xen)


_TYPES = ("invalid", "access", "transfer", "transitive")
_TRANSFER, _TRANSITIVE = 2, 3
_TRANSFERRED = {4: "committed", 8: "completed"}  # GTF_transfer_*
_FLAGS = {flag.value: str(flag.name).lower() for flag in GrantFlag}


def _flags(flags: int) -> str:
    kind = flags & 3
    names = _TRANSFERRED if kind == _TRANSFER else _FLAGS
    return ",".join((_TYPES[kind], *(name for bit, name in names.items() if flags & bit)))


def _granted(grant: Grant) -> str:
    if grant.flags & 3 == _TRANSITIVE:
        return f"{grant.start}:{grant.frame & 0xFFFFFFFF}"
    return f"{grant.frame:#x}" + (f"+{grant.start}:{grant.length}" if grant.flags & GrantFlag.sub_page else "")


def _table(xen: Hypervisor, domain: Domain) -> str:
    found = grants.entries(xen, domain.domid)
    return show.lines(f"{each.ref} {_flags(each.flags)} {each.domid} {_granted(each)}" for each in found)


GRANTS = Dir(
    "grants",
    "Memory that it lets others use",
    (
        field(_size, "frames", show.dec, "Frames that its grant table has", of="nr_frames"),
        field(_size, "max_frames", show.dec, "Frames that its grant table may have", of="max_nr_frames"),
        File(
            "version", "Layout of its grant table, 1 or 2", show=show.dec, tier="B",
            read=lambda xen, domain: grants.version(xen, domain.domid), call=grants.GET_VERSION.name,
        ),
        File(
            "table", "What it grants: the number of each entry, how, to which domain, and which frame, of the machine "
            "for a PV domain; +START:BYTES for a part of it, DOMID:REF for another's grant", read=_table, private=True,
            format='"ref flags domid frame" lines', tier="C", option="debug", grows=Cost.MEMORY, errnos="EFBIG",
            when=_mapped, only=is_other,
            call=f"{grants.GET_VERSION.name}, {grants.QUERY_SIZE.name}, {OPERATIONS[Resource.grant_table].name}",
        ),
    ),
    when=answers(lambda xen: grants.size(xen, Domid.SELF)),
)  # fmt: skip


def _line(port: Port) -> str:
    state = EventStatus(port.status).name if port.status in list(EventStatus) else str(port.status)
    return f"{port.port} {state} {port.vcpu} {':'.join(map(str, port.peer)) or '-'}"


def _ports(xen: Hypervisor, domain: Domain) -> Iterator[str]:
    return map(_line, freed(evtchn.ports(xen, domain.domid)))


_MOST_PORT = 2**17 - 1
# What each vCPU has cannot be given away; of domains that end xenstored must hear.
_VIRQS = {
    virq.name.lower(): virq
    for virq in (Virq.CONSOLE, Virq.TBUF, Virq.DEBUGGER, Virq.CON_RING, Virq.PCPU_STATE, Virq.MEM_EVENT, Virq.ENOMEM)
}


def _reset(xen: Hypervisor, domain: Domain, _: object, known: DomainInfo) -> None:
    if not known.flags & DomInf.paused:
        raise BadInput("the domain must be paused: write 1 to freeze first", at=0)
    evtchn.reset(xen, domain.domid)


def _subscribe(xen: Hypervisor, domain: Domain, port: int) -> None:
    if port and not evtchn.is_open(xen, domain.domid, port):
        raise BadInput(f"the domain has no open event channel {port}", errno.ERANGE, word=str(port))
    evtchn.subscribe(xen, domain.domid, port)


EVTCHN = Dir(
    "evtchn",
    "Event channels",
    (
        File(
            "ports", '"port state vcpu peer" of each that is open; the peer is domid:port, domid, or a number',
            read=_ports, show=show.many_lines, grows=Cost.LENGTH, format='"port state vcpu peer" lines',
            call=evtchn.STATUS.name,
        ),
        File(
            "reset", "Write 1: all of them are closed. The domain must be paused", tier="C", option="debug",
            write=_reset, knowing=True, parse=parse.one, write_grows=Cost.LENGTH, only=is_other,
            call=f"domctl getdomaininfo, {evtchn.RESET.name}",
        ),
        File(
            "suspend_port", "Write the channel that is to tell of its suspend, 0 for none; Xen does not tell which",
            tier="C", option="debug", write=_subscribe, parse=parse.integer(0, _MOST_PORT, "port"), errnos="ERANGE",
            only=is_other, call=f"{evtchn.STATUS.name}, {evtchn.SUBSCRIBE.name}",
        ),
        File(
            "virq_handler", "Write an interrupt of the host's for it to get instead of who has it now. "
            "Monitoring of the host may end", tier="C", option="debug",
            write=lambda xen, domain, name: evtchn.set_virq_handler(xen, domain.domid, _VIRQS[name]),
            parse=parse.one_of(_VIRQS), call=evtchn.SET_VIRQ_HANDLER.name,
        ),
    ),
)  # fmt: skip
