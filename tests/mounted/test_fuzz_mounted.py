"""Nonsense for every file that is written, through the mount, by four at once: it lives, and says what it means."""

from __future__ import annotations

import os
import random
import sys
import threading
from pathlib import Path

from mounting import REPOSITORY, Mounter

sys.path.append(str(REPOSITORY / "tests"))
from fuzzing import TOLD
from nonsense import EVERYWHERE

_WRITERS, _EACH = 4, 60


def writable(root: Path) -> list[str]:
    return [
        os.path.join(folder, name)
        for top in ("host/power", "host/cpus/1", "host/memory", "cpupools", "domains/1", "domains/2", "xenfs")
        for folder, _, names in os.walk(root / top)
        for name in names
        if os.lstat(os.path.join(folder, name)).st_mode & 0o222
    ]


def test_nonsense_for_every_file(mounter: Mounter) -> None:
    mount = mounter("profile=full,domains=5,cpus=4", options="lifecycle,debug,raw,record=off")
    paths = sorted(writable(mount.where))
    assert len(paths) > 60
    odd: list[tuple[str, bytes, object]] = []

    def one(path: str, data: bytes, offset: int) -> None:
        try:
            fd = os.open(path, os.O_WRONLY)
            try:
                os.pwrite(fd, data, offset)
            finally:
                os.close(fd)
        except OSError as problem:
            if problem.errno not in TOLD:
                odd.append((path, data, problem))

    def many(seed: int) -> None:
        chance = random.Random(seed)
        for path in chance.sample(paths, min(len(paths), _EACH)):
            data = chance.choice([chance.choice(EVERYWHERE), chance.randbytes(chance.randrange(40)), b"0", b"1,2"])
            one(path, data, chance.choice([0, 1, 4096, 2**62]))

    writers = [threading.Thread(target=many, args=(seed,)) for seed in range(_WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert not odd
    assert mount.read("version/major") == "4\n"
    stat = dict(line.split() for line in mount.read("xenfs/buffers/stat").splitlines())
    assert (stat["in_use"], stat["red_zone_hits"]) == ("0", "0")
    assert "Traceback" not in mount.errors()
