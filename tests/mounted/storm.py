"""A mount on a simulated host whose domains have a handful of ids, each of which many lives use one after the other.

    storm.py MOUNT RELEASE

Every life has a number: its UUID is it before Xen 4.21, its unique_id from there on, where all lives of an id have one
UUID. Clients know it from there, and write numbers that belong to it; what they may freeze and end are lives of odd
number. ENOUGH says that much has happened. When SIGTERM has ended the mount, a JSON object says how many lives there
were, and what reached one that it was not meant for.

An id has its next life only when no write that was under way at the end of the last one is any more: what Xen leaves
open between looking and acting is no part of this, and has a test of its own.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from uuid import UUID

import trio
from held_lives import max_kb_of, weight_of

from xenfs.connect.opening import open_hypervisor
from xenfs.filesystem.operations import Operations
from xenfs.filesystem.serve import serve
from xenfs.nodes import tree
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.refusals import Refusals
from xenfs.options import Options
from xenfs.simulator import Simulator
from xenfs.simulator.world.domains import Domain

IDS = (1, 2, 3, 4)
WEIGHT, MAX_KB = 256, 8192  # what a life begins with
LIVES, HIT = 100, 10  # more lives than these, and more that were written to, are enough


class Underway:
    """The writes that have begun and not ended, in the order of their beginning."""

    def __init__(self) -> None:
        self._lock, self._begun = threading.Lock(), 0
        self._open: set[int] = set()

    def around(self, work: Callable[..., None]) -> Callable[..., None]:
        """The same work, counted while it goes on."""

        def counted(*args: object) -> None:
            with self._lock:
                self._begun += 1
                number = self._begun
                self._open.add(number)
            try:
                work(*args)
            finally:
                with self._lock:
                    self._open.remove(number)

        return counted

    def wait(self) -> None:
        """Until all have ended that have begun by now."""
        with self._lock:
            last = self._begun
        while True:
            with self._lock:
                if not any(number <= last for number in self._open):
                    return
            time.sleep(0.0005)


class Storm:
    """Ends lives and begins others, and looks at each that ends."""

    def __init__(self, sim: Simulator, underway: Underway, stable: bool) -> None:
        self.sim, self.underway, self.stable = sim, underway, stable
        self.lives, self.hit = 0, 0
        self.wrong: list[str] = []
        self.stopped = threading.Event()
        self._enough = False
        self._random = random.Random(7)
        self._current: dict[int, int] = {}

    def run(self) -> None:
        """Until stopped."""
        for domid in IDS:
            self._begin(domid)
        while not self.stopped.wait(self._random.uniform(0, 0.01)):
            domid = self._random.choice(IDS)
            with self.sim._lock:
                self._judge(self.sim.world.domains.get(domid))
                self.sim.world.vanish(domid)
            if self._random.random() < 0.3:
                time.sleep(0.002)  # nobody at all has it for a while
            self.underway.wait()
            self._begin(domid)

    def _begin(self, domid: int) -> None:
        self.lives += 1
        uuid = UUID(int=domid) if self.stable else UUID(int=self.lives)
        with self.sim._lock:
            domain = self.sim.world.create(domid, uuid=uuid, memory_kb=4096, name=f"life-{self.lives}")
            domain.max_pages, domain.weight = MAX_KB // 4, WEIGHT
            if self.stable:
                domain.unique_id = self.lives
            self._current[domid] = self.lives

    def _judge(self, domain: Domain | None) -> None:
        if domain is None:
            return
        life = self._current[domain.domid]
        if domain.weight not in (WEIGHT, weight_of(life)):
            self.wrong.append(f"life {life} has the weight {domain.weight}")
        if domain.max_pages * 4 not in (MAX_KB, max_kb_of(life)):
            self.wrong.append(f"life {life} has a maximum of {domain.max_pages * 4} kB")
        if life % 2 == 0 and (domain.pause_count or domain.dying):
            self.wrong.append(f"life {life} is {'dying' if domain.dying else 'frozen'}")
        self.hit += domain.weight != WEIGHT or bool(domain.pause_count) or bool(domain.dying)
        if not self._enough and self.lives > LIVES and self.hit > HIT:
            self._enough = True
            print("ENOUGH", flush=True)


def main() -> None:
    """Serve until SIGTERM."""
    mountpoint, release = sys.argv[1:]
    sim = Simulator.from_settings(f"xen={release},domains=1")
    underway = Underway()
    File.apply = underway.around(File.apply)  # type: ignore[method-assign]
    storm = Storm(sim, underway, stable=tuple(map(int, release.split("."))) >= (4, 21))
    xen = open_hypervisor(sim, pool_check=True)
    options, refusals = Options(lifecycle=True), Refusals()
    ops = Operations(xen, tree.build(xen, options, refusals), options, refusals)
    thread = threading.Thread(target=storm.run, daemon=True)

    def ready() -> None:
        thread.start()
        print("READY", flush=True)

    trio.run(serve, ops, mountpoint, ready, 3.0)
    storm.stopped.set()
    thread.join(60)
    print(json.dumps({"lives": storm.lives, "hit": storm.hit, "wrong": storm.wrong[:20]}), flush=True)


if __name__ == "__main__":
    main()
