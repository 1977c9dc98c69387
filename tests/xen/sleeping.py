"""Suspends the whole machine, Xen included, to RAM (ACPI S3), wakes it by its clock, and looks at a xenfs that was
mounted before: python3 tests/xen/sleeping.py, on a dom0. Says what it found on the console and ends the machine, as
what else dom0 is connected with need not be there any more afterwards. scripts/sleep-on-xen runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

from xen_guests import Guest, bare, eventually
from xen_mount import XENFS, Mount, environment, failure, mounted, write

from xenfs.connect.opening import open_hypervisor

SLEEP_S, PAUSE_S, TRIES = 8, 0.5, 6
ENDLESS = ("domains/events", "console/log", "xenfs/calls/log")


def say(*words: object) -> None:
    """A line on the console, and so in the serial log of the machine."""
    with open("/dev/console", "w") as console:
        print("sleeping:", *words, file=console)


class Reader(threading.Thread):
    """Reads the same file again and again."""

    def __init__(self, mount: Mount, node: str) -> None:
        super().__init__(daemon=True)
        self.mount, self.node, self.stopped = mount, node, threading.Event()
        self.reads, self.errnos = 0, set[int]()

    def run(self) -> None:
        """Until stopped."""
        while not self.stopped.wait(PAUSE_S):
            self.errnos.add(failure(lambda: self.mount.path(self.node).read_bytes()))
            self.reads += 1


def sleep() -> tuple[float, float]:
    """How long the machine slept, and how long that was by the clock that sleeps too."""
    before = time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic()
    for _ in range(TRIES):
        # Linux stops process after process. One that waits for a FUSE daemon which is stopped already cannot be, and
        # after 20 s all go on, awake.
        words = ["rtcwake", "--mode", "mem", "--seconds", str(SLEEP_S)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
        say("refused to sleep:", done.stderr.strip())
    return time.clock_gettime(time.CLOCK_BOOTTIME) - before[0], time.monotonic() - before[1]


def unreadable(mount: Mount) -> list[str]:
    """Every file that gives an error."""
    found = []
    for folder, _, names in os.walk(mount.root):
        for path in (Path(folder, name) for name in names):
            node = str(path.relative_to(mount.root))
            if path.stat().st_mode & 0o444 and node not in ENDLESS and failure(path.read_bytes):
                found.append(node)
    return found


def observe(mount: Mount, guest: Guest, doomed: Guest) -> None:
    """Sleep with files open, readers at work and somebody who watches, and look at all that afterwards."""
    state, weight = (
        os.open(mount.path(guest.node(name)), flags)
        for name, flags in (("state", os.O_RDONLY), ("sched/weight", os.O_WRONLY))
    )
    events = mount.root.parent / "events"
    words = [*XENFS, "watch", str(mount.path("domains/events"))]
    with events.open("w") as log:
        watch = subprocess.Popen(words, env=environment(), stdout=log)
    reader = Reader(mount, guest.node("info"))
    reader.start()
    time.sleep(5)
    reads, cpus = reader.reads, mount.numbers("host/cpus")
    say("reads before", reads)
    slept, counted = sleep()
    time.sleep(3)
    say(f"slept {slept:.1f} s, of which CLOCK_MONOTONIC counts {counted:.1f}; reads since {reader.reads - reads}")
    assert slept > counted + SLEEP_S / 2, "it did sleep"
    assert reader.reads > reads
    assert os.pread(state, 100, 0) == b"paused\n", "by a descriptor from before"
    write(weight, "300")
    assert mount.value(guest.node("sched/weight")) == "300"
    assert mount.numbers("host/cpus") == cpus
    doomed.destroy()
    eventually(lambda: f" gone {doomed.domid} " in events.read_text(), 60, "the watcher is told")
    reader.stopped.set()
    reader.join(60)
    assert reader.errnos == {0}, reader.errnos
    watch.terminate()
    watch.wait(60)
    assert unreadable(mount) == []
    pool = mount.flat("xenfs/buffers/stat")
    assert (pool["in_use"], pool["red_zone_hits"]) == ("0", "0")
    assert mount.value("xenfs/calls/in_flight") == mount.value("xenfs/error_log") == ""


def main() -> None:
    """Make two domains and a mount, look, and end the machine."""
    try:
        with mounted("privcmd", "lifecycle") as mount:
            xen = open_hypervisor("privcmd", pool_check=True)
            observe(mount, bare(xen, 0), bare(xen, 0))
        say("all is well")
    except BaseException:
        say("FAILED", traceback.format_exc())
    os.sync()
    Path("/proc/sysrq-trigger").write_text("o")
    time.sleep(60)


if __name__ == "__main__":
    sys.exit(main())
