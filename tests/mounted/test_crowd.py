"""Nobody takes the mount from anybody: one user's eighty threads, failing stats, and a death that takes its time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from mmap import mmap
from pathlib import Path

import pytest
from mounting import Mount, Mounter, open_up
from patience import until
from scripted_xenstored import Store

from xenfs.filesystem.keeping import AT_REST

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="acts as other users")

ANN, BEN = 23001, 23002

HOSTILE = """
import os, sys, threading, time
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
where, end = sys.argv[1], time.monotonic() + float(sys.argv[4])
told = set()
def loop(number):
    path = where + ("/metrics/xen.prom", "/domains/names", "/domains/stat")[number % 3]
    while time.monotonic() < end:
        try:
            if sys.argv[5] == "read":
                fd = os.open(path, os.O_RDONLY)
                try:
                    os.pread(fd, 1 << 17, 0)
                finally:
                    os.close(fd)
            else:
                os.stat(f"{where}/domains/by-uuid/{os.urandom(8).hex()}")
        except OSError as problem:
            if problem.errno not in told:
                told.add(problem.errno)
                os.write(1, f"{problem.strerror}\\n".encode())
threads = [threading.Thread(target=loop, args=(n,)) for n in range(int(sys.argv[3]))]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@contextmanager
def hostile(mount: Mount, what: str, threads: int = 80, seconds: float = 4.0) -> Iterator[list[bytes]]:
    """A process of Ann's that wants too much meanwhile; in the list is then each error that it was told of."""
    words = [sys.executable, "-c", HOSTILE, str(mount.where), str(ANN), str(threads), str(seconds), what]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    time.sleep(0.7)
    said: list[bytes] = []
    try:
        yield said
    finally:
        process.kill()
        said.append(process.communicate()[0])


@pytest.fixture
def crowded(mounter: Mounter) -> Mount:
    mount = mounter("xen=4.20,domains=3000", options="allow_other,lifecycle")
    open_up(mount.where)
    return mount


def test_root_kills_and_freezes_beside_eighty_threads_of_another(crowded: Mount) -> None:
    """Never EAGAIN; and however the threads turn, root's acts are done. They themselves are no more than may wait, and
    read what they want, if late."""
    codes: Counter[int] = Counter()
    with hostile(crowded, "read", seconds=60) as said:
        for domid in range(100, 140):
            for name in ("freeze", "kill"):
                try:
                    crowded.write(f"domains/{domid}/{name}", "1")
                except OSError as problem:
                    codes[problem.errno or 0] += 1
                else:
                    codes[0] += 1
    assert codes == {0: 80}
    assert said == [b""]


def listings(mount: Mount) -> int:
    """Hypercalls that list domains, six for all three thousand."""
    found = re.search(r"getdomaininfolist .*?count=(\d+)", mount.read("xenfs/calls/stat"))
    return int(found[1]) if found else 0


MANY_IDS = """
import ctypes, os, sys, threading
setfsuid, libc = {"x86_64": 122, "aarch64": 151}[os.uname().machine], ctypes.CDLL(None)
path, first, many = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
done = ctypes.c_ulong * many
counts = done.from_buffer(__import__("mmap").mmap(os.open(sys.argv[4], os.O_RDWR), ctypes.sizeof(done)))
def loop(number):
    libc.syscall(setfsuid, first + number)  # of this thread alone
    fd = os.open(path, os.O_RDONLY)
    while True:
        os.pread(fd, 4096, 0)
        counts[number] += 1
for number in range(many): threading.Thread(target=loop, args=(number,)).start()
"""


def mapped(file: Path) -> memoryview:
    """Numbers that another process writes."""
    with open(file, "r+b") as opened:
        return memoryview(mmap(opened.fileno(), 0)).cast("L")


