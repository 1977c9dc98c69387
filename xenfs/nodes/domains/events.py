"""domains/events: what becomes of domains, from the open of the file on."""

from __future__ import annotations

from xenfs.calls.domains import GETDOMAININFOLIST
from xenfs.calls.happenings import catch_up
from xenfs.connect.watcher import DOMAINS
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.domain_log import Happening
from xenfs.nodes.domains import facts, names
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Stream
from xenfs.nodes.tables.cost import Cost

_FRESH_S = 0.02  # hundreds who were woken together do not need a listing each


def _start(xen: Hypervisor) -> int:
    """An open begins behind all that has happened until now, which is looked at first."""
    catch_up(xen)
    return xen.happenings.last


def _follow(xen: Hypervisor, position: int) -> tuple[bytes, int]:
    catch_up(xen, not_older_s=_FRESH_S)
    found = xen.happenings.since(position)
    return bytes(show.many_lines(map(_line, found))), found[-1].seq if found else position


def _line(each: Happening) -> str:
    """Five words, and the name, which may have blanks, where there is one."""
    reason = "-" if each.reason is None else facts.reason_name(each.reason)
    line = f"{each.seq} {each.kind} {each.domid} {show.handle(each.uuid)} {reason}"
    return f"{line} {names.one_line(each.name)}" if each.name else line


EVENTS = Stream(
    "events",
    "Domains created, named, shut down, dying or gone since this open: seq, what, domid, UUID, shutdown reason, name",
    read=lambda xen: b"", follow=_follow, start=_start, ahead=lambda xen, position: xen.happenings.last > position,
    topic=DOMAINS, grows=Cost.DOMAINS | Cost.WAITS, call=GETDOMAININFOLIST.name,
    format='"<seq> created|named|shutdown|dying|gone <domid> <uuid> <reason>|- [<name>]" lines',
)  # fmt: skip
