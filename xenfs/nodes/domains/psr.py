"""domains/<d>/psr/: a domain's part of caches and memory bandwidth, and what it uses of them.

Written as in resctrl's schemata; only the number for bandwidth is Xen's throttle (0 is none), not a percentage left.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import NamedTuple

from xenfs.abi.numbers import PsrAlloc, PsrCmt, PsrDomainOp, ResourceOp
from xenfs.calls import msr, psr
from xenfs.calls.domains import DomainInfo
from xenfs.calls.msr import Msr, Step
from xenfs.calls.neighbours import together
from xenfs.calls.psr import Allocation
from xenfs.errors import BadInput, HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.host.psr import ALLOCATES, EVENTS, allocation_or_none, features, mask, monitors, somewhere
from xenfs.nodes.host.sockets import any_cpu, find_socket, online_cpus, sockets
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, Each, File
from xenfs.nodes.tables.conditions import Condition, every, some, x86
from xenfs.nodes.tables.cost import Cost

_ERROR, _UNAVAILABLE = 1 << 63, 1 << 62  # of the counter: no such RMID or event; nothing counted yet
_EVENT_NUMBERS = {name: number for number, name in enumerate(EVENTS, 1)}


class Resource(NamedTuple):
    """A line of schemata: which resource it is about, and how a domain's part of it is asked for and set."""

    what: PsrAlloc
    get: PsrDomainOp
    set: PsrDomainOp


_RESOURCES = {
    "L3": Resource(PsrAlloc.get_l3_info, PsrDomainOp.GET_L3_CBM, PsrDomainOp.SET_L3_CBM),
    "L3CODE": Resource(PsrAlloc.get_l3_info, PsrDomainOp.GET_L3_CODE, PsrDomainOp.SET_L3_CODE),
    "L3DATA": Resource(PsrAlloc.get_l3_info, PsrDomainOp.GET_L3_DATA, PsrDomainOp.SET_L3_DATA),
    "L2": Resource(PsrAlloc.get_l2_info, PsrDomainOp.GET_L2_CBM, PsrDomainOp.SET_L2_CBM),
    "MB": Resource(PsrAlloc.get_mba_info, PsrDomainOp.GET_MBA_THRTL, PsrDomainOp.SET_MBA_THRTL),
}
_SPLIT = ("L3CODE", "L3DATA")


class Part(NamedTuple):
    """One assignment: a resource, a socket and a value, and the text that they came from."""

    name: str
    socket: int
    value: int
    word: str


class Shares:
    """What can be allocated of each socket, asked for once: no socket changes while one read or write goes on."""

    def __init__(self, xen: Hypervisor) -> None:
        self.sockets = [socket for _, socket in sockets(xen)]
        self.of: Callable[[PsrAlloc, int], Allocation | None] = cache(partial(allocation_or_none, xen))

    def lines(self, socket: int) -> Iterator[str]:
        """The names of the lines that a socket has."""
        for name, resource in _RESOURCES.items():
            found = self.of(resource.what, socket)
            if found and (not name.startswith("L3") or (name in _SPLIT) == bool(found.flag)):
                yield name


def _schemata(xen: Hypervisor, domain: Domain) -> str:
    rows: dict[str, list[str]] = {}
    shares = Shares(xen)
    for socket in shares.sockets:
        for name in shares.lines(socket):
            value = psr.share(xen, domain.domid, _RESOURCES[name].get, socket)
            rows.setdefault(name, []).append(f"{socket}={value if name == 'MB' else f'{value:x}'}")
    return show.lines(f"{name}:{';'.join(rows[name])}" for name in _RESOURCES if name in rows)


