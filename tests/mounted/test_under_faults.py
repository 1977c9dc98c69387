"""A mount whose hypercalls fail on purpose: it lives, each error goes to who caused it, and nothing is left over."""

from __future__ import annotations

import ast
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
from mounting import REPOSITORY, Mount, Mounter
from patience import PATIENCE_S

SECONDS, AT_LEAST = float(os.environ.get("XENFS_TEST_FAULTS_S", "3")), 5
pytestmark = pytest.mark.timeout(SECONDS + 300)


def outcome(work: Callable[[], object]) -> int:
    try:
        work()
    except OSError as problem:
        return problem.errno or errno.EIO
    return 0


def at_work(*jobs: Callable[[], object], seconds: float = SECONDS) -> list[Counter[int]]:
    """Each job again and again in a thread of its own, a few times at least, and how it ended how often."""
    end = time.monotonic() + seconds
    found: list[Counter[int]] = [Counter() for _ in jobs]

    def run(number: int) -> None:
        while time.monotonic() < end or found[number].total() < AT_LEAST:
            found[number][outcome(jobs[number])] += 1

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads)
    print(f"{seconds:g} s:", *map(dict, found), sep="\n")
    return found


def beginning(mount: Mount, path: str) -> None:
    """Read for a while: a console that says of each piece that it is not the last one has no end."""
    with open(mount.where / path, "rb", buffering=0) as file:
        for _ in range(20):
            if not file.read(1 << 16):
                return


def flat(mount: Mount, path: str) -> dict[str, int]:
    return {line.split()[0]: int(line.split()[1]) for line in mount.read(path).splitlines()}


def left_as_found(mount: Mount, before: dict[str, int]) -> None:
    """No buffer is on loan, no call runs, and no more memory is mapped than use explains."""
    after = flat(mount, "xenfs/buffers/stat")
    assert after["in_use"] == 0
    assert after["releases"] == after["takes"]
    assert after["red_zone_hits"] == 0
    assert after["bytes_mapped"] <= before["bytes_mapped"] + (1 << 20)
    assert mount.read("xenfs/calls/in_flight") == ""
    assert "Traceback" not in mount.errors()


def test_each_error_reaches_who_caused_it_and_nobody_else(mounter: Mounter) -> None:
    """Readers and writers of four domains, two of which fail in different ways; the others notice nothing."""
    mount = mounter(
        "domains=8", "--faults",
        "domctl EBUSY domain=3 30%; domctl:pausedomain ENOMEM domain=4; domctl:unpausedomain EIO domain=4;"
        "domctl:getvcpuinfo EFAULT x20 domain=6",
    )  # fmt: skip
    before = flat(mount, "xenfs/buffers/stat")
    jobs: list[Callable[[], object]] = []
    for domid in (1, 2, 3, 4):
        jobs.append(lambda d=domid: mount.read(f"domains/{d}/info"))  # type: ignore[misc]
        jobs.append(lambda d=domid: mount.write(f"domains/{d}/sched/weight", "300"))  # type: ignore[misc]
    for word in "10":
        jobs.append(lambda w=word: mount.write("domains/4/freeze", w))  # type: ignore[misc]
    jobs += [lambda: mount.read("domains/stat"), lambda: os.listdir(mount.where / "domains/2"),
             lambda: mount.read("domains/6/vcpu_stat")]  # fmt: skip
    found = at_work(*jobs)
    for innocent in (0, 1, 2, 3, 6, 7, -3, -2):
        assert set(found[innocent]) == {0}, found
    assert set(found[4] + found[5]) - {0} == {errno.EBUSY}, found
    assert set(found[8]) == {errno.ENOMEM}, "it never was paused"
    assert set(found[9]) == {0}
    assert set(found[-1]) <= {0, errno.EFAULT}, "retried, and good"
    left_as_found(mount, before)
    log = mount.read("xenfs/error_log")
    assert "domains/3/" in log
    assert "domains/4/freeze: ENOMEM" in log
    assert "domains/1/" not in log


def test_faults_of_every_sort_at_once(mounter: Mounter) -> None:
    """Whatever hypercall it is: one in five fails, and the mount serves on."""
    rules = "; ".join(f"* {what} 4%" for what in ("EBUSY", "ENOMEM", "EFAULT", "version", "delay=1ms"))
    mount = mounter("domains=8", "--faults", f"{rules}; pool:take ENOMEM 4%; domctl:destroydomain hang=100ms")
    before = flat(mount, "xenfs/buffers/stat")
    injected = {0, errno.EBUSY, errno.ENOMEM, errno.EFAULT, errno.EACCES}
    found = at_work(
        lambda: mount.read("domains/1/info"),
        lambda: mount.read("domains/2/vcpu_stat"),
        lambda: mount.read("host/info"),
        lambda: mount.read("metrics/xen.prom"),
        lambda: os.listdir(mount.where / "domains"),
        lambda: os.listdir(mount.where / "domains/by-name"),
        lambda: mount.write("domains/3/freeze", "1"),
        lambda: mount.write("domains/3/freeze", "0"),
        lambda: mount.write("domains/4/memory/max", "65536"),
        lambda: mount.write("domains/6/sched/weight", "nonsense"),
    )
    for codes in found[:-1]:
        assert set(codes) <= injected, found
        assert codes
    assert set().union(*found[:-1]) > {0}, "both were seen"
    assert set(found[-1]) <= injected - {0} | {errno.EINVAL}
    left_as_found(mount, before)


