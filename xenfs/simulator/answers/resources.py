"""memory_op acquire_resource: pages that Xen keeps for domains, grant tables and what processors trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from errno import E2BIG, EINVAL, ENOENT, EOPNOTSUPP
from struct import Struct
from typing import NamedTuple

from xenfs.hypervisor.foreign import Foreign, Wanted
from xenfs.simulator.answers.foreign import PretendedPages, pv_frames
from xenfs.simulator.answers.guest_ops import GRANT_FRAMES, GRANT_VERSION, MAX_GRANT_FRAMES, grant_frames
from xenfs.simulator.answers.vcpu_state import TRACE_BYTES
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.physmap import PAGE
from xenfs.simulator.world.refused import Refused

STRUCT = "xen_mem_acquire_resource"
_V1, _V2 = Struct("<HHI"), Struct("<HHHHQ")
_SHARED, _STATUS = 0, 1
_AT_ONCE = 32  # of Xen 4.14
_CONSOLE, _STORE, _FIRST = 0, 1, 8  # entries that the toolstack fills, and the first of the guest's own
_FIRST_MFN = 0x7F0000


class _Kind(NamedTuple):
    """How many frames there may be, and what is in one of them."""

    most: Callable[[Machine, Domain, int], int]
    page: Callable[[Machine, Domain, int, int], bytes]
    grow: Callable[[Domain, int, int], None] | None = None


def acquire_resource(xen: Machine, address: int) -> int:
    """How many frames there are, or the numbers that they have in the machine."""
    op = xen.struct(address, STRUCT)
    domid, number, of, count, pad, first, frames = xen.get(
        op, STRUCT, "domid", "type", "id", "nr_frames", "pad", "frame", "frame_list"
    )
    if pad or (not frames and count):
        return -EINVAL
    if number == xen.constant("XENMEM_resource_ioreq_server"):
        return -EOPNOTSUPP  # not simulated: no guest here has a device model
    if not frames:
        most = _AT_ONCE if xen.release < (4, 15) else _most(xen, xen.world.remote(domid), number, of)
        xen.put(op, STRUCT, nr_frames=most)
        return 0
    _acquired(xen, xen.world.remote(domid), number, of, range(first, first + count))
    if xen.settings.dom0 == "pv" and xen.x86:
        xen.copy_out(
            frames, b"".join((_FIRST_MFN + each).to_bytes(8, "little") for each in range(first, first + count))
        )
    return 0


def pages(xen: Machine, domid: int, wanted: Wanted) -> Foreign:
    """The pages themselves, as privcmd would map them."""
    domain = xen.world.remote(domid)
    kind = _acquired(xen, domain, wanted.kind, wanted.number, wanted.frames)
    found = (kind.page(xen, domain, wanted.number, each) for each in wanted.frames)
    return PretendedPages([memoryview(page.ljust(PAGE, b"\0")).toreadonly() for page in found])


def _kind(xen: Machine, number: int) -> _Kind:
    names = {"XENMEM_resource_grant_table": _GRANTS, "XENMEM_resource_vmtrace_buf": _TRACES}
    found = {xen.constant(name): kind for name, kind in names.items() if xen.layouts.defines(name)}
    if number not in found:
        raise Refused(EOPNOTSUPP)
    return found[number]


def _most(xen: Machine, domain: Domain, number: int, of: int) -> int:
    most = _kind(xen, number).most(xen, domain, of)
    if not most:
        raise Refused(EINVAL)
    return most


def _acquired(xen: Machine, domain: Domain, number: int, of: int, frames: range) -> _Kind:
    if not xen.x86 and xen.release < (4, 15):
        raise Refused(EOPNOTSUPP)
    if xen.release < (4, 15) and len(frames) > _AT_ONCE:
        raise Refused(E2BIG)
    kind = _kind(xen, number)
    if not frames or frames.stop > _most(xen, domain, number, of):
        raise Refused(EINVAL)
    if kind.grow is not None:
        kind.grow(domain, of, frames.stop)
    return kind


def _most_grants(xen: Machine, domain: Domain, of: int) -> int:
    if of == _STATUS:
        return MAX_GRANT_FRAMES // 8 if domain.kept.get(GRANT_VERSION) == 2 else 0
    return MAX_GRANT_FRAMES if of == _SHARED else 0


def _grow(domain: Domain, of: int, stop: int) -> None:
    now = grant_frames(domain)
    if of == _STATUS and 8 * (stop - 1) >= now:
        stop = 8 * stop
    domain.kept[GRANT_FRAMES] = max(now, stop)


class Entry(NamedTuple):
    """One grant of a domain's."""

    flags: int
    domid: int
    frame: int
    start: int = 0
    length: int = 0


def granted(xen: Machine, domain: Domain) -> dict[int, Entry]:
    """What a domain grants: its rings, and some pages of its devices, which the control domain may have mapped."""

    def flags(*names: str) -> int:
        return sum(xen.constant(f"GTF_{name}") for name in ("permit_access", *names))

    used = flags("reading", "writing")
    found = {_CONSOLE: Entry(used, 0, _frame(domain, 2)), _STORE: Entry(used, 0, _frame(domain, 1))}
    for at in range(8 * len(domain.existing())):
        kind = flags("readonly") if at % 3 == 0 else used if at % 3 == 1 else flags()
        found[_FIRST + at] = Entry(kind, 0, _frame(domain, 0x100 + at))
    others: dict[int, Entry] = domain.kept.get("grants", {})
    return found | others


def _frame(domain: Domain, own: int) -> int:
    own += domain.physmap.base
    return own if domain.hvm else pv_frames(domain).mfn(own) & 0xFFFFFFFF


def _grant_page(xen: Machine, domain: Domain, of: int, at: int) -> bytes:
    found, version = granted(xen, domain), domain.kept.get(GRANT_VERSION, 1)
    in_use = xen.constant("GTF_reading") | xen.constant("GTF_writing")
    if of == _STATUS:
        refs = range(at * PAGE // 2, (at + 1) * PAGE // 2)
        return b"".join((found[ref].flags & in_use if ref in found else 0).to_bytes(2, "little") for ref in refs)
    return b"".join(_packed(found, version, in_use, at))


def _packed(found: dict[int, Entry], version: int, in_use: int, at: int) -> Iterator[bytes]:
    packer = _V1 if version == 1 else _V2
    count = PAGE // packer.size
    for ref in range(at * count, (at + 1) * count):
        entry = found.get(ref, Entry(0, 0, 0))
        if version == 1:
            yield packer.pack(entry.flags, entry.domid, entry.frame)
        else:
            yield packer.pack(entry.flags & ~in_use, entry.domid, entry.start, entry.length, entry.frame)


def _most_traces(xen: Machine, domain: Domain, of: int) -> int:
    return TRACE_BYTES // PAGE if domain.hvm and xen.settings.vmtrace else 0


def _trace_page(xen: Machine, domain: Domain, of: int, at: int) -> bytes:
    """A packet that a decoder can begin at, then what looks like more of them."""
    if domain.vcpu(of) is None:
        raise Refused(ENOENT)
    psb = b"\x02\x82" * 8
    return psb + b"".join(xen.world.digest("vmtrace", domain.unique_id, of, at, each, size=64) for each in range(60))


_GRANTS = _Kind(_most_grants, _grant_page, _grow)
_TRACES = _Kind(_most_traces, _trace_page)
OPERATIONS: Answers = {"XENMEM_acquire_resource": acquire_resource}
