"""Domains that come and go by themselves, as under a busy toolstack: something to watch on a host that is pretended."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import AbstractContextManager

from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.world import World

AFTERLIFE_S = 0.5  # how long one that has shut down is kept, as xl does with on_poweroff="destroy"
_KINDS = ("pvh", "pv", "hvm")
_MEMORY_KB = 16 << 10
_ENDS = (0, 3, None)  # poweroff, crash, destroyed while it runs


class Churn:
    """A thread in which so many domains a second are born, which end one way or another after `life_s`."""

    def __init__(self, world: World, per_s: float, life_s: float, lock: AbstractContextManager[object]) -> None:
        self._world, self._per_s, self._life_s, self._lock = world, per_s, life_s, lock
        self._born = 0
        self._living: deque[tuple[float, int, Domain]] = deque()
        self._leaving: deque[tuple[float, Domain]] = deque()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="churn", daemon=True)

    def start(self) -> None:
        """From now on, where there are to be any."""
        if self._per_s > 0:
            self._thread.start()

    def stop(self) -> None:
        """No domain is born or ends any more."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stopped.wait(min(0.1, 0.5 / self._per_s)):
            now = time.monotonic()
            with self._lock:
                most = int(self._per_s * self._life_s) + 1  # where there was no time: no more at once than would live
                while self._born < (now - began) * self._per_s and len(self._living) < most:
                    self._give_birth(now)
                if len(self._living) >= most:
                    self._born = max(self._born, int((now - began) * self._per_s))  # and nothing is made up for
                while self._living and self._living[0][0] <= now:
                    self._end(now, *self._living.popleft()[1:])
                while self._leaving and self._leaving[0][0] <= now:
                    self._destroy(self._leaving.popleft()[1])

    def _give_birth(self, now: float) -> None:
        number = self._born
        self._born += 1
        kind = _KINDS[number % len(_KINDS)] if self._world.host.x86 else "pvh"
        domain = self._world.create(name=f"passing-{number}", type=kind, memory_kb=_MEMORY_KB, load=5)
        self._living.append((now + self._life_s, number, domain))

    def _end(self, now: float, number: int, domain: Domain) -> None:
        code = _ENDS[number % len(_ENDS)]
        if code is None:
            self._destroy(domain)
        elif self._world.domain(domain.domid) is domain:
            self._world.shutdown(domain.domid, code)
            self._leaving.append((now + AFTERLIFE_S, domain))

    def _destroy(self, domain: Domain) -> None:
        """As xl does: first what xenstore has of it, then the domain. Somebody else may have been quicker."""
        if self._world.domain(domain.domid) is domain:
            self._world.rename(domain.domid, None)
            self._world.destroy(domain.domid)
