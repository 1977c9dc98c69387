"""Mounting: what options add and take away, what is said when it cannot be done, and how it ends."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest
from mount_table import mount_lines
from test_xen_walk import files, walked
from xen_mount import CHECKOUT, END_S, START_S, XENFS, Mount, environment, failure, is_mounted, mounted, stop, xenfs

HELPER = CHECKOUT / "contrib" / "mount.fuse.xenfs"


def is_root() -> bool:
    return os.geteuid() == 0


@pytest.mark.once("nothing of it is asked of Xen")
def test_default(hypervisor: str) -> None:
    with mounted(hypervisor) as mount:
        assert mount.has("domains/0/freeze")
        assert not mount.has("domains/0/kill")
        assert not mount.has("host/debug_keys")
        assert os.stat(mount.path("domains/0/freeze")).st_mode & 0o777 == 0o644
        other = mount.numbers("domains")[-1]
        assert failure(lambda: os.rmdir(mount.path(f"domains/{other}"))) in (errno.EPERM, errno.EACCES)
        assert mount.has(f"domains/{other}")
        options = mount_lines(mount.root)[-1].partition(f" {mount.root} ")[2]
        assert {"nosuid", "nodev", "noexec"} <= set(options.split()[0].split(","))
        assert "default_permissions" in options
        assert "fuse.xenfs" in options.split()


@pytest.mark.once("nothing of it is asked of Xen")
@pytest.mark.usefixtures("at_home")
def test_ro_and_umask(hypervisor: str) -> None:
    with mounted(hypervisor, "ro", "lifecycle", "debug", "umask=044", "gid=12") as mount:
        found = walked(mount)
        assert files(found, 0o222) == []
        assert {status.st_mode & 0o044 for status in found.values() if not stat.S_ISLNK(status.st_mode)} == {0}
        assert {status.st_gid for status in found.values()} == {12}
        assert not mount.has("domains/0/kill")
        assert failure(lambda: mount.write("domains/0/freeze", "1")) in (errno.EROFS, errno.EACCES)
        assert "ro" in mount.value("xenfs/options").splitlines()


@pytest.mark.once_a_dom0("what is there instead is Linux's memory")
@pytest.mark.usefixtures("at_home")
def test_without_the_hypercall_device(hypervisor: str, real: bool) -> None:
    with mounted(hypervisor, "debug", "pool_check", arguments=["--no-hypercall-device"]) as mount:
        assert mount.value("xenfs/buffers/backend") == ("anonymous" if real else "simulator")
        read = [mount.read(path) for path in files(walked(mount), 0o444)]
        assert len(read) > 100
        counters = mount.flat("xenfs/buffers/stat")
        assert counters["red_zone_hits"] == "0"
        assert mount.value("xenfs/error_log") == ""


def test_backend_of_the_buffers(mount: Mount, real: bool) -> None:
    expected = "simulator" if not real else "hypercall" if os.path.exists("/dev/xen/hypercall") else "anonymous"
    assert mount.value("xenfs/buffers/backend") == expected
    counters = mount.flat("xenfs/buffers/stat")
    assert counters["in_use"] == "0"
    assert counters["takes"] == counters["releases"]


@pytest.mark.last
def test_xen_wrote_past_no_buffer(mount: Mount) -> None:
    """Of all that the other tests have asked through this mount, whose buffers have guard bytes."""
    assert "pool_check" in mount.value("xenfs/options").splitlines()
    assert mount.flat("xenfs/buffers/stat")["red_zone_hits"] == "0"


@pytest.mark.once_a_dom0("what is missing is xenstore's")
def test_without_xenstore(hypervisor: str, real: bool, guest: object) -> None:
    if not real:
        with mounted("simulator:xenstore=off", "lifecycle") as mount:
            assert_nameless(mount)
        return
    hide = (
        "set -e; mount -t tmpfs none /proc/xen; mount -t tmpfs none /run/xenstored 2>/dev/null || true;"
        "mkdir /tmp/devices; cp -a /dev/xen/privcmd /dev/xen/hypercall /tmp/devices/ 2>/dev/null || true;"
        'mount --bind /tmp/devices /dev/xen; exec "$@"'
    )
    try:
        with mounted(hypervisor, "lifecycle", inside=["unshare", "-m", "sh", "-c", hide, "sh"]) as mount:
            assert_nameless(mount)
            assert mount.value("xenfs/interface").splitlines()
            domid = getattr(guest, "domid")  # noqa: B009
            mount.write(f"domains/{domid}/freeze", "1")
            mount.write(f"domains/{domid}/freeze", "0")
    finally:
        shutil.rmtree("/tmp/devices", ignore_errors=True)


def assert_nameless(mount: Mount) -> None:
    assert mount.names("domains/by-name") == []
    for domid in mount.numbers("domains"):
        assert mount.value(f"domains/{domid}/name") == ""
    for path in (
        "domains/names",
        "domains/stat",
        "domains/0/info",
        "metrics/xen.prom",
        "xenfs/interface",
        "xenfs/nodes",
    ):
        mount.read(path)
    assert os.readlink(mount.path("domains/self")) == "0"


@pytest.mark.once("nothing of it is asked of Xen")
class TestRefusedMounts:
    """One plain sentence, an exit status, and nothing mounted."""

    @pytest.fixture
    def _before_xen(self, real: bool) -> None:
        if real:
            pytest.skip("ends before there is a Xen; and emulated, each start of Python takes its time")

    def refused(self, *words: str, status: int = 1) -> str:
        done = xenfs("mount", *words)
        assert (done.returncode, done.stdout) == (status, "")
        if status == 1:
            assert len(done.stderr.splitlines()) == 1
            assert done.stderr.startswith("xenfs: ")
        return done.stderr

    @pytest.mark.usefixtures("_before_xen")
    def test_no_such_directory(self, tmp_path: Path, hypervisor: str) -> None:
        assert "mkdir -p" in self.refused(str(tmp_path / "none"), "--hypervisor", hypervisor)

    @pytest.mark.usefixtures("_before_xen")
    def test_not_a_directory(self, tmp_path: Path, hypervisor: str) -> None:
        (tmp_path / "file").touch()
        assert "not a directory" in self.refused(str(tmp_path / "file"), "--hypervisor", hypervisor)

    @pytest.mark.usefixtures("_before_xen")
    def test_not_empty(self, tmp_path: Path, hypervisor: str) -> None:
        (tmp_path / "file").touch()
        assert "not empty" in self.refused(str(tmp_path), "--hypervisor", hypervisor)

    def test_busy(self, mount: Mount) -> None:
        assert "busy" in self.refused(str(mount.root), "--hypervisor", mount.spec)
        assert mount.value("version/major") == "4"

    @pytest.mark.usefixtures("_before_xen")
    def test_unknown_option(self, tmp_path: Path) -> None:
        assert "'nonsense'" in self.refused(str(tmp_path), "-o", "ro,nonsense")

    @pytest.mark.usefixtures("_before_xen")
    @pytest.mark.parametrize("words", [(), ("a", "b"), ("--nonsense", "a")])
    def test_usage(self, words: tuple[str, ...]) -> None:
        assert "usage: xenfs" in self.refused(*words, status=2)

    @pytest.mark.usefixtures("_before_xen")
    def test_unknown_hypervisor(self, tmp_path: Path) -> None:
        assert "simulator" in self.refused(str(tmp_path), "--hypervisor", "qemu")

    def test_no_permission_on_privcmd(self, tmp_path: Path, real: bool) -> None:
        if not real:
            pytest.skip("needs a real Xen")
        os.chmod("/dev/fuse", 0o666)  # as udev would have it
        for folder in (tmp_path, *tmp_path.parents):
            folder.chmod(folder.stat().st_mode | 0o055)
        os.chown(tmp_path, 65534, 65534)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *XENFS, "mount", str(tmp_path)],
            env=environment(), capture_output=True, text=True, timeout=START_S,
        )  # fmt: skip
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
        assert "run xenfs as root" in done.stderr
        assert not is_mounted(tmp_path)


@pytest.mark.once("nothing of it is asked of Xen")
class TestEnd:
    def test_by_umount(self, hypervisor: str, tmp_path: Path) -> None:
        ready, its_ready = os.pipe()
        process = subprocess.Popen(
            [*XENFS, "mount", str(tmp_path), "--hypervisor", hypervisor, "--ready-fd", str(its_ready)],
            env=environment(), pass_fds=(its_ready,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(its_ready)
        try:
            assert os.read(ready, 64) == b"READY\n"
            done = xenfs("umount", str(tmp_path))
            assert (done.returncode, done.stderr) == (0, "")
            assert process.wait(END_S) == 0
            assert not is_mounted(tmp_path)
            assert xenfs("umount", str(tmp_path)).returncode == 1
        finally:
            os.close(ready)
            if process.poll() is None:
                process.kill()
                process.wait()

    def test_while_files_are_open_and_read(self, hypervisor: str) -> None:
        with mounted(hypervisor) as mount:
            fd = os.open(mount.path("domains/0/cpu_time_ns"), os.O_RDONLY)
            busy = threading.Event()

            def read_on() -> None:
                try:
                    while os.pread(fd, 100, 0):
                        busy.set()
                except OSError:
                    pass

            reader = threading.Thread(target=read_on)
            reader.start()
            try:
                assert busy.wait(END_S)
                time.sleep(0.2)
                assert mount.process is not None
                stop(mount.process)
                reader.join(END_S)
                assert not reader.is_alive()
            finally:
                with contextlib.suppress(OSError):  # ENOTCONN: there is nobody to hear of it any more
                    os.close(fd)
                reader.join(END_S)


@pytest.mark.once_a_dom0("mount(8) is of dom0's system")
@pytest.mark.skipif(not is_root(), reason="needs root")
def test_mount_8(hypervisor: str, tmp_path: Path, real: bool) -> None:
    if not real:
        pytest.skip("changes /sbin: only in a dom0 that is thrown away")
    installed = Path("/sbin/mount.fuse.xenfs")
    shutil.copy(HELPER, installed)
    command = tmp_path / "xenfs"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={CHECKOUT} exec {XENFS[0]} -m xenfs "$@"\n')
    command.chmod(0o755)
    where = tmp_path / "mnt"
    where.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "fuse.xenfs", "none", str(where), "-o", "ro"],
            check=True, timeout=START_S, env=environment(XENFS=str(command)), stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert Mount(where).value("version/full")
        assert files(walked(Mount(where), "domains/0"), 0o222) == []
        subprocess.run(["umount", str(where)], check=True, timeout=60)
        assert not is_mounted(where)
    finally:
        installed.unlink()
        if is_mounted(where):
            subprocess.run(["umount", "-l", str(where)], check=False, timeout=60)


def test_doctor(real: bool) -> None:
    done = xenfs("doctor")
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].startswith("xenfs can serve the Xen" if real else "There is no Xen here")
