"""domains/<d>/console: what a guest has said, to Xen's log and to its console ring, and what it goes on to say."""

from __future__ import annotations

import errno
from struct import Struct
from typing import NamedTuple

from xenfs.abi.numbers import HvmParam
from xenfs.calls import hvm, sysctl
from xenfs.connect.watcher import VALUES
from xenfs.errors import XenfsError, answered_by
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.asking import at, number
from xenfs.nodes.domains.own import is_hvm, is_other
from xenfs.nodes.tables.base import Stream
from xenfs.nodes.tables.cost import Cost

_OUT, _LENGTH = 1024, 2048  # of struct xencons_interface: where the guest's output lies, a ring
_INDEXES, _AT = Struct("<2I"), 3080  # out_cons, out_prod
_MASK = 2**32 - 1
_UNSEEN = bytes.maketrans(b"", b""), b"\0\r"


class _Place(NamedTuple):
    """How far Xen's log and the ring were followed. `frame` is where the ring is, 0 while there is none."""

    log: int | None = None
    frame: int = 0
    ring: int | None = None


def _logged(xen: Hypervisor, domid: int, position: int | None) -> tuple[bytes, int]:
    """Whole lines that Xen has tagged as this id's, of whichever life; what is not a whole line yet comes later."""
    data, end = sysctl.console(xen, position)
    whole, newline, rest = data.rpartition(b"\n")
    tag = b"(d%d) " % domid
    lines = [line.partition(tag)[2] + newline for line in whole.split(b"\n") if tag in line]
    return b"".join(lines), end - len(rest) & _MASK


def _frame(xen: Hypervisor, domain: Domain) -> int:
    """Where its toolstack has put the ring, as the guest is told, or of a PV one xenstore; 0 where there is none."""
    if is_hvm(xen, domain):
        with answered_by(errno.EINVAL, errno.EPERM):
            return hvm.param(xen, domain.domid, HvmParam.CONSOLE_PFN)
    elif xen.store is not None:
        return number(xen.store.read(at(domain, "console/ring-ref"))) or 0
    return 0


def _ring(xen: Hypervisor, domid: int, frame: int, position: int | None) -> tuple[bytes, int | None]:
    """What it has put into the ring since, at most the last 2 KiB, whoever serves the ring: it is only looked at."""
    if not frame:
        return b"", None
    try:
        with xen.foreign(domid, [frame]) as found:
            page = found.pages[0]
            return (b"", None) if page is None else _said(bytes(page), position)
    except XenfsError as problem:
        if problem.errno != errno.EOPNOTSUPP:  # a recording has no pages
            raise
        return b"", None


def _said(page: bytes, position: int | None) -> tuple[bytes, int]:
    _, end = _INDEXES.unpack_from(page, _AT)
    new = min(_LENGTH, end if position is None else end - position & _MASK)
    out, into = page[_OUT : _OUT + _LENGTH], end % _LENGTH
    return (out[into:] + out[:into])[_LENGTH - new :].translate(*_UNSEEN), end


def _follow(xen: Hypervisor, domain: Domain, place: _Place | None) -> tuple[bytes, _Place]:
    log, frame, ring = place or _Place()
    lines, log = _logged(xen, domain.domid, log)
    frame = frame or _frame(xen, domain)
    said, ring = _ring(xen, domain.domid, frame, ring)
    return lines + said, _Place(log, frame, ring)


def _ahead(xen: Hypervisor, domain: Domain, place: _Place | None) -> bool:
    """Nothing but Xen is asked: a ring that is not known yet is found by the next read."""
    if place is None:
        return True
    return bool(_ring(xen, domain.domid, place.frame, place.ring)[0] or _logged(xen, domain.domid, place.log)[0])


CONSOLE = Stream(
    "console", "What it has said: its lines in Xen's log, then the end of its console ring. A file that is kept open "
    "follows it",
    read=_follow, follow=_follow, ahead=_ahead, topic=VALUES, format="text as the guest has written it", private=True,
    grows=Cost.LENGTH | Cost.WAITS, only=is_other, option="debug", tier="C",
    call=f"{sysctl.READCONSOLE.name}, {hvm.GET_PARAM.name}, (xenstore)",
)  # fmt: skip
