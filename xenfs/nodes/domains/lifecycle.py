"""domains/<d>/: what a domain is to Xen, and what wakes, prods and ends it."""

from __future__ import annotations

import errno
import logging

from xenfs.abi.numbers import DomainCap, DomainState, Domid, DomInf, ShutdownReason, Trigger
from xenfs.calls import dm, domains, lifecycle
from xenfs.calls.domains import DomainInfo
from xenfs.errors import BadInput, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.hypervisor.sources import asks
from xenfs.nodes.domains.own import is_other_hvm, require_other
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import File, field
from xenfs.nodes.tables.conditions import answers, every, since, x86
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.forms import formed

log = logging.getLogger(__name__)

_MOST_VCPUS = 8191
_REASONS = {reason.name: reason for reason in ShutdownReason}
_BUTTONS = {"power": Trigger.POWER, "sleep": Trigger.SLEEP}


@asks(domains.GET_DOMAIN_STATE)
def _state(xen: Hypervisor, domain: Domain) -> object:
    return lifecycle.state(xen, domain.domid)


def _names(kind: type[DomainState] | type[DomainCap], word: int) -> str:
    return show.words(str(flag.name).lower() for flag in kind if word & flag)


STATE = (
    field(
        _state, "lifecycle", lambda word: _names(DomainState, word), "What has become of it: exist shutdown dying dead",
        format="words with a blank between",
        of="state", when=since(4, 21), since="4.21", wakes=True,
    ),
    field(
        _state, "capabilities", lambda word: _names(DomainCap, word), "What it may do: control hardware xenstore",
        format="words with a blank between",
        of="caps", when=since(4, 21), since="4.21",
    ),
    field(
        _state, "unique_id", show.dec, "A number that no other domain has or will have", when=since(4, 21),
        since="4.21",
    ),
)  # fmt: skip

NR_VCPUS = File(
    "nr_vcpus", "How many vCPUs it was created with", read=lambda xen, domain: dm.nr_vcpus(xen, domain.domid),
    show=show.dec, only=is_other_hvm, call=dm.NR_VCPUS.name, since="4.15",
    when=every(since(4, 15), answers(lambda xen: dm.nr_vcpus(xen, Domid.INVALID))),
)  # fmt: skip


@formed('power, sleep, nmi, or "nmi VCPU"', ranged=True)
def trigger(text: str) -> tuple[Trigger, int]:
    """power, sleep, or nmi with the number of a vCPU that may be left out."""
    words = text.split(" ")
    if words[0] == "nmi" and len(words) <= 2:
        number = parse.integer(0, _MOST_VCPUS, "number of a vCPU")
        return Trigger.NMI, number(words[1]) if len(words) == 2 else 0
    if text not in _BUTTONS:
        raise BadInput('must be "power", "sleep", or "nmi" and the number of a vCPU', word=words[0] or None, at=0)
    return _BUTTONS[text], 0


def _send(xen: Hypervisor, domain: Domain, asked: tuple[Trigger, int], known: DomainInfo) -> None:
    what, vcpu = asked
    if not known.has_vcpus or vcpu > known.max_vcpu_id:
        raise BadInput(f"this domain has no vCPU {vcpu}", errno.ERANGE, word=str(vcpu))
    if what != Trigger.NMI and not known.flags & DomInf.hvm_guest:
        raise BadInput("a PV domain has no buttons", at=0)
    lifecycle.trigger(xen, domain.domid, what, vcpu)


TRIGGER = File(
    "trigger", 'Write power or sleep to press a button, or "nmi [vcpu]"', write=_send, parse=trigger, when=x86,
    knowing=True, call=lifecycle.SENDTRIGGER.name,
)  # fmt: skip


def _shut_down(xen: Hypervisor, domain: Domain, reason: str) -> None:
    require_other(xen, domain)
    if domain.domid == 0:
        raise BadInput("with domain 0 the whole host would shut down", errno.EPERM)
    lifecycle.shut_down(xen, domain.domid, _REASONS[reason])


def _resume(xen: Hypervisor, domain: Domain, _: object) -> None:
    require_other(xen, domain)
    lifecycle.resume(xen, domain.domid)
    _goes_on(xen, domain)


def _goes_on(xen: Hypervisor, domain: Domain) -> None:
    """Say so to those who remember that it has shut down, and would take its next end for this one.

    xenstored tells of an end once, until a toolstack says that the domain was resumed.
    """
    xen.happenings.resumed(domain)
    if xen.store is None:
        return
    try:
        xen.store.resume(domain.domid)
    except XenfsError as problem:  # the domain runs, whoever knows
        log.warning("domain %d goes on, and xenstored may not tell of its next end: %s", domain.domid, problem)


def _soft_reset(xen: Hypervisor, domain: Domain, _: object, known: DomainInfo) -> None:
    require_other(xen, domain)
    if not known.flags & DomInf.shutdown:
        raise BadInput("this domain has not shut down", at=0)
    if not known.flags & DomInf.paused:
        raise BadInput("the domain must be paused: write 1 to freeze first", at=0)
    lifecycle.soft_reset(xen, domain.domid)
    _goes_on(xen, domain)


SOFT_RESET = File(
    "soft_reset", "Write 1: what has shut down begins anew with the memory that it has; it must be paused. The half "
    "that is Xen's: a toolstack does the rest", tier="C", option="debug", write=_soft_reset, knowing=True,
    parse=parse.one, write_grows=Cost.MEMORY | Cost.WAITS, only=is_other_hvm, when=x86,
    call=f"domctl getdomaininfo, {lifecycle.SOFT_RESET.name}, (xenstore)",
)  # fmt: skip

ENDS = (
    File(
        "shutdown", "Write a reason: the domain counts as shut down from now on; request is what asks it",
        write=_shut_down, parse=parse.one_of(_REASONS), option="lifecycle", tier="B",
        call=lifecycle.REMOTE_SHUTDOWN.name,
    ),
    File(
        "resume", "Write 1: it goes on after a shutdown, and xenstored hears of that", write=_resume, parse=parse.one,
        write_grows=Cost.WAITS, option="lifecycle", tier="B", call=f"{lifecycle.RESUMEDOMAIN.name}, (xenstore)",
    ),
)  # fmt: skip


def rename(xen: Hypervisor, domain: Domain, handle: bytes, known: DomainInfo) -> None:
    """Give the domain another UUID; it stays the same life."""
    if handle != known.handle:
        lifecycle.rename(xen, domain.domid, handle)
