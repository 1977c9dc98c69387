"""Clients of a mount, each a thread: they read, list, hold descriptors, write sense and nonsense, and end domains.

    client.py MOUNT SECONDS CLIENTS PAUSE SEED EVERY ERRNO,ERRNO,...

EVERY is for how many seconds a list of domains is good; the last are the errno values that faults may give. When the
time is over, one JSON object goes to stdout.
"""

from __future__ import annotations

import errno
import json
import os
import random
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Set
from pathlib import Path

READ = (
    "state", "info", "cpu_time_ns", "memory/current_kb", "memory/max", "name", "uuid", "vcpu_stat", "freeze",
    "sched/weight", "type", "vcpus/0/cpu_time_ns",
)  # fmt: skip
HOST = ("host/info", "host/memory/free_kb", "host/cpu_stat", "version/full", "xenfs/calls/stat", "xenfs/error_log")
WRITES = (
    ("freeze", ("0", "1")), ("sched/weight", ("256", "512")), ("memory/max", ("65536", "max")),
)  # fmt: skip
NONSENSE = (("freeze", "maybe"), ("sched/weight", "heavy"), ("memory/max", "-1"), ("freeze", "\n" * 5000))
GONE = {errno.ESTALE, errno.ENOENT, errno.ESRCH}
REFUSED = {errno.EINVAL, errno.ERANGE, errno.E2BIG}
_SAMPLES = 20_000
_MOST_HELD = 50


class Client:
    """One of them. `outcomes` counts by what was done and how it ended; `wrong` says what should not have been."""

    def __init__(self, root: Path, seed: int, faults: set[int], every_s: float) -> None:
        self.every_s, self.list_at = every_s, 0.0
        self.root, self.random, self.faults = root, random.Random(seed), faults
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.took: deque[float] = deque(maxlen=_SAMPLES)
        self.held: deque[tuple[int, bytes]] = deque()
        self.domids: list[str] = ["1"]

    def act(self) -> None:
        """One thing, chosen at random; common things more often."""
        if time.monotonic() >= self.list_at:
            self._try("list", self._list)
            return
        dice = self.random.random()
        if dice < 0.70:
            self._try("read", lambda: self._read(self._of_domain(READ)), GONE)
        elif dice < 0.80:
            self._try("read host", lambda: self._read(self.random.choice(HOST)))
        elif dice < 0.88:
            path, words = self.random.choice(WRITES)
            self._try("write", lambda: self._write(path, self.random.choice(words)), GONE | {errno.EBUSY})
        elif dice < 0.92:
            path, word = self.random.choice(NONSENSE)
            self._try("nonsense", lambda: self._write(path, word), GONE, must=REFUSED)
        elif dice < 0.95:
            self._try("hold", self._hold, GONE)
        elif dice < 0.985:
            self._let_go()
        elif dice < 0.990:
            self._try("kill", lambda: self._write("kill", "1"), GONE)
        elif dice < 0.998:
            self._try("read stat", lambda: self._read("domains/stat"))
        else:
            self._try("scrape", lambda: self._read("metrics/xen.prom"))

    def close(self) -> None:
        """Give back what is held."""
        while self.held:
            os.close(self.held.popleft()[0])

    def _try(
        self, what: str, work: Callable[[], object], may: Set[int] = frozenset(), must: Set[int] = frozenset()
    ) -> None:
        began, code = time.perf_counter(), 0
        try:
            work()
        except OSError as problem:
            code = problem.errno or errno.EIO
        if what == "read":
            self.took.append(time.perf_counter() - began)
        self.outcomes[f"{what} {errno.errorcode.get(code, code) if code else 'ok'}"] += 1
        if code not in (must or {0}) | may | self.faults | {errno.EAGAIN}:
            self.wrong.append(f"{what}: {errno.errorcode.get(code, code) if code else 'not refused'}")

    def _of_domain(self, names: tuple[str, ...]) -> str:
        return f"domains/{self.random.choice(self.domids)}/{self.random.choice(names)}"

    def _read(self, path: str) -> bytes:
        fd = os.open(self.root / path, os.O_RDONLY)
        try:
            found = b""
            while more := os.read(fd, 1 << 17):
                found += more
            return found
        finally:
            os.close(fd)

    def _write(self, path: str, word: str) -> None:
        domid = self.random.choice(self.domids)
        fd = os.open(self.root / "domains" / domid / path, os.O_WRONLY)
        try:
            os.write(fd, word.encode())
        finally:
            os.close(fd)

    def _list(self) -> None:
        """Those that there are now. Each client looks again before half of them are gone, and not all at once."""
        self.list_at = time.monotonic() + self.random.uniform(0.5, 1) * self.every_s
        self.domids = [name for name in os.listdir(self.root / "domains") if name.isdigit() and name != "0"]

    def _hold(self) -> None:
        """Keep a domain's UUID open: whenever it is read again it says the same, or that the domain is gone."""
        fd = os.open(self.root / self._of_domain(("uuid",)), os.O_RDONLY)
        try:
            self.held.append((fd, os.pread(fd, 100, 0)))
        except OSError:
            os.close(fd)
            raise

    def _let_go(self) -> None:
        if not self.held:
            return
        fd, uuid = self.held.popleft()

        def again() -> None:
            try:
                now = os.pread(fd, 100, 0)
            finally:
                if len(self.held) < _MOST_HELD and self.random.random() < 0.5:
                    self.held.append((fd, uuid))  # for longer
                else:
                    os.close(fd)
            if now != uuid:
                self.wrong.append(f"held: {uuid!r} became {now!r}")

        self._try("held", again, GONE)


def main() -> None:
    """Run them all until the time is over; SIGTERM would end them earlier."""
    root, seconds, count, pause, seed, every, codes = sys.argv[1:]
    faults = {getattr(errno, name) for name in filter(None, codes.split(","))}
    clients = [Client(Path(root), int(seed) * 1000 + number, faults, float(every)) for number in range(int(count))]
    end = time.monotonic() + float(seconds)

    def run(client: Client) -> None:
        while time.monotonic() < end:
            client.act()
            time.sleep(client.random.uniform(0, 2 * float(pause)))
        client.close()

    threads = [threading.Thread(target=run, args=(client,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(float(seconds) + 120)
    stuck = sum(thread.is_alive() for thread in threads)
    outcomes: Counter[str] = Counter()
    for client in clients:
        outcomes += client.outcomes
    wrong = [each for client in clients for each in client.wrong] + ["a client hangs"] * stuck
    took = [seconds for client in clients for seconds in client.took]
    print(json.dumps({"outcomes": outcomes, "wrong": wrong, "took": random.sample(took, min(len(took), _SAMPLES))}))
    sys.stdout.flush()
    os._exit(0)  # whoever hangs does so in the kernel


if __name__ == "__main__":
    main()
