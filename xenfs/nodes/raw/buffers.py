"""raw/buffers/: memory of the pool in the hands of users, for hypercalls whose arguments must not be copied."""

from __future__ import annotations

from typing import Any

from xenfs.errors import Stale
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.asking import asking
from xenfs.nodes.tables.base import Dir, Each, File
from xenfs.nodes.tables.guard import Guard
from xenfs.nodes.tables.region import Region
from xenfs.pool import Held

_LONGEST = 1 << 40


def _make(xen: Hypervisor, name: str) -> None:
    xen.held.make(name, asking.get())


def _remove(xen: Hypervisor, held: Held) -> None:
    xen.held.give_back(held)


def _there(_xen: Hypervisor, held: Held, *_: Any) -> None:
    if not held.live:
        raise Stale(f"buffer {held.name}")


def _owner(held: Held, *_: Any) -> int:
    return held.owner


def _state(xen: Hypervisor, held: Held) -> str:
    number = xen.calls.using(held.buffer)
    return "idle" if number is None else f"in flight in call {number}"


BUFFERS = Dir(
    "buffers",
    "Buffers that users hold: mkdir makes one, rmdir gives it back",
    (
        Each(
            label="<name>",
            list=lambda xen: xen.held.listed(),
            find=lambda xen, name: xen.held.find(name),
            node=Dir(
                "<name>",
                "A buffer: its maker's and root's alone",
                (
                    File(
                        "size", "Bytes; write another number: what fits stays, the rest is zeros",
                        read=lambda _xen, held: held.nbytes, show=show.dec,
                        write=lambda _xen, held, nbytes: held.resize(nbytes), parse=parse.integer(1, _LONGEST, "size"),
                        errnos="ENOMEM EBUSY", tier="D", looks=True,
                    ),
                    Region(
                        "data", "Its content, read and written in place at any offset; truncate zeros the rest",
                        read=lambda _xen, held, offset, size: held.part(offset, size),
                        write=lambda _xen, held, offset, data: held.fill(offset, data),
                        length=lambda _xen, held: held.nbytes,
                        cut=lambda _xen, held, size: held.clear(size),
                        errnos="ENOSPC EFBIG EBUSY", tier="D", looks=True,
                    ),
                    File(
                        "state", "Whether a hypercall uses it now", read=_state, tier="D",
                        format="idle, or: in flight in call N (as in xenfs/calls/in_flight)",
                    ),
                ),
                remove=_remove,
                make_option="raw",
                tier="D",
                looks=True,
            ),
            guard=Guard(now=_there, recent=_there, owner=_owner),
        ),
    ),
    make=_make,
    make_option="raw",
    volatile=True,
    tier="D",
    looks=True,
)  # fmt: skip
