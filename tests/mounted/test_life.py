"""From mount to unmount: what the daemon says when it starts, when it cannot, and how it ends whatever is in flight."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from mounting import REPOSITORY, Mount, Mounter
from patience import PATIENCE_S, until


def attempt(*words: str) -> subprocess.CompletedProcess[str]:
    """`xenfs mount` that is expected not to mount."""
    return subprocess.run(
        [sys.executable, "-m", "xenfs", "mount", *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
    )


def one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("xenfs: ")
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_at_once(mounter: Mounter, number: int) -> None:
    mount = mounter("domains=3")
    assert mount.mounted
    mount.stop(number)
    assert not mount.calls_left_behind
    assert mount.process.stdout is not None
    said = mount.process.stdout.read().decode()
    assert said.splitlines() == [f"xenfs: mounted on {mount.where} (Xen 4.17.7 x86_64, simulator)"]
    assert "Traceback" not in mount.errors()


def test_umount_ends_it(mounter: Mounter) -> None:
    mount = mounter("domains=3")
    subprocess.run(["umount", mount.where], check=True, timeout=PATIENCE_S)
    assert mount.process.wait(PATIENCE_S) == 0


def test_open_files_do_not_hold_it(mounter: Mounter) -> None:
    mount = mounter("domains=3")
    fd = os.open(mount.where / "domains/1/freeze", os.O_RDWR)
    try:
        mount.stop()
        with pytest.raises(OSError):  # noqa: PT011 - ENOTCONN or EIO, as the kernel likes
            os.pread(fd, 10, 0)
    finally:
        with contextlib.suppress(OSError):  # there is nobody left to hear of the close
            os.close(fd)


def test_twenty_readers_in_flight(mounter: Mounter) -> None:
    """They read all the while and all end: with an answer or an error, but none hangs."""
    mount = mounter("domains=300")
    stop, errors, reads = threading.Event(), [], [0] * 20

    def read(number: int) -> None:
        while not stop.is_set():
            try:
                for path in ("domains/stat", "xenfs/nodes", "domains/1/info"):
                    assert (mount.where / path).read_bytes() or not mount.mounted
                    reads[number] += 1
            except OSError as problem:
                errors.append(problem)
                return

    threads = [threading.Thread(target=read, args=(number,), daemon=True) for number in range(20)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: sum(reads) > 20, "readers that read")
        mount.stop()
    finally:
        stop.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not [thread for thread in threads if thread.is_alive()]
    assert "Traceback" not in mount.errors()


def test_processes_that_read_are_not_stuck(mounter: Mounter) -> None:
    mount = mounter("domains=300")
    readers = [
        subprocess.Popen(
            ["sh", "-c", "while cat domains/stat; do :; done"],
            cwd=mount.where,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(5)
    ]
    try:
        time.sleep(0.5)
        mount.stop()
        for reader in readers:
            reader.wait(PATIENCE_S)
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()


def test_a_second_mount_on_the_same_point(mounter: Mounter) -> None:
    mount = mounter("domains=2")
    one_sentence(attempt(str(mount.where), "--hypervisor", "simulator"), "busy", str(mount.where))
    assert mount.read("version/major") == "4\n"


def test_two_mounts_side_by_side(mounter: Mounter) -> None:
    one, two = mounter("xen=4.14"), mounter("xen=4.22,arch=arm64")
    assert (one.read("version/minor"), two.read("version/minor")) == ("14\n", "22\n")
    one.stop()
    assert two.read("version/minor") == "22\n"


def test_mounting_again_after_the_end(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    for _ in range(2):
        mount = Mount(tmp_path / "x", "--hypervisor", "simulator:domains=1")
        try:
            mount.stop()
        finally:
            mount.force()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("bogus", ["'bogus'", "lifecycle"]),
        ("uid", ["'uid'"]),
        ("uid=x", ["uid=", "'x'"]),
        ("umask=999", ["umask="]),
        ("ro=1", ["'ro=1'"]),
    ],
)
def test_unknown_options(tmp_path: Path, options: str, words: list[str]) -> None:
    one_sentence(attempt(str(tmp_path), "--hypervisor", "simulator", "-o", options), *words)


def test_mountpoints_that_cannot_be(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    simulator = ("--hypervisor", "simulator")
    one_sentence(attempt(str(tmp_path / "missing"), *simulator), "does not exist", "mkdir")
    one_sentence(attempt(str(tmp_path), *simulator), "is not empty")
    one_sentence(attempt(str(file), *simulator), "is not a directory")
    one_sentence(attempt(str(file / "below"), *simulator), "cannot be a mount point")
    one_sentence(attempt(str(tmp_path / ("x" * 300)), *simulator), "cannot be a mount point")


def test_hypervisors_that_cannot_be(tmp_path: Path) -> None:
    one_sentence(attempt(str(tmp_path), "--hypervisor", "other"), "'other'", "simulator")
    one_sentence(attempt(str(tmp_path), "--hypervisor", "simulator:xen=3.0"), "'3.0'")
    one_sentence(attempt(str(tmp_path), "--hypervisor", "simulator:what=1"), "'what'")
    if not os.path.exists("/dev/xen/privcmd"):
        one_sentence(attempt(str(tmp_path), "--hypervisor", "privcmd"), "/dev/xen/privcmd", "--hypervisor simulator")
    assert attempt().returncode == 2


def test_systemd_hears_of_it(mounter: Mounter, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(PATIENCE_S)
        mount = mounter("domains=1", env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        lines = notify.recv(4096).decode().splitlines()
        assert "READY=1" in lines
        assert f"MAINPID={mount.process.pid}" in lines
        assert mount.read("version/major") == "4\n", "ready when it says so"


def test_systemd_behind_an_abstract_socket(mounter: Mounter) -> None:
    name = f"xenfs-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind("\0" + name)
        notify.settimeout(PATIENCE_S)
        mounter("domains=1", env={"NOTIFY_SOCKET": "@" + name})
        assert "READY=1" in notify.recv(4096).decode()


def test_ten_thousand_domains(mounter: Mounter) -> None:
    mount = mounter("domains=10000")
    wanted = {str(domid) for domid in [int(line.split(" ", 1)[0]) for line in mount.read("domains/stat").splitlines()]}
    assert len(wanted) == 10000
    listed = os.listdir(mount.where / "domains")
    assert {name for name in listed if name.isdigit()} == wanted
    assert len(listed) == len(set(listed)) == 10000 + 7
    assert len(os.listdir(mount.where / "domains/by-uuid")) == 10000
    assert len(os.listdir(mount.where / "domains/by-name")) == 9999
    last = max(map(int, wanted))
    assert mount.read(f"domains/{last}/name") == f"guest-{last}\n"
    stat_line = mount.read("domains/stat").splitlines()[-1]
    assert stat_line.startswith(f"{last} state=")


def test_nothing_is_left_of_a_domain_that_is_gone(mounter: Mounter) -> None:
    """Nor of its files that were open when it ended, and the directories that these are in."""
    mount = mounter("domains=6", options="lifecycle")
    for path in ("domains/1/state", "domains/stat", "xenfs/entries"):
        mount.read(path)

    def known() -> int:
        return int(mount.read("xenfs/entries"))

    def down_to(most: int) -> bool:
        end = time.monotonic() + PATIENCE_S
        while known() > most and time.monotonic() < end:
            time.sleep(0.05)
        return known() <= most

    before, directory = known(), mount.where / "domains/3"
    names = ("uuid", "memory/max", "vcpus/0/cpu_time_ns", "vcpus/0/state")
    held = [os.open(directory / name, os.O_RDONLY) for name in names]
    held.append(os.open(directory / "memory", os.O_RDONLY | os.O_DIRECTORY))
    (directory / "name").read_bytes()
    assert known() >= before + 9
    mount.write("domains/3/kill", "1")
    end = time.monotonic() + PATIENCE_S
    while "\n3 " in mount.read("domains/stat") and time.monotonic() < end:
        time.sleep(0.05)
    for fd in held[:-1]:
        with pytest.raises(OSError, match="Stale"):
            os.read(fd, 100)
    assert down_to(before + 9), "what is not open is forgotten"
    for fd in held:
        os.close(fd)
    assert down_to(before)


def test_idle_means_idle(mounter: Mounter) -> None:
    """No hypercall and next to no CPU while nobody asks."""
    mount = mounter("domains=100")
    os.listdir(mount.where / "domains")

    def asked() -> int:
        return sum(int(line.split("count=")[1].split()[0]) for line in mount.read("xenfs/calls/stat").splitlines())

    def ticks() -> int:
        words = Path(f"/proc/{mount.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(words[11]) + int(words[12])

    before, cpu = asked(), ticks()
    time.sleep(1.5)
    assert asked() == before
    assert ticks() - cpu <= 3


def test_a_xen_that_is_not_known_is_mounted_read_only(mounter: Mounter) -> None:
    mount = mounter("xen=4.23,domains=2")
    assert "mounting read-only" in mount.errors()
    assert "state unverified" in mount.read("xenfs/interface")
    with pytest.raises(OSError, match="Read-only"):
        os.open(mount.where / "domains/1/freeze", os.O_WRONLY)
    other = mounter("xen=4.23,domains=2", options="unverified")
    other.write("domains/1/freeze", "1")
    assert other.read("domains/1/freeze") == "1\n"


def test_options_are_shown(mounter: Mounter) -> None:
    mount = mounter("domains=1", options="lifecycle,umask=022,x-systemd.automount,noatime")
    assert mount.read("xenfs/options").splitlines()[:2] == ["rw", "lifecycle"]
    assert "umask=022" in mount.read("xenfs/options")


def test_the_pool_checks_itself(mounter: Mounter) -> None:
    mount = mounter("domains=4", options="pool_check,debug,lifecycle")
    mount.out("grep -r . . > /dev/null")
    stat = dict(line.split() for line in mount.read("xenfs/buffers/stat").splitlines())
    assert (stat["in_use"], stat["red_zone_hits"]) == ("0", "0")
