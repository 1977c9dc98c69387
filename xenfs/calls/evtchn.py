"""event_channel_op: what a domain's event channels are bound to."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

from xenfs.abi.numbers import Domctl, EventOp, EventStatus, Virq
from xenfs.abi.operations import operation
from xenfs.calls.control import domctl, numbered
from xenfs.calls.multicall import multicall
from xenfs.errors import answered_by
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.operation import refusal

STATUS = operation(EventOp.status)
RESET = operation(EventOp.reset)
ALLOC_UNBOUND = operation(EventOp.alloc_unbound)
SUBSCRIBE = operation(Domctl.subscribe)
SET_VIRQ_HANDLER = operation(Domctl.set_virq_handler)

_BATCH = 64  # ports a multicall
_MOST_PORTS = 1 << 17  # of the FIFO kind, which has more than the older one
_PAST_THE_LAST = frozenset({errno.EINVAL, errno.ENOENT})


class Port(NamedTuple):
    """An event channel: its number, its EventStatus, the vCPU that it notifies, and what is at its other end.

    `peer` is (domid, port) of an interdomain channel, (domid,) of an unbound one, (number,) of a virq or pirq.
    """

    port: int
    status: int
    vcpu: int
    peer: tuple[int, ...]


def ports(xen: Hypervisor, domid: int) -> list[Port]:
    """Every event channel of a domain that is not closed; event_channel_op status, batched by multicall."""
    found: list[Port] = []
    for first in range(0, _MOST_PORTS, _BATCH):
        batch = list(_batch(xen, domid, range(first, first + _BATCH)))
        found += [port for port in batch if port.status != EventStatus.closed]
        if len(batch) < _BATCH:
            break
    return found


def _batch(xen: Hypervisor, domid: int, numbers: range) -> Iterator[Port]:
    """Those of these ports that there are: Xen has them up to a last one, without gaps."""
    with ExitStack() as loans:
        views = []
        for number in numbers:
            buf = loans.enter_context(xen.pool.take(xen.abi.sizeof("struct evtchn_status")))
            view = xen.abi.view("struct evtchn_status", buf)
            view.dom, view.port = domid, number
            views.append((view, buf))
        results = multicall(xen, [(STATUS, (EventOp.status, buf)) for _, buf in views], domid)
        for result, (view, _) in zip(results, views, strict=True):
            if -result in _PAST_THE_LAST:
                return
            if result < 0:
                raise refusal(STATUS, result, xen.abi)
            yield Port(view.port, view.status, view.vcpu, _peer(view))


def _peer(view: Any) -> tuple[int, ...]:
    if view.status == EventStatus.unbound:
        return (view.u.unbound.dom,)
    if view.status == EventStatus.interdomain:
        return (view.u.interdomain.dom, view.u.interdomain.port)
    if view.status == EventStatus.pirq:
        return (view.u.pirq,)
    return (view.u.virq,) if view.status == EventStatus.virq else ()


def is_open(xen: Hypervisor, domid: int, port: int) -> bool:
    """Whether a domain has this event channel; event_channel_op status."""
    with answered_by(*_PAST_THE_LAST):
        return bool(numbered(xen, STATUS, domid, dom=domid, port=port).status != EventStatus.closed)
    return False


def alloc_unbound(xen: Hypervisor, domid: int, remote: int) -> int:
    """A port of a domain's that another can bind from now on; ENOSPC where it may have no more. alloc_unbound."""
    return int(numbered(xen, ALLOC_UNBOUND, domid, dom=domid, remote_dom=remote).port)


def reset(xen: Hypervisor, domid: int) -> None:
    """Close every event channel of a domain; EINVAL while it is not paused, EBUSY while that goes on. reset."""
    numbered(xen, RESET, domid, dom=domid)


def subscribe(xen: Hypervisor, domid: int, port: int) -> None:
    """Which of the domain's event channels tells of its suspend; the last word counts. domctl subscribe."""
    domctl(xen, SUBSCRIBE, domid, "subscribe", port=port)


def set_virq_handler(xen: Hypervisor, domid: int, virq: Virq) -> None:
    """Let a domain have an interrupt of the whole host's; EINVAL for one that each vCPU has, or a dying domain, EBUSY
    where who has it now has bound it (Xen 4.21). domctl set_virq_handler."""
    domctl(xen, SET_VIRQ_HANDLER, domid, "set_virq_handler", virq=virq)
