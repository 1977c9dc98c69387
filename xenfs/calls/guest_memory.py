"""A guest's memory: frames given and taken (memory_op), and its bytes, by mapping or by gdbsx_guestmemio.

What a PV guest takes for frames is not what Xen calls so: p2m.py knows.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from xenfs.abi.numbers import Domctl, DomInf, MapSpace, Memory
from xenfs.abi.operations import Operation, operation
from xenfs.calls.control import domctl, numbered
from xenfs.calls.domains import DomainInfo
from xenfs.calls.lists import batches, lent
from xenfs.calls.p2m import Table
from xenfs.errors import BadInput, answered_by
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.foreign import MOST_AT_ONCE, PAGE

POPULATE = operation(Memory.populate_physmap)
DECREASE = operation(Memory.decrease_reservation)
ADD_TO_PHYSMAP = operation(Memory.add_to_physmap)
REMOVE_FROM_PHYSMAP = operation(Memory.remove_from_physmap)
CACHEFLUSH = operation(Domctl.cacheflush)
GUESTMEMIO = operation(Domctl.gdbsx_guestmemio, "read")

Frames = Callable[[Sequence[int]], Sequence[int | None]]
"""From frames as the guest counts them to those that Xen knows; None where there is none."""

_EXTENTS = 1024  # a call: so long are the lists of frames that are handed over
_ZEROS = bytes(PAGE)


def as_they_are(frames: Sequence[int]) -> Sequence[int]:
    """Of all domains but PV ones the frames are those that Xen knows."""
    return frames


def is_translated(xen: Hypervisor, info: DomainInfo) -> bool:
    """Whether the frames that a domain counts are those that Xen knows: of all but PV domains."""
    return bool(info.flags & DomInf.hvm_guest) or xen.abi.arch == "arm64"


def known(xen: Hypervisor, info: DomainInfo) -> Frames:
    """How this domain's frames become those that Xen knows; EOPNOTSUPP for a PV guest that has not said."""
    if is_translated(xen, info):
        return as_they_are
    return Table(xen, info.domain, info.shared_info_frame).frames


def populate(xen: Hypervisor, domid: int, frames: Sequence[int], order: int) -> list[int]:
    """Give memory at these frames, 2**order pages each. The frames of those extents that were done, of a PV domain
    those of the machine: fewer is out of memory, or over the domain's limit. memory_op populate_physmap."""
    return _reserve(xen, POPULATE, domid, frames, order)


def decrease(xen: Hypervisor, domid: int, frames: Sequence[int], order: int) -> int:
    """Take it away again, by the frames that Xen knows; how many extents were done. memory_op decrease_reservation."""
    return len(_reserve(xen, DECREASE, domid, frames, order))


def _reserve(xen: Hypervisor, op: Operation, domid: int, frames: Sequence[int], order: int) -> list[int]:
    found: list[int] = []
    for part in batches(frames, _EXTENTS):
        with lent(xen, part) as extents, xen.pool.take(_size(xen)) as buf:
            view = xen.abi.view("struct xen_memory_reservation", buf)
            view.domid, view.nr_extents, view.extent_order = domid, len(part), order
            buf.attach(view, "extent_start", extents, 8 * len(part))
            now = xen.hypercall(op, op.cmd, buf, domid=domid)
            found += extents.memory[: 8 * now].cast("Q").tolist()
        if now < len(part):
            break
    return found


def _size(xen: Hypervisor) -> int:
    return xen.abi.sizeof("struct xen_memory_reservation")


@contextmanager
def grant_table_at(xen: Hypervisor, domid: int, frame: int) -> Iterator[None]:
    """The first page of a domain's grant table is part of its memory meanwhile, not of a PV one's; EINVAL where Xen
    has none. memory_op add_to_physmap, remove_from_physmap."""
    numbered(xen, ADD_TO_PHYSMAP, domid, domid=domid, space=MapSpace.grant_table, gpfn=frame)
    try:
        yield
    finally:
        numbered(xen, REMOVE_FROM_PHYSMAP, domid, domid=domid, gpfn=frame)


