"""Shared caches and memory bandwidth of the pretended host: classes of service, monitoring ids, and what they count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from errno import EEXIST, EINVAL, ENODEV, ENOENT, EOVERFLOW, ERANGE

from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.host import FULL, Host
from xenfs.simulator.world.processor import Shared
from xenfs.simulator.world.refused import Refused

L3, CODE, DATA, L2, BANDWIDTH = "L3", "L3CODE", "L3DATA", "L2", "MB"
GRAIN = 10  # percent: what a throttle is rounded down to a multiple of
CLASSES = "psr_classes"
OCCUPANCY, TOTAL, LOCAL = 1, 2, 3
ERROR, UNAVAILABLE = 1 << 63, 1 << 62


class Resource:
    """What can be divided of a socket. `kinds` is one word a class, or, where code and data are apart, two."""

    def __init__(self, shared: Shared, kinds: tuple[str, ...]) -> None:
        self.most, self.kinds = shared.most, kinds
        self.cos_max = (shared.cos_max - 1) >> 1 if len(kinds) > 1 else shared.cos_max
        self.plain = 0 if BANDWIDTH in kinds else (1 << shared.most) - 1

    def sanitized(self, value: int) -> int:
        """The value as it would be set; EINVAL for one that cannot be."""
        if value >> 32:
            raise Refused(EINVAL)
        if BANDWIDTH in self.kinds:
            value -= value % GRAIN
            if value > self.most:
                raise Refused(EINVAL)
            return value
        run = value // (value & -value) if value else 0
        if not run or run & (run + 1) or value >> self.most:
            raise Refused(EINVAL)
        return value


class Psr:
    """All of it, of a host whose Xen was told psr=cmt,cat,mba, and cdp where code and data are told apart."""

    def __init__(self, host: Host, split: bool) -> None:
        self.host, cpu = host, host.processor
        self.resources = [Resource(cpu.l3, (DATA, CODE) if split else (L3,))]
        self.resources += [Resource(cpu.l2, (L2,))] if cpu.l2 else []
        self.resources += [Resource(cpu.bandwidth, (BANDWIDTH,))] if cpu.bandwidth else []
        self.sockets = sorted({each.socket for each in host.cpus})
        self.values: dict[int, dict[int, dict[str, int]]] = {socket: {0: self.defaults()} for socket in self.sockets}
        self.monitored: dict[int, Domain] = {}

    def defaults(self) -> dict[str, int]:
        """What class 0 has, for ever: everything."""
        return {kind: resource.plain for resource in self.resources for kind in resource.kinds}

    def resource(self, kind: str, socket: int) -> Resource:
        """ERANGE for a socket that there is not, ENOENT for what it has not."""
        if socket not in self.values:
            raise Refused(ERANGE)
        for resource in self.resources:
            if kind in resource.kinds or (kind == L3 and CODE in resource.kinds):
                return resource
        raise Refused(ENOENT)

    # Who has what

    def class_of(self, domain: Domain, socket: int) -> int:
        """The class of service that a domain's vCPUs run with on a socket."""
        classes: dict[int, int] = domain.kept.get(CLASSES, {})
        return classes.get(socket, 0)

    def share(self, domain: Domain, kind: str, socket: int) -> int:
        """A domain's mask or throttle; EINVAL of L3 where there are two."""
        resource = self.resource(kind, socket)
        if kind not in resource.kinds:
            raise Refused(EINVAL)
        return self._value(socket, self.class_of(domain, socket), kind, resource)

    def _value(self, socket: int, number: int, kind: str, resource: Resource) -> int:
        return self.values[socket][number if number <= resource.cos_max else 0][kind]

    def set_share(self, domain: Domain, others: list[Domain], kind: str, socket: int, value: int) -> None:
        """Find or make a class that differs from the domain's in this alone; EOVERFLOW where none is free."""
        resource = self.resource(kind, socket)
        value = resource.sanitized(value)
        old = self.class_of(domain, socket)
        wanted = {k: self._value(socket, old, k, r) for r in self.resources for k in r.kinds}
        wanted |= dict.fromkeys(resource.kinds if kind == L3 else (kind,), value)
        used = Counter(self.class_of(each, socket) for each in others if self.class_of(each, socket))
        number = self._found(socket, wanted, resource, used)
        if number is None:
            number = self._free(socket, wanted, resource, used, old)
            now = self.values[socket].setdefault(number, {})
            now |= {k: wanted[k] for r in self.resources if number <= r.cos_max for k in r.kinds}
        domain.kept.setdefault(CLASSES, {})[socket] = number

    def _found(self, socket: int, wanted: dict[str, int], of: Resource, used: Counter[int]) -> int | None:
        for number in range(of.cos_max + 1):
            if (not number or used[number]) and self._equals(socket, number, wanted):
                return number
        return None

    def _equals(self, socket: int, number: int, wanted: dict[str, int]) -> bool:
        return all(self._value(socket, number, k, r) == wanted[k] for r in self.resources for k in r.kinds)

    def _free(self, socket: int, wanted: dict[str, int], of: Resource, used: Counter[int], old: int) -> int:
        if old and used[old] == 1 and self._can_take(wanted, old):
            return old
        for number in range(1, of.cos_max + 1):
            if not used[number]:
                if self._can_take(wanted, number):
                    return number
                break
        raise Refused(EOVERFLOW)

    def _can_take(self, wanted: dict[str, int], number: int) -> bool:
        """Of a resource with fewer classes than this number, a class has what class 0 has."""
        beyond = [resource for resource in self.resources if number > resource.cos_max]
        return all(wanted[kind] == resource.plain for resource in beyond for kind in resource.kinds)

    # Monitoring

    def attach(self, domain: Domain) -> None:
        """Give a domain the first id that is free."""
        if self.rmid(domain):
            raise Refused(EEXIST)
        for number in range(1, self.host.processor.rmid_max + 1):
            holder = self.monitored.get(number)
            if holder is None or holder.gone:
                self.monitored[number] = domain
                return
        raise Refused(EOVERFLOW)

    def detach(self, domain: Domain) -> None:
        """Take it back."""
        number = self.rmid(domain)
        if not number:
            raise Refused(ENOENT)
        del self.monitored[number]

    def rmid(self, domain: Domain) -> int:
        """A domain's id, 0 without one."""
        return next((number for number, holder in self.monitored.items() if holder is domain), 0)

    def counted(self, select: int, socket: int, ticks: int) -> int:
        """What the counter shows of an event and an id, as the register that selects has them."""
        event, number = select & 0xFF, select >> 32
        if event not in (OCCUPANCY, TOTAL, LOCAL) or number > self.host.processor.rmid_max:
            return ERROR
        domain = self.monitored.get(number)
        if domain is None or domain.gone:
            return 0
        here = [vcpu for vcpu in domain.existing() if vcpu.cpu is not None and vcpu.cpu.socket == socket]
        if event == OCCUPANCY:
            kib = self.host.processor.l3_kib * min(FULL, sum(vcpu.load for vcpu in here)) // (2 * FULL)
            return kib * 1024 // self.host.processor.upscaling
        if not here:
            return UNAVAILABLE
        moved = sum(domain.vcpu_time(vcpu, ticks) for vcpu in here) // (2 if event == TOTAL else 3)
        return moved // self.host.processor.upscaling & 0xFFFFFF


def known(psr: Psr | None) -> Psr:
    """ENODEV where Xen was not told to."""
    if psr is None:
        raise Refused(ENODEV)
    return psr


def kinds(psr: Psr) -> Iterator[str]:
    """Every kind of share that there is."""
    return (kind for resource in psr.resources for kind in resource.kinds)
