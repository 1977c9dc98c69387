"""What a third user and root notice of eighty threads of one user on the dearest files: with them and without, in turn.

For root. The crowd is stopped and continued, so that both sides are of one mount and one run. Who reads also says how
long he and the server's loop could have gone on, and waited for the kernel to give them a processor: that is not the
server's to decide. A bare filesystem, which the crowd asks for nothing, shows the same from the other side.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from time import sleep

from mounted import Mounted, bare, served
from timing import Effort, Row

THREADS, CROWD, THIRD = 80, 23001, 23002
FILE = "host/memory/free_kb"
_SETTLE_S = 2.0  # for what was asked before to be answered: after 0.7 s a crowd still had some of it done
_READS = 300
_Sides = tuple[list[float], list[float]]  # beside them, without

_HOSTILE = """
import errno, os, sys, threading
told = set()
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
def loop(path):
    while True:
        try:
            fd = os.open(path, os.O_RDONLY)
            try:
                os.pread(fd, 1 << 17, 0)
            finally:
                os.close(fd)
        except OSError as problem:
            if problem.errno not in told:
                told.add(problem.errno)
                os.write(1, b"%s " % errno.errorcode[problem.errno].encode())
files = ("metrics/xen.prom", "domains/names", "domains/stat")
threads = [threading.Thread(target=loop, args=(f"{sys.argv[1]}/{files[n % 3]}",)) for n in range(int(sys.argv[3]))]
for thread in threads: thread.start()
"""
_READER = """
import os, sys
from contextlib import suppress
from statistics import quantiles
from time import perf_counter, sleep
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
stats = []
with suppress(FileNotFoundError):
    stats = [os.open(f"/proc/{pid}/task/{pid}/schedstat", os.O_RDONLY) for pid in (str(os.getpid()), sys.argv[3])]
def waited_us():
    return sum(int(os.pread(fd, 100, 0).split()[1]) for fd in stats) / 1e3
for line in sys.stdin:
    took, own = [], []
    for _ in range(int(line)):
        before = waited_us()
        began = perf_counter()
        fd = os.open(sys.argv[1], os.O_RDONLY)
        os.pread(fd, 4096, 0)
        os.close(fd)
        took.append((perf_counter() - began) * 1e6)
        own.append(took[-1] - (waited_us() - before))
        sleep(0.002)
    print(quantiles(took, n=100)[98], quantiles(own, n=100)[98] if stats else "", flush=True)
"""


def rows(effort: Effort, say: Callable[[str], None]) -> Iterator[Row]:
    """p99 of a read beside the crowd and without; how many of root's `freeze` and `kill` were refused."""
    if os.geteuid() != 0:
        raise OSError(errno.EPERM, "needs root: it acts as other users")
    domains = max(effort.sizes)
    with ExitStack() as stack:
        command = [sys.executable, "-P", "-m", "xenfs", "mount", "--hypervisor", f"simulator:domains={domains}"]
        mount = stack.enter_context(served([*command, "-o", "lifecycle,allow_other,record=off"]))
        mount.root.parent.chmod(0o755)
        idle = stack.enter_context(bare(1))
        third = stack.enter_context(_reader(mount, THIRD))
        other = stack.enter_context(_reader(idle, os.getuid()))
        crowd = stack.enter_context(_process(_HOSTILE, str(mount.root), str(CROWD), str(THREADS)))
        what = f"p99 of open+read+close of `{FILE}` by a third user, {domains} domains, {THREADS} threads of another"
        say(what)
        took: _Sides = ([], [])
        own: _Sides = ([], [])
        beside: _Sides = ([], [])
        codes: Counter[int] = Counter()
        for number in range(effort.rounds):
            for side, go_on_or_stop in enumerate((signal.SIGCONT, signal.SIGSTOP)):
                crowd.send_signal(go_on_or_stop)
                sleep(_SETTLE_S)
                p99, but_waiting = _p99_us(third)
                took[side].append(p99)
                own[side].extend(but_waiting)
                beside[side].append(_p99_us(other)[0])
                if not side:
                    codes += _acts(mount, range(100 + 4 * number, 104 + 4 * number))
        crowd.kill()
        errors = crowd.communicate()[0].split()
        yield Row(what, "µs", *took)
        yield Row("the same, without what he and the loop waited for a processor", "µs", *own, at_most=5.0)
        yield Row("the same of bare pyfuse3, which they ask for nothing, as the clock has it", "µs", *beside)
        note = " ".join(errors)
        yield Row("sorts of errors that they were told", "", [len(errors)], at_most=0, absolute=True, note=note)
        refused = sum(count for code, count in codes.items() if code)
        note = ", ".join(f"{errno.errorcode.get(code, 'done')} {count}" for code, count in sorted(codes.items()))
        yield Row(
            "root's `freeze` and `kill` that failed beside them", "", [refused], at_most=0, absolute=True, note=note
        )


def _reader(mount: Mounted, uid: int) -> AbstractContextManager[subprocess.Popen[str]]:
    return _process(_READER, mount.path(FILE), str(uid), str(mount.process.pid))


@contextmanager
def _process(script: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended, stopped or not, where the block ends."""
    process = subprocess.Popen([sys.executable, "-c", script, *words], stdin=-1, stdout=-1, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _p99_us(reader: subprocess.Popen[str]) -> tuple[float, list[float]]:
    """As the clock has it; and without what he and the loop waited for a processor, where the kernel tells that."""
    assert reader.stdin is not None
    assert reader.stdout is not None
    reader.stdin.write(f"{_READS}\n")
    reader.stdin.flush()
    p99, *rest = map(float, reader.stdout.readline().split())
    return p99, rest


def _acts(mount: Mounted, domids: range) -> Counter[int]:
    codes: Counter[int] = Counter()
    for domid in domids:
        for name in ("freeze", "kill"):
            try:
                (mount.root / f"domains/{domid}/{name}").write_text("1")
                codes[0] += 1
            except OSError as problem:
                codes[problem.errno or 0] += 1
    return codes