def first_missing(xen: Hypervisor, domid: int, frames: Sequence[int], *, missing: bool = True) -> int | None:
    """The first of these frames that has no memory, or with `missing` False the first that has."""
    for part in batches(frames, MOST_AT_ONCE):
        with xen.foreign(domid, part) as found:
            for frame, page in zip(part, found.pages, strict=True):
                if (page is None) == missing:
                    return frame
    return None


def _pieces(offset: int, size: int) -> Iterator[tuple[int, int, int]]:
    """(offset of a first page, bytes into it, bytes) of each mapping that is needed."""
    most = (MOST_AT_ONCE - 1) * PAGE
    for at in range(offset, offset + size, most):
        yield at // PAGE * PAGE, at % PAGE, min(most, offset + size - at)


def read(xen: Hypervisor, domid: int, offset: int, size: int, frames: Frames = as_they_are) -> bytes:
    """Bytes of a guest's physical memory, zeros where it has none."""
    parts = []
    for start, into, nbytes in _pieces(offset, size):
        wanted = frames(range(start // PAGE, (start + into + nbytes - 1) // PAGE + 1))
        known = [frame for frame in wanted if frame is not None]
        pages = _copied(xen, domid, known)
        whole = b"".join(_ZEROS if frame is None else pages[frame] for frame in wanted)
        parts.append(whole[into : into + nbytes])
    return b"".join(parts)


def _copied(xen: Hypervisor, domid: int, frames: Sequence[int]) -> dict[int, bytes]:
    if not frames:
        return {}
    with xen.foreign(domid, frames) as found:
        pages = [_ZEROS if page is None else bytes(page) for page in found.pages]
    return dict(zip(frames, pages, strict=True))


def write(xen: Hypervisor, domid: int, offset: int, data: bytes, frames: Frames = as_they_are) -> None:
    """Put bytes there, of one mapping all or none; ENXIO where the guest has no memory that can be written.

    On Arm the caches are cleaned, for a guest that begins without any; domctl cacheflush.
    """
    at = 0
    for start, into, nbytes in _pieces(offset, len(data)):
        own = range(start // PAGE, (start + into + nbytes - 1) // PAGE + 1)
        wanted = frames(own)
        missing = next((frame for frame, known in zip(own, wanted, strict=True) if known is None), None)
        if missing is not None:
            raise not_there(missing)
        with xen.foreign(domid, [frame for frame in wanted if frame is not None], write=True) as found:
            if None in found.pages:
                raise not_there(own[found.pages.index(None)])
            for page in found.pages:
                assert page is not None
                taken = min(PAGE - into, nbytes)
                page[into : into + taken] = data[at : at + taken]
                at, nbytes, into = at + taken, nbytes - taken, 0
        if xen.abi.arch == "arm64":
            domctl(xen, CACHEFLUSH, domid, "cacheflush", start_pfn=own[0], nr_pfns=len(own))


def not_there(frame: int) -> BadInput:
    """What is said of a frame that has no memory."""
    return BadInput(f"the domain has no memory that can be written at frame {frame:#x}", errno.ENXIO, at=0)


def read_virtual(xen: Hypervisor, domid: int, address: int, size: int) -> bytes:
    """Bytes at an address of vCPU 0's, as far as its page tables have them; gdbsx_guestmemio (x86), page by page."""
    found = b""
    with xen.pool.take(PAGE) as buf, answered_by(errno.EFAULT):  # no such page
        while len(found) < size:
            at = (address + len(found)) % 2**64
            nbytes = min(PAGE - at % PAGE, size - len(found))
            domctl(
                xen, GUESTMEMIO, domid, "gdbsx_guest_memio", gva=at, uva=(buf, nbytes), len=nbytes, gwr=0
            )  # fmt: skip
            found += bytes(buf.memory[:nbytes])
    return found
