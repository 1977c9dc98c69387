"""Everything that is pretended: a host, its domains and cpupools, and what happens to them. No bytes here."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from errno import EEXIST, EINVAL, ENOMEM, EOVERFLOW, EPERM, ESRCH
from hashlib import blake2b
from time import time
from uuid import UUID

from xenfs.simulator.layouts import version
from xenfs.simulator.settings import Settings
from xenfs.simulator.world.clock import UPTIME_NS, Clock
from xenfs.simulator.world.console import Console
from xenfs.simulator.world.cpupools import Cpupools
from xenfs.simulator.world.domains import ALIVE, DEAD, NOT_SHUT_DOWN, Changes, Domain, Vcpu
from xenfs.simulator.world.guests import Guests
from xenfs.simulator.world.host import Host
from xenfs.simulator.world.livepatches import Livepatches
from xenfs.simulator.world.pci_bus import Bus
from xenfs.simulator.world.physmap import ARM_RAM, PAGE, Physmap
from xenfs.simulator.world.placement import Placement
from xenfs.simulator.world.pmu import Pmu
from xenfs.simulator.world.policy import Policy
from xenfs.simulator.world.power import Power
from xenfs.simulator.world.psr import Psr
from xenfs.simulator.world.refused import Refused

FIRST_RESERVED = 0x7FF0  # domids from here on are not domains
DOMID_SELF = 0x7FF0
LINGER_NS = 2 * 10**9  # how long a destroyed domain is seen dying
ZOMBIE_PAGES = 3  # what one that never quite goes still holds
MAX_PAUSES = 255
EMULATED = {"pv": 0, "pvh": 0x1, "hvm": 0x3FF}
"""XEN_X86_EMU_*: nothing, a local APIC, everything but vPCI."""


class World:
    """The pretended host and all that lives on it. Methods raise Refused as Xen's operations would fail."""

    def __init__(self, settings: Settings, clock: Callable[[], int] | None = None) -> None:
        self.settings = settings
        self.clock = Clock(clock, settings.speed)
        self.host = Host(settings)
        self.power = Power(settings, self.host, self.clock)
        self.console = Console()
        self.placement = Placement(self.host, settings.seed)
        self.pools = Cpupools(self.host, self.placement, self.clock)
        self.policy = Policy(version(settings.series) >= (4, 17)) if settings.flask else None
        self.livepatches = Livepatches(settings.livepatches, self.digest("build", settings.xen, size=20))
        self.bus = Bus(settings.pci, self.host.nr_nodes)
        self.pmu = Pmu()
        shares = self.host.x86 and settings.psr != "off"
        self.psr = Psr(self.host, settings.psr == "cdp") if shares else None
        self.domains: dict[int, Domain] = {}
        self.changes = Changes()
        self.order: list[int] = []
        self._doomed: list[Domain] = []
        self._last_domid = 0
        self._created = 0
        self._used_pages = 0
        self.booted_s = time() - UPTIME_NS / 1e9  # when the host did, by dom0's clock
        self.guests = Guests(
            self.clock.now, lambda domain, code: self.shutdown(domain.domid, code), self.give_pages,
            lambda domain: self.placement.again(domain, self.clock.ticks()), lambda path: self.store_changed(path),
            lambda: self.free_pages,
        )  # fmt: skip
        self.banner: list[str] = []  # what Xen says of itself when it boots, and when asked
        self.claimed_pages = 0  # claimed and not allocated yet
        self.store_changed: Callable[[str], object] = lambda path: None  # told each path that changes in xenstore
        self.linger_ns = LINGER_NS

    # Finding

    def domain(self, domid: int) -> Domain | None:
        """The domain with this id; None where there is none (any more)."""
        if self._doomed or self.guests.busy:  # which a call would take half of its time to see
            self._catch_up()
        return self.domains.get(domid)

    def any_domain(self, domid: int) -> Domain | None:
        """The same, where DOMID_SELF is the control domain, which is the one that calls."""
        return self.domain(0 if domid == DOMID_SELF else domid)

    def domains_from(self, domid: int, limit: int | None = None) -> list[Domain]:
        """The domains with this id or a higher one, in order, at most so many."""
        self._catch_up()
        start = bisect_left(self.order, domid)
        stop = None if limit is None else start + limit
        return [self.domains[number] for number in self.order[start:stop]]

    def settled(self) -> int:
        """How often anything has changed that a list of domains shows but for time, with what is due by now."""
        self._catch_up()
        return self.changes.count

    def other(self, domid: int) -> Domain:
        """A domain that the control domain may pause: EINVAL for itself, ESRCH for none."""
        found = self.domain(domid)
        if found is None:
            raise Refused(ESRCH)
        if domid == 0:
            raise Refused(EINVAL)
        return found

    def remote(self, domid: int) -> Domain:
        """A domain that is not the caller: EPERM for itself, ESRCH for none."""
        if domid == 0:
            raise Refused(EPERM)
        found = self.domain(domid)
        if found is None:
            raise Refused(ESRCH)
        return found

    @property
    def free_pages(self) -> int:
        """Pages that nobody has; claimed ones count as free until they are allocated."""
        host = self.host
        return max(0, host.total_pages - host.reserved_pages - self._used_pages - len(host.offlined))

    # Beginning and end

    def create(
        self,
        domid: int | None = None,
        *,
        name: str | None = None,
        uuid: UUID | str | bytes | None = None,
        type: str = "pvh",
        vcpus: int = 1,
        memory_kb: int = 512 << 10,
        load: int = 0,
        pool: int = 0,
        paused: bool = False,
    ) -> Domain:
        """A new domain that runs (unless paused), all its memory allocated and its vCPUs online."""
        domain = self.build(self.free_domid() if domid is None else domid, self._handle(uuid), type, pool)
        domain.name = name
        domain.max_pages = memory_kb * 1024 // PAGE + 256
        self.give_pages(domain, memory_kb * 1024 // PAGE)
        domain.physmap.built = domain.tot_pages
        domain.pause_count, domain.finished = int(paused), True
        domain.max_vcpus = vcpus
        everywhere = self.host.present
        domain.vcpus = [Vcpu(domain, number, everywhere, load) for number in range(vcpus)]
        self.placement.start(domain, self.clock.ticks())
        self.guests.of(domain)
        self.introduce(domain)
        return domain

    def build(self, domid: int, handle: bytes, kind: str, pool: int = 0, hap: bool = True) -> Domain:
        """A new domain with nothing in it, paused by its builder, as createdomain makes it."""
        if domid in self.domains:
            raise Refused(EEXIST)
        domain = Domain(domid, handle, kind, hap, self.changes)
        self.pools.add_domain(domain, pool)
        self._created += 1
        domain.unique_id = int.from_bytes(self.digest("unique", self._created), "little") | 1
        domain.pause_count = 1
        domain.ssidref = self.policy.label(domid) if self.policy else 0
        domain.emulation_flags = EMULATED[kind] if self.host.x86 else 0
        domain.since, domain.born_ns = self.clock.ticks(), self.clock.now()
        domain.node_affinity = (1 << self.host.nr_nodes) - 1
        domain.shared_info_frame = 0x1000 + domid if kind == "pv" else (1 << 64) - 1
        domain.physmap = Physmap(holed=domain.hvm) if self.host.x86 else Physmap(holed=False, base=ARM_RAM)
        domain.mempool_bytes = 0 if kind == "pv" else 4 << 20
        self.domains[domid] = domain
        insort(self.order, domid)
        domain.changed()
        return domain

    def free_domid(self) -> int:
        """The next domid that no domain has: they are not used again before all have been."""
        if self._doomed:
            self._bury()
        for step in range(1, FIRST_RESERVED):
            domid = (self._last_domid + step) % FIRST_RESERVED
            if domid and domid not in self.domains:
                self._last_domid = domid
                return domid
        raise Refused(EEXIST)

    def destroy(self, domid: int) -> None:
        """Kill a domain: it is seen dying for a while, then its id is free. Again and again without effect."""
        domain = self.other(domid)
        if domain.dying == DEAD:
            return
        self.placement.stop(domain, self.clock.ticks())
        domain.dying = DEAD
        domain.dead_at = self.clock.now()
        self._set_claim(domain, 0)
        self.give_pages(domain, ZOMBIE_PAGES)
        if domain.pool.id != 0:
            domain.pool.domains.discard(domain)
            domain.pool = self.pools.by_id[0]
            domain.pool.domains.add(domain)
        domain.changed()
        self._release(domain)
        if not domain.zombie:
            self._doomed.append(domain)

    def vanish(self, domid: int) -> None:
        """Let a domain be gone at once, dying or not: its id is free."""
        domain = self.domains.pop(domid, None)
        if domain is not None:
            self.placement.stop(domain, self.clock.ticks())
            self.give_pages(domain, 0)
            self._set_claim(domain, 0)
            self.order.remove(domid)
            domain.pool.domains.discard(domain)
            domain.gone = True
            domain.vcpus.clear()  # each has its domain: Python would have to look for what keeps only itself
            domain.changed()
            self._release(domain)

    def _catch_up(self) -> None:
        if self._doomed:
            self._bury()
        if self.guests.busy:
            self.guests.stir()

    def _bury(self) -> None:
        before = self.clock.now() - self.linger_ns
        for domain in [domain for domain in self._doomed if domain.dead_at <= before]:
            self._doomed.remove(domain)
            if not domain.gone:
                self.vanish(domain.domid)

    # What a toolstack and xenstored add to it

    def introduce(self, domain: Domain) -> None:
        """The toolstack has written what there is to say of a domain, and has told xenstored to serve it."""
        if domain.name is not None:
            self.store_changed(f"/local/domain/{domain.domid}/name")
        domain.introduced = True
        self.store_changed("@introduceDomain")

    def rename(self, domid: int, name: str | None) -> None:
        """Write another name into xenstore, or remove it with None."""
        domain = self.domain(domid)
        if domain is None:
            raise Refused(ESRCH)
        domain.name = name
        self.store_changed(f"/local/domain/{domid}/name")

    def _release(self, domain: Domain) -> None:
        """What xenstored does when it finds one of its domains dying or gone: it forgets it, and says so once."""
        if domain.introduced:
            domain.introduced = False
            self.store_changed("@releaseDomain")

    # What happens in between

    def pause(self, domid: int) -> None:
        """Pause once more, up to 255 times."""
        domain = self.other(domid)
        if domain.pause_count >= MAX_PAUSES:
            raise Refused(EOVERFLOW)
        domain.pause_count += 1
        self.placement.stop(domain, self.clock.ticks())

    def unpause(self, domid: int) -> None:
        """Take back one pause: EINVAL where there is none."""
        domain = self.domain(domid)
        if domain is None:
            raise Refused(ESRCH)
        if not domain.pause_count:
            raise Refused(EINVAL)
        domain.pause_count -= 1
        domain.finished = domain.finished or not domain.pause_count
        self.placement.start(domain, self.clock.ticks())

    def shutdown(self, domid: int, reason: int) -> None:
        """The domain shuts down for this reason (0 poweroff, 1 reboot, 2 suspend, 3 crash, ...)."""
        domain = self.domain(domid)
        if domain is None:
            raise Refused(ESRCH)
        if domain.shutdown_code == NOT_SHUT_DOWN:
            domain.shutdown_code = reason
        self.placement.stop(domain, self.clock.ticks())
        if domain.introduced and not domain.shutdown_told:
            domain.shutdown_told = True  # once, until a toolstack tells xenstored that it was resumed
            self.store_changed("@releaseDomain")

    def resume(self, domid: int) -> None:
        """Let a domain that has shut down go on."""
        domain = self.other(domid)
        domain.shutdown_code = NOT_SHUT_DOWN
        self.placement.start(domain, self.clock.ticks())

    def claim(self, domain: Domain, pages: int) -> None:
        """Promise a domain so many pages in all; none takes the promise back."""
        if domain.dying != ALIVE:
            raise Refused(EINVAL)
        if pages and (domain.outstanding_pages or not domain.tot_pages < pages <= domain.max_pages):
            raise Refused(EINVAL)
        wanted = pages - domain.tot_pages if pages else 0
        if wanted > self.free_pages - self.claimed_pages:
            raise Refused(ENOMEM)
        self._set_claim(domain, wanted)

    def give_pages(self, domain: Domain, pages: int) -> None:
        """Let a domain have so many pages, no more and no less."""
        self._used_pages += pages - domain.tot_pages
        domain.tot_pages = pages
        domain.changed()

    @property
    def shared_pages(self) -> int:
        """Pages of domains that are shared with others."""
        return sum(domain.shared_pages for domain in self.domains.values())

    def _set_claim(self, domain: Domain, pages: int) -> None:
        self.claimed_pages += pages - domain.outstanding_pages
        domain.outstanding_pages = pages
        domain.changed()

    # Helpers

    def digest(self, *words: object, size: int = 8) -> bytes:
        """Bytes that look random and are the same for the same seed and words."""
        text = "/".join(map(str, (self.settings.seed, *words)))
        return blake2b(text.encode(), digest_size=size).digest()

    def _handle(self, uuid: UUID | str | bytes | None) -> bytes:
        if uuid is None:
            return UUID(bytes=self.digest("uuid", self._created, size=16), version=4).bytes
        if isinstance(uuid, bytes):
            return uuid
        return (uuid if isinstance(uuid, UUID) else UUID(uuid)).bytes
