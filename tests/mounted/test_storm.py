"""Ids of domains used again and again while twenty clients hold on to lives that are over: no write reaches another."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import UUID

import pytest
import storm
from held_lives import Outcomes, require_only_what_may_be, together, words_for
from mounting import REPOSITORY
from patience import PATIENCE_S, until

SECONDS, CLIENTS = 6.0, 20


class Client:
    """Holds a directory, and files in it that are for writing, of some life of some domain, and writes again and again.

    The directory is held by its number, as a working directory or by the way of a link; all belong to the life whose
    number was read by way of it.
    """

    def __init__(self, root: Path, stable: bool, seed: int) -> None:
        self.root, self.random = root, random.Random(seed)
        self.marker = "unique_id" if stable else "uuid"
        self.outcomes = Outcomes()

    def turn(self) -> None:
        """Take hold of a life, and write to it until it has been over for a while."""
        try:
            directory = os.open(self.root / self._way(), os.O_RDONLY | os.O_DIRECTORY)
        except OSError as problem:
            self.outcomes.note("open", problem)
            return
        files: dict[str, int] = {}
        try:
            life = self._life(directory)
            names = ["sched/weight", "memory/max", *(["freeze", "kill"] if life % 2 else [])]
            files = {name: os.open(name, os.O_WRONLY, dir_fd=directory) for name in names}
            self._write_on(life, directory, files)
        except OSError as problem:
            self.outcomes.note("hold", problem)
        finally:
            for fd in (directory, *files.values()):
                os.close(fd)

    def _way(self) -> str:
        domid = self.random.choice(storm.IDS)
        if self.random.random() < 0.7:
            return f"domains/{domid}"
        try:
            names = [name for name in os.listdir(self.root / "domains/by-name") if name.startswith("life-")]
            return f"domains/by-name/{self.random.choice(names)}"
        except (OSError, IndexError):
            return f"domains/{domid}"

    def _life(self, directory: int) -> int:
        fd = os.open(self.marker, os.O_RDONLY, dir_fd=directory)
        try:
            text = os.read(fd, 100).decode().strip()
        finally:
            os.close(fd)
        return int(text, 0) if self.marker == "unique_id" else UUID(text).int

    def _write_on(self, life: int, directory: int, files: dict[str, int]) -> None:
        words = words_for(life)
        after = 0
        while after < 8:
            name = self.random.choice([*files] * 3 + ["kill"] if "kill" not in files else ["freeze", *files])
            time.sleep(self.random.uniform(0, 0.01))
            if name not in files:
                continue
            try:
                if self.random.random() < 0.3:  # once more by name, from the directory that is held
                    again = os.open(name, os.O_WRONLY, dir_fd=directory)
                    try:
                        os.write(again, words[name].encode())
                    finally:
                        os.close(again)
                else:
                    os.write(files[name], words[name].encode())
                self.outcomes["ok"] += 1
                after = 0
            except OSError as problem:
                self.outcomes.note(name, problem)
                after += 1


def enough(clients: list[Client]) -> bool:
    """Clients did hold on to what was over, and did write to what was not."""
    outcomes = together(client.outcomes for client in clients)
    return outcomes["ESTALE"] > 50 and outcomes["ok"] > 20


@pytest.mark.parametrize("release", ["4.14", "4.20", "4.22"])
def test_no_write_reaches_a_later_life(tmp_path: Path, release: str) -> None:
    where = tmp_path / "xenfs"
    where.mkdir()
    server = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", storm.__file__, str(where), release],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}"},
    )  # fmt: skip
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "READY\n", server.communicate()[1]
        clients = [Client(where, release == "4.22", seed) for seed in range(CLIENTS)]
        end, stopped = time.monotonic() + SECONDS, threading.Event()

        def run(client: Client) -> None:
            while not stopped.is_set():
                client.turn()

        threads = [threading.Thread(target=run, args=(client,), daemon=True) for client in clients]
        for thread in threads:
            thread.start()
        try:
            assert server.stdout.readline() == "ENOUGH\n"
            until(lambda: time.monotonic() > end and enough(clients), "clients that met lives and their ends")
        finally:
            stopped.set()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert not any(thread.is_alive() for thread in threads)
        server.send_signal(signal.SIGTERM)
        said, log = server.communicate(timeout=PATIENCE_S)
    finally:
        subprocess.run(["umount", "-l", where], stderr=subprocess.DEVNULL, check=False)
        server.kill()
        server.communicate()
    outcomes = together(client.outcomes for client in clients)
    found = json.loads(said)
    assert found["wrong"] == []
    assert "Traceback" not in log
    require_only_what_may_be(outcomes)
