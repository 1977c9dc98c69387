"""CPUs that leave a busy cpupool and come back, on this Xen: what is asked again, and what is said of what is refused.

With `--xen-options sched=credit` this is what ended hosts before: a removal that stayed half done.
"""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from xen_guests import eventually
from xen_mount import Mount, a_cpu_leaves

ROUNDS = 12


@pytest.fixture
def busy() -> Iterator[None]:
    """Each CPU has something to do, so that vCPUs run on those that are to go."""
    load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    yield
    for each in load:
        each.kill()
        each.wait()


def value(path: Path) -> str:
    return path.read_text().strip()


def dom0(*words: str) -> None:
    subprocess.run(words, check=True, timeout=60, capture_output=True, stdin=subprocess.DEVNULL)


def refused(path: Path, text: str) -> int:
    with pytest.raises(OSError, match="Errno") as caught:
        path.write_text(text)
    assert caught.value.errno is not None
    return caught.value.errno


@pytest.fixture
def pool0(mount: Mount) -> Path:
    found = mount.root / "cpupools" / "0"
    if value(found / "cpus") in ("", "0"):
        pytest.skip("this machine has one CPU")
    return found


@a_cpu_leaves
def test_a_busy_cpu_goes_and_comes_back(pool0: Path, mount: Mount, busy: None) -> None:
    cpus = value(pool0 / "cpus")
    online = mount.root / "host" / "cpus" / "1" / "online"
    for number in range(ROUNDS):
        (pool0 / "cpus").write_text("-1")
        assert "1" in value(mount.root / "cpupools" / "free_cpus").split(",")
        if number % 2 and online.exists():
            online.write_text("0")
            online.write_text("1")  # Xen gives it to cpupool 0
        (pool0 / "cpus").write_text("+1")
        assert value(pool0 / "cpus") == cpus


@a_cpu_leaves
def test_a_pool_of_its_own(pool0: Path, mount: Mount) -> None:
    cpus = value(pool0 / "cpus")
    mine = mount.root / "cpupools" / "7"
    mine.mkdir()
    try:
        (mine / "scheduler").write_text("credit")
        assert value(mine / "scheduler") == "credit"
        assert refused(mine / "cpus", "1") == errno.EBUSY
        (pool0 / "cpus").write_text("-1")
        free = value(mount.root / "cpupools" / "free_cpus")
        (mine / "cpus").write_text("all")
        assert value(mine / "cpus") == free
        assert refused(mine / "scheduler", "credit2") == errno.EBUSY
        with pytest.raises(OSError, match="Errno") as caught:
            mine.rmdir()
        assert caught.value.errno == errno.EBUSY
        (mine / "cpus").write_text("\n")
        assert value(mine / "cpus") == ""
    finally:
        (mine / "cpus").write_text("\n")
        mine.rmdir()
        (pool0 / "cpus").write_text("+1")
    assert value(pool0 / "cpus") == cpus


def test_pools_have_names(pool0: Path, mount: Mount, peers: None) -> None:
    """What xl calls a pool is a link, and follows when xl calls it something else."""
    names = mount.root / "cpupools" / "by-name"
    assert (names / "Pool-0").readlink().name == "0"
    assert value(pool0 / "name") == "Pool-0"
    number = "7"
    mount.mkdir(f"cpupools/{number}")
    try:
        assert value(mount.root / "cpupools" / number / "name") == ""
        dom0("xenstore-write", f"/local/pool/{number}/name", "of the/night")
        assert value(mount.root / "cpupools" / number / "name") == "of the/night"
        assert (names / "of the%2Fnight").readlink().name == number
        assert value(names / "of the%2Fnight" / "nr_domains") == "0"
        dom0("xl", "cpupool-rename", "of the/night", "day")
        eventually(lambda: mount.names("cpupools/by-name") == ["Pool-0", "day"], 60, "the new name alone is there")
    finally:
        subprocess.run(["xenstore-rm", f"/local/pool/{number}"], check=False, timeout=60, capture_output=True)
        mount.rmdir(f"cpupools/{number}")
    assert mount.names("cpupools/by-name") == ["Pool-0"]


def test_an_offline_cpu_is_refused_and_listed_everywhere(pool0: Path, mount: Mount) -> None:
    online = mount.root / "host" / "cpus" / "1" / "online"
    if not online.exists():
        pytest.skip("this Xen takes no CPU offline")
    online.write_text("0")
    try:
        assert refused(pool0 / "cpus", "+1") == errno.ENODEV
        assert "cpu1 0" in (mount.root / "host" / "cpu_stat").read_text().splitlines()
        metrics = (mount.root / "metrics" / "xen.prom").read_text()
        assert 'xen_cpu_online{cpu="1"} 0' in metrics
        assert 'xen_cpu_idle_seconds_total{cpu="1"}' not in metrics
        assert "4294967295" not in metrics
    finally:
        online.write_text("1")


def test_the_affinity_of_all_vcpus(mount: Mount) -> None:
    at = mount.root / "domains" / "0"
    before = value(at / "affinity_hard")
    (at / "affinity_hard").write_text("all,^1")
    assert value(at / "vcpus" / "0" / "affinity_hard").startswith("0")
    (at / "affinity_hard").write_text("node:0")
    (at / "affinity_hard").write_text("all")
    assert before