@contextmanager
def many_ids(mount: Mount, folder: Path, processes: int = 4, threads: int = 75) -> Iterator[Callable[[], int]]:
    """Somebody who asks as hundreds of users, each in a thread of its own; how many requests were answered so far."""
    files = [folder / f"{number}.counts" for number in range(processes)]
    for file in files:
        file.write_bytes(bytes(8 * threads))
    maps = [mapped(file) for file in files]
    words = [sys.executable, "-c", MANY_IDS, str(mount.where / "host/memory/free_kb")]
    running = [
        subprocess.Popen([*words, str(100_000 + number * threads), str(threads), str(file)], stdin=subprocess.DEVNULL)
        for number, file in enumerate(files)
    ]
    try:
        until(lambda: all(all(counts) for counts in maps), "all of them ask")
        yield lambda: sum(sum(counts) for counts in maps)
    finally:
        for each in running:
            each.kill()
        for each in running:
            each.wait()


@pytest.mark.parametrize("uid", [BEN, 0])
def test_beside_hundreds_of_ids_a_request_comes_after_one_of_each_thread(
    crowded: Mount, tmp_path: Path, uid: int
) -> None:
    """No turn holds back who asks as hundreds of users. The kernel hands requests over as they came: so a request of
    another's, root's too, waits for as many as there are threads that ask."""
    threads = 4 * 75
    with many_ids(crowded, tmp_path) as answered:
        os.seteuid(uid)
        try:
            fd = os.open(crowded.where / "host/memory/free_kb", os.O_RDONLY)
        finally:
            os.seteuid(0)
        before = []
        for _ in range(30):
            time.sleep(0.05)
            begun = answered()
            assert os.pread(fd, 4096, 0)
            before.append(answered() - begun)
        os.close(fd)
    assert sorted(before)[7] <= 1.5 * threads  # between the answer and the look it may have to wait for a processor


LOOPS = """
import os, sys, threading
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
def loop():
    for _ in range(4):
        with open(sys.argv[1], "rb") as file:
            assert len(file.read().splitlines()) > 3000
threads = [threading.Thread(target=loop) for _ in range(50)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("read")
"""


