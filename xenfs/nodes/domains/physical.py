"""domains/<d>/memory/: the guest's memory itself. It is given and taken by frames, and read and written as bytes."""

from __future__ import annotations

import errno
from typing import Any, NamedTuple

from xenfs.calls import domain_memory, domains, guest_memory, registers, sysctl
from xenfs.calls.domains import DomainInfo
from xenfs.errors import BadInput, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.foreign import PAGE
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.debug import for_gdbsx
from xenfs.nodes.domains.own import has_vcpus, is_other, is_other_hvm, is_other_pv, require_paused
from xenfs.nodes.domains.registers import has_context
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, Exchange, File
from xenfs.nodes.tables.conditions import x86
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.forms import formed
from xenfs.nodes.tables.region import Region

_MOST_ORDER = 18  # Xen gives the control domain no larger ones
_LAST_FRAME = (1 << 40) - 1  # 52 bits of address
_ALL = (_LAST_FRAME + 1) * PAGE
_MOST_FRAMES = 1 << 28  # 1 TiB a write: of more, the list of frames alone would be too long
_KIB = PAGE // 1024
_C: dict[str, Any] = {"tier": "C", "option": "debug"}


class Extents(NamedTuple):
    """So many pieces of 2**order pages from a frame on."""

    first: int
    pieces: int
    order: int

    @property
    def pages(self) -> int:
        """In all."""
        return self.pieces << self.order

    def starts(self) -> range:
        """The first frame of each piece."""
        return range(self.first, self.first + self.pages, 1 << self.order)

    def frames(self) -> range:
        """All frames of all of them."""
        return range(self.first, self.first + self.pages)


_first, _count = parse.integer(0, _LAST_FRAME, "first frame"), parse.integer(1, _MOST_FRAMES, "count")
_order = parse.integer(0, _MOST_ORDER, "order")


@formed('"FIRST COUNT [ORDER]": the first frame, and how many pieces of 2**ORDER pages', ranged=True)
def extents(text: str) -> Extents:
    """A first frame, a count, and the order of each piece, 0 where it is left out. EINVAL for other text, ERANGE."""
    words = text.split(" ")
    if not 2 <= len(words) <= 3:
        raise BadInput('wants 2 or 3 words: "FIRST COUNT [ORDER]"', at=0)
    found = Extents(_first(words[0]), _count(words[1]), _order(words[2]) if len(words) == 3 else 0)
    if found.first % (1 << found.order):
        raise BadInput(f"pieces of order {found.order} begin at multiples of {1 << found.order}", word=words[0])
    if found.pages > _MOST_FRAMES or found.first + found.pages - 1 > _LAST_FRAME:
        raise BadInput("so many frames there are not", errno.ERANGE, word=words[1])
    return found


def _no_memory(xen: Hypervisor, info: DomainInfo, wanted: int, done: int) -> str:
    free = sysctl.physinfo(xen).free_pages * _KIB
    room = max(0, info.max_pages - info.tot_pages) * _KIB
    return (
        f"{done * _KIB} kB of {wanted * _KIB} could be had, and were given back: memory/max leaves {room} kB, "
        f"and the host has {free} kB free"
    )


def _populate(xen: Hypervisor, domain: Domain, asked: Extents) -> list[tuple[int, int]]:
    """All or nothing. Of a PV domain the frames, and where Xen has them: nobody can ask for that later."""
    known = domains.info(xen, domain)
    if asked.pages > known.max_pages - known.tot_pages or asked.pages > sysctl.physinfo(xen).free_pages:
        raise BadInput(_no_memory(xen, known, asked.pages, 0), errno.ENOMEM, at=0)
    translated = guest_memory.is_translated(xen, known)
    if translated:
        _require_none(xen, domain, asked)
    starts = asked.starts()
    found = guest_memory.populate(xen, domain.domid, starts, asked.order)
    if len(found) < asked.pieces:
        guest_memory.decrease(xen, domain.domid, found, asked.order)
        raise XenfsError(_no_memory(xen, known, asked.pages, len(found) << asked.order), errno.ENOMEM)
    return [] if translated else list(zip(starts, found, strict=True))


def _require_none(xen: Hypervisor, domain: Domain, asked: Extents) -> None:
    """Xen would give a frame that has memory other memory, and forget where the old was."""
    top = domain_memory.maximum_gpfn(xen, domain.domid)
    below = range(asked.first, min(asked.first + asked.pages, top + 1))
    taken = guest_memory.first_missing(xen, domain.domid, below, missing=False)
    if taken is not None:
        raise BadInput(f"frame {taken:#x} has memory already", errno.EEXIST, at=0)


def _unpopulate(xen: Hypervisor, domain: Domain, asked: Extents) -> None:
    missing = guest_memory.first_missing(xen, domain.domid, asked.frames())
    if missing is not None:
        raise BadInput(f"frame {missing:#x} has no memory", errno.ENXIO, at=0)
    done = guest_memory.decrease(xen, domain.domid, asked.starts(), asked.order)
    if done < asked.pieces:
        raise XenfsError(f"Xen took {done} of {asked.pieces} pieces away", errno.EBUSY)


