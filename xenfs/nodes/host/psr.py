"""host/psr/: what can be monitored and allocated of caches and memory bandwidth, with resctrl's names."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from xenfs.abi.numbers import PsrAlloc, PsrCmt
from xenfs.calls import psr
from xenfs.calls.psr import Allocation
from xenfs.errors import answered_by
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.sources import asks
from xenfs.nodes.host.sockets import find_socket, online_cpus, sockets
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Dir, Each, File, field
from xenfs.nodes.tables.conditions import ABSENT, Condition, answers, every, known, x86
from xenfs.nodes.tables.cost import NOTHING, Cost

EVENTS = {"llc_occupancy": 0x1, "mbm_total_bytes": 0x2, "mbm_local_bytes": 0x4}
"""What can be counted of a domain, by its bit in Xen's mask of events."""


def _ask(what: PsrCmt) -> Callable[[Hypervisor], int]:
    return lambda xen: psr.monitoring(xen, what)


def features(xen: Hypervisor) -> list[str]:
    """The names of what can be counted."""
    mask = psr.monitoring(xen, PsrCmt.get_l3_event_mask)
    return [name for name, bit in EVENTS.items() if mask & bit]


def _cache_sizes(xen: Hypervisor) -> str:
    found = {
        socket: psr.monitoring(xen, PsrCmt.get_l3_cache_size, cpus[0])
        for socket, cpus in online_cpus(xen).items()
        if cpus
    }
    return show.flat((str(socket), size) for socket, size in found.items())


def allocation_or_none(xen: Hypervisor, what: PsrAlloc, socket: int) -> Allocation | None:
    """What a socket has of the resource; None where it has none."""
    with answered_by(*ABSENT, errno.ERANGE):
        return psr.allocation(xen, what, socket)
    return None


def has(what: PsrAlloc) -> Callable[..., bool]:
    """Whether a socket has the resource: what `only=` asks."""
    return lambda xen, socket: allocation_or_none(xen, what, socket) is not None


def somewhere(what: PsrAlloc) -> Condition:
    """Where the first socket has the resource. Sockets are alike, and each is asked again before it is shown."""
    return known(lambda xen: psr.allocation(xen, what, sockets(xen)[0][1]), detail=what.name)


def _of(what: PsrAlloc) -> Callable[[Hypervisor, int], Allocation]:
    @asks(psr.PSR_ALLOC)
    def source(xen: Hypervisor, socket: int) -> Allocation:
        return psr.allocation(xen, what, socket)

    return source


def mask(bits: int) -> str:
    """A mask with so many bits, in hexadecimal and without 0x, as in resctrl."""
    return f"{(1 << bits) - 1:x}"


_MASK = "hexadecimal number without 0x"


def _cache(name: str, what: PsrAlloc) -> Dir:
    return Dir(
        name,
        f"Allocation of the {name} cache",
        (
            field(
                _of(what),
                "cbm_mask",
                mask,
                "All bits that a mask can have, hexadecimal",
                of="most",
                tier="B",
                format=_MASK,
            ),
            field(_of(what), "num_closids", show.dec, "How many masks can be in use at once", of="classes", tier="B"),
            field(_of(what), "cdp", show.flag, "Whether code and data have masks of their own", of="flag", tier="B"),
        ),
        when=somewhere(what),
        only=has(what),
    )


def _fact(
    name: str,
    help: str,
    read: Callable[[Hypervisor], Any],
    show: Callable[[Any], str],
    *,
    format: str = "",
    grows: Cost = NOTHING,
) -> File:
    return File(name, help, read=read, show=show, call=psr.PSR_CMT.name, tier="B", format=format, grows=grows)


_cmt = answers(_ask(PsrCmt.get_total_rmid))
_CMT = Dir(
    "cmt",
    "Monitoring of caches and memory bandwidth",
    (
        _fact("enabled", "Whether use of the L3 cache can be monitored", _ask(PsrCmt.enabled), show.flag),
        _fact("num_rmids", "How many domains can be monitored at once", _ask(PsrCmt.get_total_rmid), show.dec),
        _fact(
            "l3_upscaling_factor", "Bytes that one count stands for", _ask(PsrCmt.get_l3_upscaling_factor), show.dec
        ),
        _fact(
            "l3_cache_size_kb", "L3 cache of each socket: socket and kB", _cache_sizes, show.text,
            format='"socket kB" lines', grows=Cost.CPUS,
        ),
        _fact("mon_features", "What can be counted, one name a line", features, show.lines),
    ),
    when=_cmt,
)  # fmt: skip

_MBA = _of(PsrAlloc.get_mba_info)
_MB = Dir(
    "MB",
    "Allocation of memory bandwidth",
    (
        field(_MBA, "thrtl_max", show.dec, "Highest throttle", of="most", tier="B"),
        field(_MBA, "num_closids", show.dec, "How many throttles can be in use at once", of="classes", tier="B"),
        field(_MBA, "delay_linear", show.flag, "Whether delay is proportional to throttle", of="flag", tier="B"),
    ),
    when=somewhere(PsrAlloc.get_mba_info),
    only=has(PsrAlloc.get_mba_info),
)
_SOCKET = Dir(
    "<s>",
    "What can be allocated of a socket",
    (_cache("L3", PsrAlloc.get_l3_info), _cache("L2", PsrAlloc.get_l2_info), _MB),
)

ALLOCATES = (PsrAlloc.get_l3_info, PsrAlloc.get_l2_info, PsrAlloc.get_mba_info)
"""The resources that a socket may have."""
monitors = every(x86, _cmt)
"""Where use of caches and bandwidth can be monitored."""

PSR = Dir(
    "psr",
    "Sharing of caches and memory bandwidth",
    (
        _CMT,
        Dir(
            "sockets",
            "Allocation, by socket",
            (Each(label="<s>", list=sockets, find=find_socket, node=_SOCKET),),
            grows=Cost.CPUS,
            find_grows=Cost.CPUS,
        ),
    ),
    when=x86,
)
