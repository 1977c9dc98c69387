"""domains/<d>/grants/ and evtchn/: what a domain shares with others, and how they signal each other."""

from __future__ import annotations

from xenfs.abi.numbers import Domid, EventStatus
from xenfs.calls import evtchn, grants
from xenfs.calls.evtchn import Port
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.hypervisor.sources import asks
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Dir, File, field
from xenfs.nodes.tables.conditions import answers
from xenfs.nodes.tables.cost import Cost


@asks(grants.QUERY_SIZE)
def _size(xen: Hypervisor, domain: Domain) -> object:
    return grants.size(xen, domain.domid)


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
    ),
    when=answers(lambda xen: grants.size(xen, Domid.SELF)),
)  # fmt: skip


def _line(port: Port) -> str:
    state = EventStatus(port.status).name if port.status in list(EventStatus) else str(port.status)
    return f"{port.port} {state} {port.vcpu} {':'.join(map(str, port.peer)) or '-'}"


def _ports(xen: Hypervisor, domain: Domain) -> str:
    return show.lines(map(_line, evtchn.ports(xen, domain.domid)))


EVTCHN = Dir(
    "evtchn",
    "Event channels",
    (
        File(
            "ports", '"port state vcpu peer" of each that is open; the peer is domid:port, domid, or a number',
            read=_ports, grows=Cost.LENGTH, format='"port state vcpu peer" lines', call=evtchn.STATUS.name,
        ),
    ),
)  # fmt: skip