def parse_schemata(text: str) -> list[Part]:
    """Lines such as "L3:0=ff;1=f" and "MB:0=10": masks hexadecimal, throttles decimal."""
    parts: list[Part] = []
    for line in filter(None, (each.strip(" \t") for each in text.split("\n"))):
        name, colon, rest = line.partition(":")
        name = name.strip(" \t")
        if name not in _RESOURCES or not colon:
            raise BadInput(f"a line begins with one of {' '.join(_RESOURCES)} and a colon", word=name or line)
        parts += (_part(name, word.strip(" \t")) for word in rest.split(";"))
    if not parts:
        raise BadInput('nothing such as "L3:0=ff;1=ff" was written', at=0)
    places = [(part.name, part.socket) for part in parts]
    for part in parts:
        if places.count((part.name, part.socket)) > 1:
            raise BadInput(f"{part.name} of socket {part.socket} is there twice", word=part.word)
    return parts


def _part(name: str, word: str) -> Part:
    socket, equals, value = (piece.strip(" \t") for piece in word.partition("="))
    if not equals or not re.fullmatch(r"[0-9]{1,10}", socket):
        raise BadInput('not a socket and its value, such as "0=ff"', word=word or f"{name}:")
    if name == "MB":
        try:
            return Part(name, int(socket), parse.integer(0, 2**32 - 1, "throttle")(value), word)
        except BadInput as problem:
            raise BadInput(problem.why, problem.errno, word=word) from None
    if not re.fullmatch(r"(0[xX])?[0-9a-fA-F]{1,20}", value):
        raise BadInput("not a mask in hexadecimal", word=word)
    return Part(name, int(socket), _contiguous(int(value, 16), word), word)


def _contiguous(bits: int, word: str) -> int:
    """Xen and the CPUs want one run of bits."""
    if bits >> 32:
        raise BadInput("no mask has more than 32 bits", errno.ERANGE, word=word)
    run = bits // (bits & -bits) if bits else 0
    if not run or run & (run + 1):
        raise BadInput("the bits of a mask must be beside each other, and at least one", word=word)
    return bits


def _require_possible(shares: Shares, part: Part) -> None:
    """Whether this socket can do that: what Xen would call EINVAL or ENOENT, in words."""
    if part.socket not in shares.sockets:
        raise BadInput(f"there is no socket {part.socket} here", errno.ERANGE, word=part.word)
    found = shares.of(_RESOURCES[part.name].what, part.socket)
    if found is None:
        raise BadInput(f"{part.name} cannot be allocated here", word=part.word)
    if part.name in _SPLIT and not found.flag:
        raise BadInput("code and data have one mask here: write L3", word=part.word)
    _require_value(part, found)


def _require_value(part: Part, found: Allocation) -> None:
    if part.name == "MB" and part.value > found.most:
        raise BadInput(f"the throttle must be 0 to {found.most}", errno.ERANGE, word=part.word)
    if part.name != "MB" and part.value >> found.most:
        raise BadInput(f"the mask must lie within {mask(found.most)}", errno.ERANGE, word=part.word)


def _set_schemata(xen: Hypervisor, domain: Domain, parts: list[Part]) -> None:
    """All of it or, where Xen refuses a part (EOVERFLOW: no class of service is free), nothing."""
    shares = Shares(xen)
    for part in parts:
        _require_possible(shares, part)
    undo: list[tuple[PsrDomainOp, int, int]] = []
    try:
        for part in parts:
            before = list(_now(xen, domain, shares, part))
            psr.set_share(xen, domain.domid, _RESOURCES[part.name].set, part.socket, part.value)
            undo += before
    except HypercallError:
        for what, socket, value in reversed(undo):
            with suppress(HypercallError):
                psr.set_share(xen, domain.domid, what, socket, value)
        raise


def _now(xen: Hypervisor, domain: Domain, shares: Shares, part: Part) -> Iterator[tuple[PsrDomainOp, int, int]]:
    """How to set what there is now: of "L3" where code and data are told apart, both."""
    names = [name for name in shares.lines(part.socket) if name == part.name or (part.name == "L3" and name in _SPLIT)]
    for name in names:
        yield _RESOURCES[name].set, part.socket, psr.share(xen, domain.domid, _RESOURCES[name].get, part.socket)