def test_fifty_loops_over_one_file_are_few_computations(crowded: Mount) -> None:
    """All who wait share the next one, and what grows is computed off the loop, which answers meanwhile."""
    before, path = listings(crowded), str(crowded.where / "domains/stat")
    loops = subprocess.Popen(
        [sys.executable, "-c", LOOPS, path, str(ANN)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    meanwhile = 0
    while loops.poll() is None:
        assert crowded.read("host/memory/free_kb")
        meanwhile += 1
    assert loops.communicate()[0] == b"read\n"
    assert meanwhile > 0
    assert listings(crowded) - before <= 6 * 200 / 4, "two hundred reads"


TOGETHER = """
import os, sys, threading
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
together = threading.Barrier(20)
def read():
    fd = os.open(sys.argv[1], os.O_RDONLY)
    together.wait()
    try:
        said = len(os.pread(fd, 1 << 16, 0))
    except OSError as problem:
        said = problem.strerror
    together.wait()
    os.write(1, f"{said}\\n".encode())
    os.close(fd)
threads = [threading.Thread(target=read) for _ in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_twenty_of_one_user_may_have_the_same_large_file_open(crowded: Mount) -> None:
    """What all of them have read is there two or three times, and counts so often: 13 MB each time, not 20 times."""
    words = [sys.executable, "-c", TOGETHER, str(crowded.where / "metrics/xen.prom"), str(BEN)]
    said = subprocess.run(words, capture_output=True, text=True, timeout=300, check=True).stdout
    assert Counter(said.split("\n")) == {str(1 << 16): 20, "": 1}


UNWATCHED = """
import ctypes, glob, os, sys, time
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
setup, submit = {"x86_64": (206, 209), "aarch64": (0, 2)}[os.uname().machine]
class Block(ctypes.Structure):
    _fields_ = [("data", ctypes.c_uint64 * 2), ("op", ctypes.c_uint32), ("fd", ctypes.c_uint32),
        ("buffer", ctypes.c_uint64), ("nbytes", ctypes.c_uint64), ("rest", ctypes.c_uint64 * 3)]
libc, context, many = ctypes.CDLL(None, use_errno=True), ctypes.c_ulong(0), int(sys.argv[3])
assert libc.syscall(setup, many, ctypes.byref(context)) == 0
buffer = ctypes.create_string_buffer(4096)
names = glob.glob(f"{sys.argv[1]}/domains/[1-9]*/name")[:many]
for number, path in enumerate(names):
    fd = os.open(path, os.O_RDONLY)
    block = Block(fd=fd, buffer=ctypes.addressof(buffer), nbytes=4096)
    if number == 12:
        os.write(1, b"under way")
    assert libc.syscall(submit, context, 1, ctypes.byref(ctypes.pointer(block))) == 1
time.sleep(600)
"""
PATIENT = """
import os, sys
from xenfs import xenstore
from xenfs.simulator.simulator import Simulator
store = xenstore.connect([os.environ["XENSTORED_PATH"]], timeout_s=60.0)
Simulator.xenstore = lambda self: store
from xenfs.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_what_is_read_by_aio_holds_up_nobodys_closes(mounter: Mounter, tmp_path: Path) -> None:
    """To the kernel a close is a request that nobody waits for, as these are. Root opens ten times as many files
    as it may have open, and closes each, while names are asked for that a silent xenstored never tells."""
    path = tmp_path / "xenstored"
    store = Store(path)
    mount = mounter(
        "domains=50", options="allow_other,open_max=60", program=("-c", PATIENT), env={"XENSTORED_PATH": str(path)}
    )
    open_up(mount.where)
    store.server.handler = lambda request: []  # silent from now on
    words = [sys.executable, "-c", UNWATCHED, str(mount.where), str(ANN), "40"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as reader:
        try:
            assert reader.stdout is not None
            assert reader.stdout.read(9) == b"under way"
            for _ in range(600):
                mount.read("host/memory/free_kb")
            assert reader.poll() is None
        finally:
            path.unlink()
            store.hang_up()  # it ends when its reads have
            store.server.stop()
            reader.kill()


def test_failing_stats_list_the_domains_four_times_a_second_at_most(crowded: Mount) -> None:
    """A user without any right; counted in hypercalls, six of which list three thousand domains."""

    with hostile(crowded, "stat", threads=8, seconds=60):
        before, began = listings(crowded), time.monotonic()
        time.sleep(2)
        counted, took = listings(crowded) - before, time.monotonic() - began
    assert 0 < counted <= 6 * (took / 0.25 + 2)


def test_a_removal_that_takes_long_holds_up_no_listing(mounter: Mounter) -> None:
    mount = mounter("domains=14", "--faults", "domctl:destroydomain hang=60s", options="lifecycle")
    crashed = mount.where / "domains/12"
    removing = threading.Thread(target=crashed.rmdir)
    removing.start()
    time.sleep(0.05)
    names = os.listdir(mount.where / "domains")
    assert (mount.where / "domains/3/state").read_text()
    removing.join()
    assert "3" in names
    # Nobody has waited for it.
    assert "destroydomain" in mount.read("xenfs/calls/in_flight")


BRIEFLY = "import sys; from xenfs.filesystem import keeping; from xenfs.cli import main"
BRIEFLY += "; keeping.Keeping.__init__.__defaults__ = (keeping.MOST_ENTRIES, 0.25); sys.exit(main())"


def test_what_a_walk_over_everything_costs_is_given_back_when_it_is_over(mounter: Mounter) -> None:
    """A round of forgetting lasts a quarter of a second here, instead of five."""

    def entries() -> int:
        return int(mount.read("xenfs/entries"))

    mount = mounter("xen=4.20,domains=300", options="allow_other", program=("-P", "-c", BRIEFLY))
    open_up(mount.where)
    most = entries()
    walk = ["find", "domains", "-maxdepth", "2"]
    with subprocess.Popen(walk, cwd=mount.where, user=ANN, stdout=subprocess.DEVNULL) as walking:
        while walking.poll() is None:
            most = max(most, entries())
            time.sleep(0.1)
    assert most > 2 * AT_REST
    until(lambda: entries() <= AT_REST, "few entries")
