"""Pretended domains and their vCPUs: what getdomaininfo and getvcpuinfo tell about them, and how time wears on them."""

from __future__ import annotations

from typing import Any

from xenfs.simulator.world.host import FULL, Cpu
from xenfs.simulator.world.physmap import Physmap

ALIVE, DYING, DEAD = 0, 1, 2
"""What has become of a domain; from DEAD on it only waits for the last reference to its memory."""

NOT_SHUT_DOWN = -1  # Xen's own mark, which getdomaininfo shows in the bits of the shutdown code
BUSY = FULL * 7 // 8  # a vCPU with at least that load never waits for an event

RTDS_PERIOD_US, RTDS_BUDGET_US = 10_000, 4_000


class Vcpu:
    """A virtual CPU. `load` is what it would use if it could, `rate` what it gets now, in 1024ths of a CPU."""

    __slots__ = (
        "budget_us", "cpu", "domain", "extratime", "hard", "id", "load", "nmi_pending", "online", "period_us", "rate",
        "soft", "used_ns",
    )  # fmt: skip

    def __init__(self, domain: Domain, number: int, everywhere: int, load: int = 0, online: bool = True) -> None:
        self.domain, self.id, self.load, self.online = domain, number, load, online
        self.hard = self.soft = everywhere
        self.cpu: Cpu | None = None
        self.rate = self.used_ns = 0
        self.nmi_pending = False
        self.reset_schedule()

    def reset_schedule(self) -> None:
        """Forget what the scheduler of another cpupool was told."""
        self.period_us, self.budget_us, self.extratime = RTDS_PERIOD_US, RTDS_BUDGET_US, True

    @property
    def waiting(self) -> bool:
        """Whether it would wait for an event when it does not run."""
        return self.load < BUSY


class Changes:
    """How often anything has changed that a list of all domains shows, but for time."""

    count = 0


class Domain:
    """A domain. Until it has `changed`, `info` keeps what getdomaininfo says of it at time 0 while it does not run, and
    its flags while it does."""

    __slots__ = (
        "_changes",
        "_waiting",
        "auto_node_affinity",
        "bare",
        "born_ns",
        "cap",
        "capabilities",
        "dead_at",
        "domid",
        "dying",
        "emulation_flags",
        "finished",
        "gone",
        "guest",
        "handle",
        "hap",
        "hvm",
        "info",
        "introduced",
        "kept",
        "kind",
        "max_pages",
        "max_vcpus",
        "mempool_bytes",
        "name",
        "node_affinity",
        "outstanding_pages",
        "paged_pages",
        "pause_count",
        "physmap",
        "pool",
        "rate",
        "shared_info_frame",
        "shared_pages",
        "shutdown_code",
        "shutdown_told",
        "since",
        "ssidref",
        "tot_pages",
        "unique_id",
        "used_ns",
        "vcpus",
        "weight",
        "xenstored",
        "zombie",
    )  # fmt: skip

    def __init__(self, domid: int, handle: bytes, kind: str, hap: bool = True, changes: Changes | None = None) -> None:
        self._changes = changes or Changes()
        self.domid, self.handle, self.kind = domid, handle, kind
        self.hvm = kind != "pv"
        self.hap = hap and self.hvm
        self.name: str | None = None
        self.vcpus: list[Vcpu | None] = []
        self.max_vcpus = 0
        self.tot_pages = self.max_pages = self.outstanding_pages = self.shared_pages = self.paged_pages = 0
        self.physmap = Physmap(holed=self.hvm)
        self.shared_info_frame = 0
        self.emulation_flags = 0
        self.mempool_bytes = 0
        self.capabilities = 0
        self.pause_count = 0
        self.shutdown_code = NOT_SHUT_DOWN
        self.dying = ALIVE
        self.dead_at = 0
        self.zombie = self.xenstored = self.gone = False
        self.introduced = self.shutdown_told = False  # what xenstored knows of it
        self.bare = False  # no toolstack has been at it: it has what hypercalls have given it
        self.finished = False  # its builder has let it run, which fixes what it is
        self.pool: Any = None
        self.node_affinity = 0
        self.auto_node_affinity = True
        self.unique_id = 0
        self.ssidref = 0
        self.since = self.used_ns = self.rate = 0
        self.info: tuple[bytes, int] | None = None
        self._waiting: bool | None = None  # likewise: each of its vCPUs is asked about
        self.born_ns = 0  # when it was made, since the host booted
        self.guest: Any = None  # what its kernel has agreed upon with xenstore, once it was asked
        self.kept: dict[str, Any] = {}  # by the few operations that need more than this
        self.reset_schedule()
        self.changed()

    def reset_schedule(self) -> None:
        """The parameters that a scheduler gives to a domain that comes to it."""
        self.weight, self.cap = 256, 0
        for vcpu in self.existing():
            vcpu.reset_schedule()

    def changed(self) -> None:
        """What getdomaininfo says of it besides time is not what it was."""
        self.info = self._waiting = None
        self._changes.count += 1

    def existing(self) -> list[Vcpu]:
        """The vCPUs that have been made."""
        return [vcpu for vcpu in self.vcpus if vcpu is not None]

    def vcpu(self, number: int) -> Vcpu | None:
        """A vCPU by number; None where there is none, or none yet."""
        return self.vcpus[number] if number < len(self.vcpus) else None

    @property
    def runs(self) -> bool:
        """Whether its vCPUs are given time: not while it is paused, shut down or dying."""
        return not (self.pause_count or self.dying or self.shutdown_code != NOT_SHUT_DOWN)

    @property
    def waiting(self) -> bool:
        """Whether all of it waits for events while none of it runs: what Xen calls blocked."""
        if self._waiting is None:
            self._waiting = self._waits()
        return self._waiting

    def _waits(self) -> bool:
        if self.shutdown_code != NOT_SHUT_DOWN:
            return False
        return not any(vcpu.online and not vcpu.waiting for vcpu in self.existing())

    def cpu_time(self, ticks: int) -> int:
        """Nanoseconds that its vCPUs have run, up to this tick."""
        return self.used_ns + self.rate * (ticks - self.since)

    def vcpu_time(self, vcpu: Vcpu, ticks: int) -> int:
        """Nanoseconds that one vCPU has run; those of all add up to cpu_time."""
        return vcpu.used_ns + vcpu.rate * (ticks - self.since)

    def settle(self, ticks: int) -> None:
        """Put what has passed on the accounts, before rates change."""
        for vcpu in self.existing():
            vcpu.used_ns = self.vcpu_time(vcpu, ticks)
        self.used_ns, self.since = self.cpu_time(ticks), ticks
        self.changed()