def _length(xen: Hypervisor, domain: Domain) -> int:
    domains.info(xen, domain)
    return (domain_memory.maximum_gpfn(xen, domain.domid) + 1) * PAGE


def _read(xen: Hypervisor, domain: Domain, offset: int, size: int) -> bytes:
    info = domains.info(xen, domain)
    size = min(size, _length(xen, domain) - offset)
    if size <= 0:
        return b""
    try:
        frames = guest_memory.known(xen, info)
    except XenfsError as problem:
        if problem.errno != errno.EOPNOTSUPP:
            raise
        return b""  # a PV guest that has not begun: nobody knows what it will call its frames
    return guest_memory.read(xen, domain.domid, offset, size, frames)


def _write(xen: Hypervisor, domain: Domain, offset: int, data: bytes) -> None:
    info = domains.info(xen, domain)
    require_paused(info)
    if (offset + len(data) - 1) // PAGE > _LAST_FRAME:
        raise guest_memory.not_there(offset // PAGE)
    guest_memory.write(xen, domain.domid, offset, data, guest_memory.known(xen, info))


def _read_machine(xen: Hypervisor, domain: Domain, offset: int, size: int) -> bytes:
    return guest_memory.read(xen, domain.domid, offset, min(size, _ALL - offset)) if offset < _ALL else b""


def _write_machine(xen: Hypervisor, domain: Domain, offset: int, data: bytes) -> None:
    require_paused(domains.info(xen, domain))
    if offset + len(data) > _ALL:
        raise guest_memory.not_there(offset // PAGE)
    guest_memory.write(xen, domain.domid, offset, data)


@formed('"frame machine-frame" lines, one a piece, of a PV domain; nothing of others')
def _shown_places(found: list[tuple[int, int]]) -> str:
    return show.lines(f"{own:#x} {machine:#x}" for own, machine in found)


_RESERVE: dict[str, Any] = {"parse": extents, "write_grows": Cost.MEMORY, **_C}

POPULATE = Exchange(
    "populate", "Give memory: the first frame, how many pieces, and of 2**order pages each (0); of a PV domain, read "
    "where Xen has it", write=_populate, show=_shown_places, restricted=True, errnos="ENOMEM EEXIST",
    call=guest_memory.POPULATE.name, only=is_other, **_RESERVE,
)  # fmt: skip
UNPOPULATE = File(
    "unpopulate", "Take memory away, likewise; what was in it is lost", write=_unpopulate, errnos="ENXIO EBUSY",
    call=guest_memory.DECREASE.name, only=is_other_hvm, **_RESERVE,
)  # fmt: skip
PHYSICAL = Region(
    "physical", "Its physical memory, zeros where it has none; write while it is paused. No listing has it",
    read=_read, write=_write,
    unlisted=True, length=_length, cut=lambda xen, domain, size: None, private=True, errnos="EBUSY ENXIO EOPNOTSUPP",
    grows=Cost.MEMORY, write_grows=Cost.MEMORY, only=has_context,
    call=f"domctl getdomaininfo, cacheflush, {domain_memory.MAXIMUM_GPFN.name}", **_C,
)  # fmt: skip

MACHINE = Region(
    "machine", "A PV domain's pages by frames of the machine, zeros where a frame is not its own; write while it is "
    "paused. No listing has it",
    read=_read_machine, write=_write_machine, unlisted=True, length=lambda xen, domain: _ALL,
    cut=lambda xen, domain, size: None, private=True, errnos="EBUSY ENXIO", grows=Cost.MEMORY,
    write_grows=Cost.MEMORY, when=x86, only=is_other_pv, call="domctl getdomaininfo", **_C,
)  # fmt: skip

_BITS = 48
_FOLDED = 1 << _BITS


def _read_virtual(xen: Hypervisor, domain: Domain, offset: int, size: int) -> bytes:
    """An offset has no sign, so the upper half of the addresses follows upon the lower."""
    size = min(size, _FOLDED - offset)
    if not domains.info(xen, domain).has_vcpus or registers.context_or_none(xen, domain.domid, 0) is None:
        return b""
    address = offset if offset < _FOLDED // 2 else offset + (1 << 64) - _FOLDED
    return guest_memory.read_virtual(xen, domain.domid, address, size) if size > 0 else b""


VIRTUAL = Dir(
    "virtual",
    "Memory as vCPUs see it; no listing has it",
    (
        Region(
            "0", "Memory by the page tables of vCPU 0, at the low 48 bits of the address; it ends where they do",
            read=_read_virtual, length=lambda xen, domain: _FOLDED, private=True, grows=Cost.MEMORY,
            call=guest_memory.GUESTMEMIO.name, **_C,
        ),
    ),
    option="debug",
    unlisted=True,
    when=for_gdbsx,
    only=lambda xen, domain: is_other(xen, domain) and has_vcpus(xen, domain),
)  # fmt: skip
