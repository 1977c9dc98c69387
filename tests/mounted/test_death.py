"""Death and birth: what is left of a daemon that was ended or killed, and what a new one makes of it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mount_table import mount_lines
from mounting import REPOSITORY, Mount, Mounter, refused
from patience import PATIENCE_S, until

# A destroydomain that no Xen ever ends: from the slow lane, as that of a domain with much memory may seem to be.
HANGING = """
import ctypes, sys, threading
from xenfs.abi.numbers import Domctl, Hypercall
from xenfs.simulator.simulator import Simulator
ordinary = Simulator.hypercall
def hypercall(self, number, args):
    if number == Hypercall.domctl and ctypes.c_uint32.from_address(args[0]).value == Domctl.destroydomain:
        threading.Event().wait(600)
    return ordinary(self, number, args)
Simulator.hypercall = hypercall
from xenfs.cli import main
sys.exit(main(sys.argv[1:]))
"""


# A Xen that outlives the daemon: what was begun before is there again, and was never finished.
KEEPING = """
import os, sys
from xenfs.simulator.answers import createdomain
from xenfs.simulator.simulator import Simulator
kept, ordinary, begin = sys.argv.pop(1), createdomain.build, Simulator.__init__
def build(xen, domid, config):
    made = ordinary(xen, domid, config)
    print(domid, made.handle.hex(), file=journal, flush=True)
    return made
def begun(self, *args):
    global journal
    begin(self, *args)
    journal = open(kept, "a+")
    journal.seek(0)
    for domid, handle in map(str.split, journal):
        self.world.build(int(domid), bytes.fromhex(handle), "pvh")
