"""domains/<d>/monitor/: which events of a guest's inside Xen tells a listener.

The listener's ring is not here: it is a page that Xen and one program share, and requests that keep a vCPU waiting for
an answer within microseconds; xenfs sets what is told, and xen-access, libvmi or drakvuf listen.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from xenfs.abi.numbers import MonitorEvent
from xenfs.calls import monitor
from xenfs.connect.own import own_domid
from xenfs.errors import BadInput, HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.own import is_other, is_other_hvm
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.conditions import answers, since, x86
from xenfs.nodes.tables.forms import formed

_REGISTERS = {"cr0": 0, "cr3": 1, "cr4": 2, "xcr0": 3}  # VM_EVENT_X86_*
_OFF = "off"
_NEVER = {event for event, op in monitor.ENABLE.items() if op.never}  # Xen says that it could


class Order(NamedTuple):
    """What is to be told, or no more; arguments by the union member that has them."""

    on: bool
    arguments: dict[str, dict[str, int]]


def _words(text: str, known: dict[str, str], what: str) -> dict[str, int]:
    """The struct members that these words set."""
    given: dict[str, int] = {}
    for word in re.findall(r"[^ \t]+", text):
        if word not in known:
            raise BadInput(f"must be {what}", word=word)
        given[known[word]] = 1
    return given


@formed('"cr0", "cr3", "cr4" or "xcr0", then any of sync, onchange and a mask; or "off" and the register', ranged=True)
def control_register(text: str) -> Order:
    """A register and how writes to it are told; the mask has the bits that do not count."""
    words = re.findall(r"[^ \t]+", text)
    on = words[:1] != [_OFF]
    rest = words if on else words[1:]
    if not rest or rest[0] not in _REGISTERS or (not on and len(rest) > 1):
        raise BadInput(f"must be one of {' '.join(_REGISTERS)} first, behind {_OFF} alone", at=0)
    mask = next((word for word in rest[1:] if word[:1].isdigit()), "0")
    if sum(word[:1].isdigit() for word in rest[1:]) > 1:
        raise BadInput("more than one mask", at=0)
    flags = " ".join(word for word in rest[1:] if not word[:1].isdigit())
    given = _words(flags, {"sync": "sync", "onchange": "onchangeonly"}, "sync, onchange or a mask")
    bits = parse.integer(0, 2**64 - 1, "mask")(mask)
    return Order(on, {"mov_to_cr": {"index": _REGISTERS[rest[0]], "bitmask": bits, **given}})


@formed('MSR, with onchange or without; or "off" and the MSR', ranged=True)
def msr(text: str) -> Order:
    """An MSR by its number."""
    words = re.findall(r"[^ \t]+", text)
    on = words[:1] != [_OFF]
    rest = words if on else words[1:]
    if not rest or len(rest) > (2 if on else 1):
        raise BadInput('must be an MSR, "off" before it or onchange behind', at=0)
    number = parse.integer(0, 2**32 - 1, "MSR")(rest[0])
    given = _words(" ".join(rest[1:]), {"onchange": "onchangeonly"}, "onchange")
    return Order(on, {"mov_to_msr": {"msr": number, **given}})


def _flags(arm: str, known: dict[str, str]) -> Callable[[str], Order]:
    """on, or words that say how; off."""

    @formed(f"on, or any of {' '.join(known)}; or off")
    def read(text: str) -> Order:
        word = text.strip(" \t")
        if word == _OFF:
            return Order(False, {})
        if not word:
            raise BadInput("nothing was written", at=0)
        given = {} if word == "on" else _words(word, known, f"on, {_OFF} or {' '.join(known)}")
        return Order(True, {arm: given})

    return read


@formed("0 or 1")
def _plain(text: str) -> Order:
    return Order(parse.switch(text), {})


def _can_be_told_of(xen: Hypervisor, domain: Domain) -> bool:
    """Xen tells of HVM and PVH domains, on Arm of all: not asked of each, or a walk would cost another hypercall."""
    return is_other_hvm(xen, domain) if x86(xen) else is_other(xen, domain)


def _write(event: MonitorEvent) -> Callable[[Hypervisor, Domain, Order], None]:
    def write(xen: Hypervisor, domain: Domain, order: Order) -> None:
        """Twice the same is no mistake, unless it would be told in another way."""
        if not monitor.capabilities(xen, domain.domid) >> event & 1:
            raise BadInput("the CPUs of this host cannot tell of that", errno.EOPNOTSUPP, at=0)
        act = monitor.enable if order.on else monitor.disable
        try:
            act(xen, domain.domid, event, **order.arguments)
        except HypercallError as problem:
            if problem.errno != errno.EEXIST or (order.on and any(order.arguments.values())):
                raise

    return write


def _names(bits: int) -> str:
    return show.words(event.name.lower() for event in MonitorEvent if bits >> event & 1 and event not in _NEVER)


_C: dict[str, Any] = {"tier": "C", "option": "debug"}


def _event(event: MonitorEvent, help: str, *, when: Any = x86, read: Callable[[str], Order] = _plain) -> File:
    return File(
        event.name.lower(), help, write=_write(event), parse=read, when=when, only=_can_be_told_of,
        errnos="EEXIST ENXIO EOPNOTSUPP",
        call=f"{monitor.GET_CAPABILITIES.name}, {monitor.ENABLE[event].name}, {monitor.DISABLE[event].name}",
        since="4.18" if event is MonitorEvent.IO else "4.17" if event is MonitorEvent.VMEXIT else "", **_C,
    )  # fmt: skip


def _newer(major: int, minor: int) -> Callable[[Hypervisor], bool]:
    return lambda xen: x86(xen) and since(major, minor)(xen)


MONITOR = Dir(
    "monitor",
    "Which events of its inside Xen tells a listener. Xen does not tell which are told; who listens is not xenfs",
    (
        File(
            "capabilities", "Events that there can be of it",
            read=lambda xen, domain: monitor.capabilities(xen, domain.domid), show=_names,
            format="words with a blank between", call=monitor.GET_CAPABILITIES.name, **_C,
        ),
        _event(MonitorEvent.WRITE_CTRLREG, "Writes to a control register; the mask has the bits that do not count",
               read=control_register),
        _event(MonitorEvent.MOV_TO_MSR, "Writes to an MSR", read=msr),
        _event(MonitorEvent.SINGLESTEP, "Each instruction of a vCPU that is stepped"),
        _event(MonitorEvent.SOFTWARE_BREAKPOINT, "Breakpoints (int3)"),
        _event(
            MonitorEvent.GUEST_REQUEST, "What the guest asks to be told", when=None,
            read=_flags("guest_request", {"sync": "sync", "userspace": "allow_userspace"}),
        ),
        _event(MonitorEvent.DEBUG_EXCEPTION, "Debug exceptions", read=_flags("debug_exception", {"sync": "sync"})),
        _event(MonitorEvent.CPUID, "CPUID"),
        _event(MonitorEvent.PRIVILEGED_CALL, "Calls to the secure world (smc)", when=lambda xen: not x86(xen)),
        _event(MonitorEvent.DESC_ACCESS, "Uses of descriptor tables' registers"),
        _event(MonitorEvent.EMUL_UNIMPLEMENTED, "Instructions that Xen cannot emulate"),
        _event(MonitorEvent.INGUEST_PAGEFAULT, "Write 1: page faults of its own are not injected while that is told"),
        _event(MonitorEvent.VMEXIT, "Everything that leaves the guest", when=_newer(4, 17),
               read=_flags("vmexit", {"sync": "sync"})),
        _event(MonitorEvent.IO, "Input and output", when=_newer(4, 18)),
        File(
            "emulate_each_rep", "Whether each round of a rep instruction is told; somebody must listen",
            write=lambda xen, domain, wanted: monitor.emulate_each_rep(xen, domain.domid, wanted),
             parse=parse.switch, call=monitor.EMULATE_EACH_REP.name, when=x86, only=is_other_hvm, **_C,
        ),
        File(
            "control_registers", "Write 1: a listener may set its control registers. The guest may crash",
            write=lambda xen, domain, _: monitor.control_registers(xen, domain.domid), parse=parse.one,
            call=monitor.CONTROL_REGISTERS.name, when=x86, only=is_other_hvm, **_C,
        ),
        File(
            "access_required", "Whether a vCPU that touches what it may not waits until somebody listens",
            write=lambda xen, domain, wanted: monitor.set_access_required(xen, domain.domid, wanted),
            parse=parse.switch, call=monitor.SET_ACCESS_REQUIRED.name, only=is_other_hvm, **_C,
        ),
    ),
    option="debug",
    only=is_other,
    when=answers(lambda xen: monitor.capabilities(xen, own_domid(xen))),
)  # fmt: skip
