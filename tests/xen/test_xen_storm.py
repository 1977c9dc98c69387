"""One number for many short lives while twenty clients hold on to those that are over: no write reaches a later one."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
import uuid
from collections.abc import Iterator, Sequence

import pytest
from held_lives import GONE, Outcomes, max_kb_of, require_only_what_may_be, together, weight_of, words_for
from xen_guests import bare
from xen_mount import Mount

from xenfs.calls.domctl import unpause
from xenfs.hypervisor.base import Hypervisor

LIVES, MOST_LIVES, CLIENTS = 30, 150, 20
LIFE_S, PATIENCE_S = (0.1, 0.6), 60.0
WEIGHT, MAX_KB = 256, 0  # what a life begins with


class Client(threading.Thread):
    """Holds the files of a life, whose number is in its UUID, and writes to them until it has been over for a while.

    Lives of odd number may be frozen and ended. `writing` is held during a write: the next life begins when no write is
    under way that began in the one before, as what Xen leaves open between looking and acting is no part of this.
    """

    def __init__(self, mount: Mount, domid: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.directory, self.random = mount.path(f"domains/{domid}"), random.Random(seed)
        self.writing, self.stopped = threading.Lock(), threading.Event()
        self.outcomes = Outcomes()

    def run(self) -> None:
        """Hold one life after the other."""
        while not self.stopped.is_set():
            with contextlib.ExitStack() as held:
                try:
                    directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
                    held.callback(os.close, directory)
                    self._write_on(directory, held)
                except OSError as problem:
                    self.outcomes.note("hold", problem)
                    time.sleep(0.05)

    def _write_on(self, directory: int, held: contextlib.ExitStack) -> None:
        def opened(name: str, flags: int = os.O_WRONLY) -> int:
            fd = os.open(name, flags, dir_fd=directory)
            held.callback(os.close, fd)
            return fd

        life = uuid.UUID(os.read(opened("uuid", os.O_RDONLY), 100).decode().strip()).int
        words = words_for(life)
        files = {name: opened(name) for name in words}
        likely = [name for name in words if name != "kill"] * 5 + [name for name in words if name == "kill"]
        refused = 0
        while refused < 10 and not self.stopped.is_set():
            name = self.random.choice(likely)
            with self.writing:
                try:
                    os.write(files[name], words[name].encode())
                    self.outcomes["ok"] += 1
                except OSError as problem:
                    self.outcomes.note(name, problem)
                    refused += 1
            time.sleep(self.random.uniform(0, 0.05))


def wrong_in(mount: Mount, domid: int, life: int) -> list[str]:
    """What this life has, while nobody writes, that was meant for another; nothing if it is over."""
    try:
        weight, most, frozen = (
            int(mount.value(f"domains/{domid}/{name}")) for name in ("sched/weight", "memory/max", "freeze")
        )
    except OSError as problem:
        return [] if problem.errno in GONE and life % 2 else [f"life {life}, which none may end: {problem}"]
    found = []
    if weight not in (WEIGHT, weight_of(life)):
        found.append(f"life {life} has the weight {weight}")
    if most not in (MAX_KB, max_kb_of(life)):
        found.append(f"life {life} has a maximum of {most} kB")
    if life % 2 == 0 and frozen:
        found.append(f"life {life} is frozen")
    return found


def enough_lives(clients: Sequence[Client]) -> Iterator[int]:
    """LIVES of them, and on a busy machine more, until clients have written as often."""
    for life in range(1, MOST_LIVES + 1):
        yield life
        if life >= LIVES and together(client.outcomes for client in clients)["ok"] > LIVES:
            return


@pytest.mark.once_a_dom0("lives are guarded by xenfs; test_xen_lives.py asks each Xen how it tells them apart")
def test_no_write_reaches_a_later_life(mount: Mount, xen: Hypervisor) -> None:
    first = bare(xen, 0)
    first.destroy()
    domid, dice = first.domid, random.Random(5)
    clients = [Client(mount, domid, seed) for seed in range(CLIENTS)]
    wrong: list[str] = []
    for client in clients:
        client.start()
    try:
        for life in enough_lives(clients):
            guest = bare(xen, domid, uuid.UUID(int=life).bytes)
            assert guest.domid == domid
            unpause(xen, domid)  # harmless: its vCPU is down
            time.sleep(dice.uniform(*LIFE_S))
            with contextlib.ExitStack() as nobody_writes:
                for client in clients:
                    assert client.writing.acquire(timeout=PATIENCE_S), "a write does not end"
                    nobody_writes.callback(client.writing.release)
                wrong += wrong_in(mount, domid, life)
                if life % 3:
                    guest.destroy()
            guest.destroy()  # a third of them while clients write
            with contextlib.ExitStack() as nobody_writes:
                for client in clients:
                    assert client.writing.acquire(timeout=PATIENCE_S), "a write does not end"
                    client.writing.release()
    finally:
        for client in clients:
            client.stopped.set()
        for client in clients:
            client.join(PATIENCE_S)
    outcomes = together(client.outcomes for client in clients)
    print(f"{life} lives of domain {domid}: {dict(outcomes)}")
    assert not any(client.is_alive() for client in clients)
    assert wrong == []
    require_only_what_may_be(outcomes)
    assert outcomes["ESTALE"] > LIVES, "clients did hold on to what was over"
    assert outcomes["ok"] > LIVES, "and did write to what was not"
