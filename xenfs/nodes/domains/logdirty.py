"""domains/<d>/logdirty/: which pages of a domain are written to, as a migration asks it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

from xenfs.calls import logdirty
from xenfs.errors import meaning
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.own import has_tables_noted
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File, consuming
from xenfs.nodes.tables.conditions import x86
from xenfs.nodes.tables.cost import Cost

_OFF, _ON = "off", "logdirty"
_NOT_NOW = {errno.EINVAL: "it is on already, perhaps for a migration, or the domain has a device of the machine"}
_C: dict[str, Any] = {"tier": "C", "option": "debug"}


def _set_mode(xen: Hypervisor, domain: Domain, mode: str) -> None:
    if mode == _OFF:
        logdirty.disable(xen, domain.domid)
        return
    with meaning(_NOT_NOW, at=0):
        logdirty.enable(xen, domain.domid)


def _stat(xen: Hypervisor, domain: Domain) -> str:
    return show.flat(logdirty.stats(xen, domain.domid)._asdict())


def _peek(xen: Hypervisor, domain: Domain) -> bytes:
    return logdirty.bitmap(xen, domain.domid)


def ranges(bits: bytes) -> Iterator[str]:
    """The runs of ones in a bitmap whose lowest bit is frame 0: "0x10-0x1f", or "0x10" alone."""
    first = None
    for at, byte in enumerate(bits):
        if byte in (0, 0xFF) and (byte == 0xFF) == (first is not None):
            continue  # nothing begins or ends in it
        for frame in range(8 * at, 8 * at + 8):
            marked = byte >> frame % 8 & 1
            if marked and first is None:
                first = frame
            elif not marked and first is not None:
                yield _run(first, frame - 1)
                first = None
    if first is not None:
        yield _run(first, 8 * len(bits) - 1)


def _run(first: int, last: int) -> str:
    return f"{first:#x}-{last:#x}" if last > first else f"{first:#x}"


LOGDIRTY = Dir(
    "logdirty",
    "Which of its pages are written to. A migration uses the same: leave this alone while there is one",
    (
        File(
            "mode", "Write logdirty to have it noted which pages are written to, off to end that. Xen does not tell",
            write=_set_mode, parse=parse.one_of((_OFF, _ON)), write_grows=Cost.MEMORY,
            call=f"{logdirty.OFF.name}, {logdirty.ENABLE_LOGDIRTY.name}", **_C,
        ),
        File(
            "stat", "How many pages are marked, and how often Xen noticed a write; it is paused for the moment",
            read=_stat, format='"key value" lines', grows=Cost.MEMORY, call=logdirty.PEEK.name, **_C,
        ),
        File(
            "peek", "A bit for each guest frame, the lowest first: whether it was written to since the last clean. "
            "It is paused for the moment", read=_peek, private=True, binary=True, show=bytes, grows=Cost.MEMORY,
            call=f"memory_op maximum_gpfn, {logdirty.PEEK.name}", **_C,
        ),
        File(
            "ranges", "The same as text: runs of guest frames that were written to", private=True, grows=Cost.MEMORY,
            read=lambda xen, domain: show.lines(ranges(_peek(xen, domain))), format='"first-last" lines',
            call=f"memory_op maximum_gpfn, {logdirty.PEEK.name}", **_C,
        ),
        consuming(
            "clean", "Write 1, then read: the bits as in peek, which are zero from then on. A migration that goes on "
            "misses them", read=lambda xen, domain: logdirty.bitmap(xen, domain.domid, clean=True), show=bytes,
            write_grows=Cost.MEMORY, call=f"memory_op maximum_gpfn, {logdirty.CLEAN.name}", **_C,
        ),
    ),
    option="debug",
    when=x86,
    only=has_tables_noted,
)  # fmt: skip
