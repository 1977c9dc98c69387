"""domains/<d>/uptime_s, boot_s: since when there is a domain. Xen does not know; its toolstack has written it down."""

from __future__ import annotations

from collections.abc import Sequence
from time import time

from xenfs.connect.own import own_domid
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.asking import at, has_store, store
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.cost import Cost
from xenfs.politely import politely

_MOST_DIGITS = 11


def learn(xen: Hypervisor, domains: Sequence[Domain]) -> None:
    """Ask xenstore about those that are not known yet, in two rounds; of xenfs's own domain its kernel knows."""
    due = xen.starts.due(domains)
    if not due:
        return
    with xen.names.waiting():
        vms = store(xen).read_many([at(domain, "vm") for domain in due])
    having = [(domain, vm) for domain, vm in zip(due, vms, strict=True) if vm is not None and vm.startswith(b"/vm/")]
    with xen.names.waiting():
        times = store(xen).read_many([vm + b"/start_time" for _, vm in having])
    told = dict(zip((domain for domain, _ in having), map(_seconds, times), strict=True))
    for domain in due:
        if domain.domid == own_domid(xen):
            told[domain] = xen.backend.booted_s()
    xen.starts.learn(due, {domain: began_s for domain, began_s in told.items() if began_s is not None})
    for domain in politely(due):
        if xen.lives.ended(domain):  # meanwhile: nobody else would forget it
            xen.starts.forget(domain)


def _seconds(raw: bytes | None) -> float | None:
    whole, _, part = (raw or b"").partition(b".")
    if not (whole.isdigit() and len(whole) <= _MOST_DIGITS and (part or b"0").isdigit()):
        return None
    return float(b"%s.%s" % (whole, part or b"0"))


def _began_s(xen: Hypervisor, domain: Domain) -> float | None:
    learn(xen, [domain])
    return xen.starts.of(domain)


def _uptime(xen: Hypervisor, domain: Domain) -> str:
    began_s = _began_s(xen, domain)
    return "" if began_s is None else show.dec(max(0, int(time() - began_s)))


def _boot(xen: Hypervisor, domain: Domain) -> str:
    began_s = _began_s(xen, domain)
    return "" if began_s is None else show.dec(int(began_s))


UPTIME = (
    File(
        "uptime_s", "Seconds since it began, by dom0's clock; they pass while it is paused, too",
        read=_uptime, format="decimal number, or empty", grows=Cost.WAITS, when=has_store,
        call="(xenstore)",
    ),
    File(
        "boot_s", "When it began, in seconds since 1970", read=_boot,
        format="decimal number, or empty", grows=Cost.WAITS, when=has_store, call="(xenstore)",
    ),
)  # fmt: skip
