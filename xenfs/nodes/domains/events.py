"""domains/events: what becomes of domains, from the open of the file on."""

from __future__ import annotations

from xenfs.calls.domains import GETDOMAININFOLIST
from xenfs.calls.happenings import look
from xenfs.connect.watcher import DOMAINS
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Stream

_FRESH_S = 0.02  # hundreds who were woken together do not need a listing each


def _start(xen: Hypervisor) -> int:
    """An open begins behind all that has happened until now, which is looked at first."""
    look(xen)
    return xen.happenings.last


def _follow(xen: Hypervisor, position: int) -> tuple[bytes, int]:
    look(xen, not_older_s=_FRESH_S)
    found = xen.happenings.since(position)
    lines = "".join(f"{seq} {kind} {domid} {show.handle(uuid)}\n" for seq, kind, domid, uuid in found)
    return lines.encode(), found[-1].seq if found else position


EVENTS = Stream(
    "events", "Domains that were created, have shut down, are dying or gone, since this open: seq, what, domid, UUID",
    read=lambda xen: b"", follow=_follow, start=_start, ahead=lambda xen, position: xen.happenings.last > position,
    topic=DOMAINS, call=GETDOMAININFOLIST.name,
    format='"<seq> created|shutdown|dying|gone <domid> <uuid>" lines',
)  # fmt: skip