createdomain.build, Simulator.__init__ = build, begun
from xenfs.cli import main
sys.exit(main(sys.argv[1:]))
"""


def killed(mount: Mount, *, both: bool = True) -> None:
    """kill -9, of the process that unmounts too, so that the dead mount stays."""
    if both:
        children = Path(f"/proc/{mount.process.pid}/task/{mount.process.pid}/children").read_text().split()
        [helper] = [int(word) for word in children if Path(f"/proc/{word}/comm").read_text() == "xenfs-unmount\n"]
        os.kill(helper, signal.SIGKILL)
    mount.process.kill()
    mount.process.wait(PATIENCE_S)


def test_sigterm_with_calls_that_hang(mounter: Mounter, tmp_path: Path) -> None:
    """Six who kill domains, of whom four are under way; a reader beside them goes on. All ends long before they do."""
    record = tmp_path / "record"
    mount = mounter("domains=20", options=f"lifecycle,record=file:{record}", program=("-c", HANGING))
    last, *domids = sorted(int(name) for name in os.listdir(mount.where / "domains") if name.isdigit())[:0:-1][:7]
    writers = [
        subprocess.Popen(
            ["bash", "-c", f"exec 3>domains/{domid}/kill; echo; echo 1 >&3"],
            cwd=mount.where,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for domid in domids
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"\n"
    time.sleep(1)  # now they have it open, and write
    until(lambda: len(mount.read("xenfs/calls/in_flight").splitlines()) == 4, "as many as one sort may have")
    assert mount.read(f"domains/{last}/state")
    mount.stop()
    assert mount.calls_left_behind
    for writer in writers:
        _, said = writer.communicate(timeout=PATIENCE_S)
        assert re.search(rb"not connected|abort", said), said
    lines = record.read_text().splitlines()
    assert {int(number) for number in re.findall(r'path="domains/(\d+)/kill"', "\n".join(lines))} == set(domids)
    assert all("result=unknown" in line for line in lines), "nobody will know what came of them"


def test_a_dead_mount_is_recovered(mounter: Mounter) -> None:
    """Both processes killed, with a file open, a working directory and a reader in it."""
    mount = mounter("domains=3")
    fd = os.open(mount.where / "domains/1/state", os.O_RDONLY)
    folder = os.open(mount.where / "domains/1", os.O_RDONLY | os.O_DIRECTORY)
    try:
        killed(mount)
        assert mount.mounted
        with refused(errno.ENOTCONN):
            os.listdir(mount.where)
        again = Mount(mount.where, "--hypervisor", "simulator:domains=4")
        try:
            assert "removed a mount whose daemon was gone" in again.errors()
            assert len([name for name in os.listdir(mount.where / "domains") if name.isdigit()]) == 4
            with refused(errno.ENOTCONN):
                os.pread(fd, 10, 0)
            with refused(errno.ENOTCONN):
                os.open("state", os.O_RDONLY, dir_fd=folder)
            again.stop()
        finally:
            again.force()
        assert os.listdir(mount.where) == []
    finally:
        for each in (fd, folder):
            with contextlib.suppress(OSError):
                os.close(each)


@pytest.mark.skipif(os.geteuid() != 0, reason="mount(8) is for root")
def test_mount_8_recovers_it_too(mounter: Mounter) -> None:
    mount = mounter("domains=3")
    killed(mount)
    helper = REPOSITORY / "contrib" / "mount.fuse.xenfs"
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    try:
        subprocess.run(
            [sys.executable, helper, "simulator:domains=5", mount.where], env=env, check=True, capture_output=True,
            timeout=60,
        )  # fmt: skip
        assert (mount.where / "version" / "major").read_text() == "4\n"
    finally:
        subprocess.run([sys.executable, "-m", "xenfs", "umount", mount.where], check=True, cwd=REPOSITORY)


def test_of_four_at_once_one_mounts(tmp_path: Path) -> None:
    where = tmp_path / "xenfs"
    where.mkdir()
    all_of_them = [
        subprocess.Popen(
            [sys.executable, "-m", "xenfs", "mount", where, "--hypervisor", "simulator:domains=1"],
            cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    try:
        end = time.monotonic() + 60
        while sum(each.poll() is None for each in all_of_them) > 1 and time.monotonic() < end:
            time.sleep(0.05)
        [there] = [each for each in all_of_them if each.poll() is None]
        assert there.stdout is not None
        assert "mounted on" in there.stdout.readline()
        assert (where / "version" / "major").read_text() == "4\n"
        assert len(mount_lines(where)) == 1
        there.terminate()
        for each in all_of_them:
            _, said = each.communicate(timeout=PATIENCE_S)
            assert (each.returncode, "busy" in said) == ((0, False) if each is there else (1, True)), said
    finally:
        for each in all_of_them:
            each.kill()
        subprocess.run(["umount", "-l", where], stderr=subprocess.DEVNULL, check=False)


def test_kill_while_writes_are_under_way(mounter: Mounter, tmp_path: Path) -> None:
    """What was answered has been done and is recorded; nothing else is but the one write that was cut off."""
    record = tmp_path / "record"
    mount = mounter("domains=3", options=f"record=file:{record}")
    script = (
        "import os, sys, time\n"
        f"fd = os.open('{mount.where}/domains/1/sched/weight', os.O_WRONLY)\n"
        "for weight in range(1000, 60000):\n"
        "    os.write(fd, b'%d' % weight)\n"
        "    os.write(1, b'%d\\n' % weight)\n"
        "    time.sleep(0.005)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    assert writer.stdout is not None
    first = b"".join(writer.stdout.readline() for _ in range(20))
    killed(mount, both=False)
    rest, said = writer.communicate(timeout=PATIENCE_S)
    assert re.search(rb"not connected|abort", said), said
    answered = [int(line) for line in (first + rest).split()]
    lines = record.read_text().splitlines()
    written = r' write result=0 .* value="(\d+)" calls="[^"]*"$'
    recorded = [int(number) for number in re.findall(written, "\n".join(lines), re.MULTILINE)]
    assert answered == list(range(1000, 1000 + len(answered)))
    assert recorded == list(range(1000, 1000 + len(recorded))), "in order, none twice"
    assert len(recorded) in (len(answered), len(answered) + 1)
    assert all(line.count(" result=0 ") == 1 for line in lines), "no line is torn"


@pytest.mark.parametrize("step", ["max_vcpus", "max_mem", "setdomainhandle"])
def test_a_commit_under_which_the_daemon_is_killed(mounter: Mounter, tmp_path: Path, step: str) -> None:
    """Between two steps. The next daemon names what was begun, by its UUID, shows it, and can end it."""
    program = ("-c", KEEPING, str(tmp_path / "kept"))
    mount = mounter("", "--faults", f"domctl:{step} hang", options="lifecycle", program=program)
    mount.out("mkdir templates/t")
    assert mount.read("xenfs/error_log") == ""
    writer = subprocess.Popen(["bash", "-c", "echo 77 >templates/t/commit"], cwd=mount.where, stderr=subprocess.DEVNULL)
    until(lambda: f"domctl:{step} " in mount.read("xenfs/calls/in_flight"), "it is at that step")
    killed(mount)
    assert writer.wait(PATIENCE_S) != 0
    again = mounter(options="lifecycle", program=program)
    assert "domains/77: EOWNERDEAD: this domain was begun by templates/ and never" in again.read("xenfs/error_log")
    assert again.read("domains/77/uuid").startswith("78656e66-7300-8000-")
    assert again.read("domains/77/state") == "paused\n"
    again.write("domains/77/kill", "1")
    until(lambda: not os.path.exists(again.where / "domains/77"), "it is gone")
    again.stop()