@pytest.mark.parametrize("kind", ["garbled", "short"])
def test_answers_that_make_no_sense(mounter: Mounter, kind: str) -> None:
    """They may read as nonsense, or be EIO with a line in the log; what is read after is as it was before."""
    mount = mounter("domains=5", "--faults", f"* {kind}")
    shown = subprocess.run(  # by another process: names may be spoiled too
        ["find", ".", "-type", "f", "-perm", "-444"],
        cwd=mount.where, capture_output=True, text=True, timeout=60, check=False,
    ).stdout.splitlines()  # fmt: skip
    for _ in range(3):
        for path in shown[:: max(1, len(shown) // 150)]:  # a spoiled number of vCPUs makes thousands
            outcome(lambda path=path: beginning(mount, path))  # type: ignore[misc]
    assert len(shown) > 100
    assert mount.process.poll() is None
    assert flat(mount, "xenfs/buffers/stat")["in_use"] == 0
    assert mount.read("xenfs/calls/in_flight") == ""
    mount.stop()
    assert not mount.calls_left_behind


FLOOD = """
import errno, os, sys, threading
from collections import Counter
root, count = sys.argv[1], int(sys.argv[2])
outcomes = Counter()
def kill(number):
    try:
        os.write(os.open(f"{root}/domains/{number}/kill", os.O_WRONLY), b"1")
        outcomes["ok"] += 1
    except OSError as problem:
        outcomes[errno.errorcode[problem.errno]] += 1
        if problem.errno == errno.EAGAIN:
            os.write(1, b"shed\\n")  # whole, whoever else prints
threads = [threading.Thread(target=kill, args=(1 + n % 300,), daemon=True) for n in range(count)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sorted(outcomes.items()), flush=True)
os._exit(0)
"""


def test_four_hundred_slow_operations_that_hang(mounter: Mounter) -> None:
    """Nearly all are turned away at once; meanwhile all else is served, slow work of other sorts too; then nothing
    is in flight any more, and each has had its answer."""
    mount = mounter(
        "domains=310", "--faults", "domctl:destroydomain hang=6s x8", options="lifecycle,record=off"
    )  # fmt: skip
    before = flat(mount, "xenfs/buffers/stat")
    flood = subprocess.Popen(
        [sys.executable, "-c", FLOOD, str(mount.where), "400"], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert flood.stdout is not None
    try:
        assert flood.stdout.readline() == "shed\n"
        running = [line for line in mount.read("xenfs/calls/in_flight").splitlines() if "destroydomain" in line]
        assert len(running) == 4, "as many as one sort may have"
        progress = at_work(
            lambda: mount.read("domains/305/state"),
            lambda: mount.read("domains/305/name"),  # slow, of another sort
            lambda: os.listdir(mount.where / "domains/by-name"),
            lambda: mount.write("domains/306/freeze", "1"),
            seconds=2,
        )
        for codes in progress:
            assert set(codes) == {0}
        said = flood.communicate(timeout=60)[0]
    finally:
        flood.kill()
        flood.wait()
        flood.stdout.close()
    outcomes = dict(ast.literal_eval(said.splitlines()[-1]))
    assert sum(outcomes.values()) == 400
    assert set(outcomes) <= {"ok", "EAGAIN", "ESTALE", "ENOENT"}
    assert outcomes["EAGAIN"] >= 300
    assert outcomes["ok"] >= 8
    left_as_found(mount, before)


def test_it_ends_while_calls_hang(mounter: Mounter) -> None:
    mount = mounter("domains=8", "--faults", "domctl:destroydomain hang", options="lifecycle,record=off")
    writers = [
        subprocess.Popen(["sh", "-c", f"echo 1 > domains/{n}/kill"], cwd=mount.where, stderr=subprocess.DEVNULL)
        for n in range(1, 7)
    ]
    try:
        end = time.monotonic() + PATIENCE_S
        while mount.read("xenfs/calls/in_flight").count("destroydomain") < 4 and time.monotonic() < end:
            time.sleep(0.05)
        assert mount.read("domains/7/state")
        mount.stop(signal.SIGTERM)
        assert mount.calls_left_behind
        for writer in writers:
            assert writer.wait(PATIENCE_S) != 0
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()


def test_no_faults_by_accident(tmp_path: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "xenfs", "mount", str(tmp_path), "--faults", "* EIO"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "--hypervisor simulator" in done.stderr