def _rmid(xen: Hypervisor, domain: Domain) -> int:
    return psr.rmid(xen, domain.domid)


@together
def _monitored(xen: Hypervisor, infos: Sequence[DomainInfo]) -> list[bool]:
    return [bool(rmid) for rmid in psr.rmids(xen, [info.domain for info in infos])]


def _monitor(xen: Hypervisor, domain: Domain, wanted: bool) -> None:
    if wanted != bool(_rmid(xen, domain)):
        psr.monitor(xen, domain.domid, wanted)


def _counted(xen: Hypervisor, domain: Domain, socket: int, event: str) -> str:
    """Bytes; or, as resctrl has it, "Error" or "Unavailable"."""
    select = _rmid(xen, domain) << 32 | _EVENT_NUMBERS[event]
    steps = [Step(ResourceOp.MSR_WRITE, Msr.QM_EVTSEL, select), Step(ResourceOp.MSR_READ, Msr.QM_CTR)]
    count = msr.access(xen, any_cpu(xen, socket), steps)[1]
    if count & (_ERROR | _UNAVAILABLE):
        return "Error" if count & _ERROR else "Unavailable"
    return str(count * psr.monitoring(xen, PsrCmt.get_l3_upscaling_factor))


def _counter(event: str, help: str) -> File:
    def counts(xen: Hypervisor) -> bool:
        return monitors(xen) and event in features(xen)

    return File(
        event, help, read=lambda xen, domain, socket: _counted(xen, domain, socket, event), when=counts,
        grows=Cost.CPUS,
        call="domctl psr_cmt_op, platform_op resource_op", format="decimal number, Error or Unavailable",
    )  # fmt: skip


def _lit_sockets(xen: Hypervisor, domain: Domain) -> list[tuple[str, int]]:
    return [(str(socket), socket) for socket, cpus in online_cpus(xen).items() if cpus]


_MON = Dir(
    "mon",
    "What it uses, by socket; while it is monitored",
    (
        Each(
            label="<s>",
            list=_lit_sockets,
            find=lambda xen, domain, name: find_socket(xen, name),
            node=Dir(
                "<s>",
                "What it uses of a socket",
                (
                    _counter("llc_occupancy", "Bytes of the L3 cache that it occupies"),
                    _counter("mbm_total_bytes", "Bytes moved from and to memory; begins again at the counter's end"),
                    _counter("mbm_local_bytes", "Bytes moved from and to memory of the socket; likewise"),
                ),
            ),
        ),
    ),
    only=_monitored,
    when=monitors,
    grows=Cost.CPUS,
    find_grows=Cost.CPUS,
)

_allocates: Condition = every(x86, some(*map(somewhere, ALLOCATES)))

DOMAIN_PSR = Dir(
    "psr",
    "Its part of caches and memory bandwidth",
    (
        File(
            "schemata", "Masks of caches (L3:0=ff;1=ff), throttle of bandwidth (MB:0=10; 0 for none), by socket",
            read=_schemata, write=_set_schemata, parse=parse_schemata, grows=Cost.CPUS,
            write_grows=Cost.CPUS, tier="B", when=_allocates,
            call="sysctl psr_alloc, domctl psr_alloc", format="as in resctrl: resource and socket=value, one a line",
        ),
        File(
            "cmt_enabled", "Whether it is monitored; write 0 or 1", read=_rmid, show=show.flag, write=_monitor,
            parse=parse.switch, tier="B", call=psr.DOMAIN_CMT.name, when=monitors,
        ),
        File(
            "rmid", "Number that the CPUs count it under, 0 for none", read=_rmid, show=show.dec,
            call=psr.DOMAIN_CMT.name,
            when=monitors,
        ),
        _MON,
    ),
    when=x86,
)  # fmt: skip
