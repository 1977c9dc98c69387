"""The records in Xen's trace buffers, read from its own pages: the stream of bytes that xentrace(8) writes.

Each CPU has a ring of pages. Xen puts records in, and who reads them says how far he has come; what is full loses
records. Before each CPU's records stands one that names the CPU, as xentrace has it. Public header: trace.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from xenfs.abi.numbers import Domid
from xenfs.calls.lists import batches
from xenfs.calls.sysctl import nr_cpu_ids
from xenfs.calls.trace import buffers
from xenfs.errors import XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.foreign import MOST_AT_ONCE, PAGE

CPU_CHANGE = struct.Struct("<IiI")
CPU_CHANGE_HEADER = 0x2001F003  # TRC_TRACE_CPU_CHANGE, and two words that follow
_HEAD = struct.Struct("<II")  # of a ring: read up to here, filled up to here
_MOST_BYTES = 1 << 20  # given at once, beside what one CPU has


class Position(NamedTuple):
    """By CPU, how far its ring has been read, as Xen counts: to twice its length; and how far it was filled as this
    round began.

    What a reader does is noted too: who reads on until nothing is left would never end. So each round ends, with an
    answer of no bytes, where the rings were filled to as it began. Without `goal` the next answer begins another.
    """

    known: Mapping[int, int] = {}
    goal: Mapping[int, int] | None = None


class _Rings(NamedTuple):
    """The frames of each CPU's ring, and how many bytes of records it holds."""

    frames: Mapping[int, Sequence[int]]
    span: int


def read(xen: Hypervisor, position: Position | None) -> tuple[bytes, Position]:
    """What came since then, or all that is there. Nothing changes, and Xen loses records once a ring is full."""
    return _read(xen, position or Position(), take=False)


def take(xen: Hypervisor, position: Position | None) -> tuple[bytes, Position]:
    """The same, and Xen may use the room again: as xentrace does, beside which nobody may do this."""
    return _read(xen, position or Position(), take=True)


def ahead(xen: Hypervisor, position: Position | None) -> bool:
    """Whether there is anything that was not read."""
    rings = _rings(xen)
    if rings is None:
        return False
    known = position.known if position is not None else {}
    return any(_begin(known.get(cpu), *head, rings.span) != head[1] for cpu, head in _heads(xen, rings))


def _read(xen: Hypervisor, position: Position, *, take: bool) -> tuple[bytes, Position]:
    rings = _rings(xen)
    if rings is None:
        return b"", position
    heads = dict(_heads(xen, rings))
    goal = position.goal
    if goal is None:
        goal = {cpu: prod for cpu, (_, prod) in heads.items()}
    elif goal.items() <= position.known.items():
        return b"", Position(position.known)
    known, parts, nbytes = dict(position.known), [], 0
    for cpu, end in goal.items():
        if cpu not in heads or nbytes > _MOST_BYTES:
            continue
        begin = _begin(known.get(cpu), *heads[cpu], rings.span)
        known[cpu] = end
        data = _part(xen, rings, cpu, begin, end, take=take) if _between(begin, end, heads[cpu][1], rings.span) else b""
        if data:
            parts += [CPU_CHANGE.pack(CPU_CHANGE_HEADER, cpu, len(data)), data]
            nbytes += len(data)
    return b"".join(parts), Position(known, goal if parts else None)


def _rings(xen: Hypervisor) -> _Rings | None:
    """Where they are, None while there are none: Xen shares the pages that tell with the control domain."""
    found = buffers(xen)
    if not found.buffer_mfn:
        return None
    told = _bytes(xen, range(found.buffer_mfn, found.buffer_mfn + found.size // PAGE))
    (pages,) = struct.unpack_from("<H", told)
    offsets = struct.unpack_from(f"<{nr_cpu_ids(xen)}H", told, 2)
    frames = {cpu: struct.unpack_from(f"<{pages}I", told, 4 * at) for cpu, at in enumerate(offsets) if at}
    return _Rings(frames, pages * PAGE - _HEAD.size)


def _bytes(xen: Hypervisor, frames: Sequence[int]) -> bytes:
    """Whole pages of Xen's own."""
    parts = []
    for part in batches(frames, MOST_AT_ONCE):
        with xen.foreign(Domid.XEN, part) as mapped:
            parts += [bytes(page) for page in mapped.pages if page is not None]
    if len(parts) != len(frames):
        raise XenfsError("Xen does not share the pages of its trace buffers")
    return b"".join(parts)


def _heads(xen: Hypervisor, rings: _Rings) -> Iterator[tuple[int, tuple[int, int]]]:
    """By CPU, how far its ring was read and how far it is filled; none of a ring that makes no sense."""
    for some in batches(list(rings.frames), MOST_AT_ONCE):
        with xen.foreign(Domid.XEN, [rings.frames[cpu][0] for cpu in some]) as mapped:
            for cpu, page in zip(some, mapped.pages, strict=True):
                if page is not None:
                    cons, prod = _HEAD.unpack_from(page)
                    if (
                        cons < 2 * rings.span
                        and prod < 2 * rings.span
                        and (prod - cons) % (2 * rings.span) <= rings.span
                    ):
                        yield cpu, (cons, prod)


def _begin(known: int | None, cons: int, prod: int, span: int) -> int:
    """Where to read on: from where it was read to, unless that has been given back to Xen meanwhile."""
    if known is None or (prod - known) % (2 * span) > (prod - cons) % (2 * span):
        return cons
    return known


def _between(begin: int, end: int, prod: int, span: int) -> bool:
    """Whether there is anything from here to there; nothing where somebody else has taken more meanwhile."""
    return begin != end and (prod - end) % (2 * span) < (prod - begin) % (2 * span)


def _part(xen: Hypervisor, rings: _Rings, cpu: int, begin: int, end: int, *, take: bool) -> bytes:
    """The records between; nothing where Xen may have written over them while they were read."""
    frames, span = rings.frames[cpu], rings.span
    length = (end - begin) % (2 * span)
    at = begin % span
    pieces = [(at, min(length, span - at)), (0, max(0, length - (span - at)))]
    data = b"".join(_slice(xen, frames, _HEAD.size + start, size) for start, size in pieces if size)
    with xen.foreign(Domid.XEN, frames[:1], write=take) as mapped:
        page = mapped.pages[0]
        if page is None:
            return b""
        cons, prod = _HEAD.unpack_from(page)
        if _begin(begin, cons, prod, span) != begin:
            return b""
        if take:
            page[:4].cast("I")[0] = end
    return data


def _slice(xen: Hypervisor, frames: Sequence[int], start: int, size: int) -> bytes:
    first, last = start // PAGE, (start + size - 1) // PAGE
    return _bytes(xen, frames[first : last + 1])[start - first * PAGE :][:size]
