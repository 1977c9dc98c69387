"""The simulator as a backend: a pretended Xen that takes the same numbers and pointers as the real one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from errno import EFAULT, ENOSYS
from threading import RLock
from typing import TYPE_CHECKING

from xenfs.errors import BadAddress
from xenfs.hypervisor.base import Backend
from xenfs.hypervisor.devices import Counters
from xenfs.hypervisor.foreign import Foreign, Wanted
from xenfs.hypervisor.qemu.disks import Qemus
from xenfs.pool import Pool, SimulatedPages
from xenfs.simulator import hypercalls
from xenfs.simulator.answers import boot_log, foreign, resources
from xenfs.simulator.layouts import Layouts
from xenfs.simulator.machine import Machine
from xenfs.simulator.settings import Settings, parse
from xenfs.simulator.world.churn import Churn
from xenfs.simulator.world.devices import ODD_QEMU, Traffic, may_have_qemu
from xenfs.simulator.world.population import populate
from xenfs.simulator.world.qemus import PretendedQemus
from xenfs.simulator.world.refused import Refused
from xenfs.simulator.world.store import DomainNodes
from xenfs.simulator.world.world import World
from xenfs.xenstore import FakeXenstore, Xenstore

if TYPE_CHECKING:
    from xenfs.simulator.machine import Memory

_NO_MORE = (0, 0, 0, 0, 0)
_MOST = len(_NO_MORE)


class Simulator(Backend):
    """A pretended host. `world` is what lives on it, `counts` how often each operation was asked for."""

    name = "simulator"
    pretends = True

    def __init__(self, settings: Settings | None = None, clock: Callable[[], int] | None = None) -> None:
        self.settings = settings or Settings()
        self.arch = self.settings.arch
        self.pages = SimulatedPages()
        self.world = World(self.settings, clock)
        self.machine = Machine(self.settings, self.world)
        self.counts: Counter[str] = Counter()
        self._lock = RLock()
        self._calls = hypercalls.table(self.machine, self.counts)
        self.machine.dispatch = self.hypercall
        self._multicall = self.machine.constant("__HYPERVISOR_multicall")
        populate(self.world)
        boot_log.write(self.machine)
        nodes = DomainNodes(self.world)
        self._store = FakeXenstore(nodes, self._lock) if self.settings.xenstore else None
        self._traffic = Traffic(nodes.plugged, self.world.clock.ticks) if self.settings.xenstore else None
        self._qemus = Qemus(PretendedQemus(self._by_qemu, may_have_qemu(), ODD_QEMU, self.settings.qemu).ask)
        if self._store is not None:
            self.world.store_changed = self._store.fire
        self._churn = Churn(self.world, self.settings.churn, self.settings.life, self._lock)

    @classmethod
    def from_settings(cls, text: str = "", clock: Callable[[], int] | None = None) -> Simulator:
        """A host as described: "xen=4.17,arch=x86_64,domains=12,cpus=8,nodes=2"; StartError for what cannot be."""
        return cls(parse(text), clock)

    @property
    def layouts(self) -> Layouts:
        """The layouts that its bytes have."""
        return self.machine.layouts

    def attach(self, pool: Pool | Memory) -> None:
        """Reach the caller's memory through this pool, and in no other way."""
        self.machine.attach(pool)

    def hypercall(self, number: int, args: tuple[int, ...]) -> int:
        """The result, or -errno; -ENOSYS for what this Xen does not have, -EFAULT for a pointer into nowhere."""
        call = self._calls.get(number)
        if call is None:
            self.counts[f"hypercall {number}"] += 1
            return -ENOSYS
        if len(args) < _MOST:  # never of a member of a multicall, of which there are thousands
            args += _NO_MORE
        try:
            if number == self._multicall:  # each of its members is made alone: other calls come between, as in Xen
                return call(args)
            with self._lock:
                return call(args)
        except Refused as refused:
            return -refused.code
        except BadAddress:
            return -EFAULT

    def foreign(self, domid: int, frames: Sequence[int], *, write: bool) -> Foreign:
        """Pages of a pretended domain."""
        with self._lock:
            return foreign.foreign(self.machine, domid, frames, write=write)

    def resource(self, domid: int, wanted: Wanted) -> Foreign:
        """Pages that are kept for a pretended domain."""
        with self._lock:
            try:
                return resources.pages(self.machine, domid, wanted)
            except Refused as refused:
                raise OSError(refused.code, os.strerror(refused.code)) from refused

    def pci_devices(self) -> Sequence[str]:
        """The pretended bus, as dom0 would see it."""
        return self.world.bus.names() if self.machine.x86 else ()

    def xenstore(self) -> Xenstore | None:
        """A xenstore with what there is to say of the domains, as it is at the time of asking."""
        return self._store

    def counters(self) -> Counters | None:
        """What has gone through the pretended networks and disks."""
        return self._traffic

    def qemus(self) -> Qemus | None:
        """Of pretended domains, as xenstore has them."""
        return None if self._traffic is None else self._qemus

    def _by_qemu(self, domid: int) -> dict[str, dict[str, int]]:
        with self._lock:
            return {} if self._traffic is None else self._traffic.by_qemu(domid)

    def booted_s(self) -> float | None:
        """As if the control domain had come up with the host."""
        return self.world.booted_s

    def begin(self) -> None:
        """Let domains come and go, where the settings say so."""
        self._churn.start()

    def close(self) -> None:
        """No more domains come and go."""
        self._churn.stop()
