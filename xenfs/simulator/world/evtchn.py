"""Event channels of the pretended domains: which port is bound to what follows from who lives on the host."""

from __future__ import annotations

from dataclasses import dataclass, field

from xenfs.simulator.world.domains import ALIVE, Domain
from xenfs.simulator.world.world import World

BUCKET = 64  # ports come and go so many at a time
FIRST_OF_GUESTS = 32  # of the control domain: two for each guest from here on
STORE, CONSOLE = 1, 2  # of a guest
VIRQ_TIMER, VIRQ_DOM_EXC, VIRQ_CON_RING = 0, 3, 8


@dataclass(frozen=True)
class Channel:
    """A port: its state by Xen's name, the vCPU that it notifies, and the members that say what it is bound to."""

    kind: str
    vcpu: int = 0
    peer: dict[str, int] = field(default_factory=dict)


_CLOSED = Channel("closed")


def channel(world: World, domain: Domain, port: int) -> Channel | None:
    """What a port of a domain is bound to; None where there is no such port."""
    if port >= _ports(world, domain):
        return None
    if domain.dying != ALIVE:
        return _CLOSED
    if port in opened(domain):
        return opened(domain)[port]
    if domain.bare:
        return _CLOSED
    return _of_control(world, domain, port) if domain.domid == 0 else _of_guest(domain, port)


def opened(domain: Domain) -> dict[int, Channel]:
    """Those that were opened for it by hypercalls."""
    made: dict[int, Channel] = domain.kept.setdefault("evtchns", {})
    return made


def alloc_unbound(world: World, domain: Domain, remote: int) -> int | None:
    """The lowest port that is closed, waiting for the other domain to bind it; None where there is no more."""
    for port in range(1, _ports(world, domain)):
        found = channel(world, domain, port)
        if found is not None and found.kind == "closed":
            opened(domain)[port] = Channel("unbound", peer={"unbound.dom": remote})
            return port
    return None


def connect(domain: Domain, port: int) -> bool:
    """The control domain binds a port that waits for it; whether it does."""
    if opened(domain).get(port) != Channel("unbound", peer={"unbound.dom": 0}):
        return False
    opened(domain)[port] = _between(0, FIRST_OF_GUESTS + 2 * domain.domid)
    return True


def _ports(world: World, domain: Domain) -> int:
    used = FIRST_OF_GUESTS + 2 * world.order[-1] if domain.domid == 0 else CONSOLE + 2 * len(domain.vcpus) + 1
    return -(-(used + 2) // BUCKET) * BUCKET


def _of_control(world: World, domain: Domain, port: int) -> Channel:
    if port >= FIRST_OF_GUESTS:
        domid, end = divmod(port - FIRST_OF_GUESTS, 2)
        guest = world.domain(domid)
        if guest is None or domid == 0 or guest.dying != ALIVE:
            return _CLOSED
        return _between(domid, (STORE, CONSOLE)[end])
    fixed = {29: VIRQ_DOM_EXC, 30: VIRQ_CON_RING}
    if port in fixed:
        return Channel("virq", peer={"virq": fixed[port]})
    if port == FIRST_OF_GUESTS - 1:
        return Channel("pirq", peer={"pirq": 9})
    return _of_vcpus(domain, port - 1)


def _of_guest(domain: Domain, port: int) -> Channel:
    first = CONSOLE + 1
    if port in (STORE, CONSOLE):
        return _between(0, FIRST_OF_GUESTS + 2 * domain.domid + (port - STORE))
    if port == first + 2 * len(domain.vcpus):
        return Channel("unbound", peer={"unbound.dom": 0})
    return _of_vcpus(domain, port - first) if port else _CLOSED


def _between(domid: int, port: int) -> Channel:
    return Channel("interdomain", peer={"interdomain.dom": domid, "interdomain.port": port})


def _of_vcpus(domain: Domain, number: int) -> Channel:
    """Each vCPU has a timer and an interrupt from the others."""
    vcpu, is_ipi = divmod(number, 2)
    if number < 0 or domain.vcpu(vcpu) is None:
        return _CLOSED
    return Channel("ipi", vcpu) if is_ipi else Channel("virq", vcpu, {"virq": VIRQ_TIMER})
