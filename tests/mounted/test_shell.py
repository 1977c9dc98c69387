"""What people do with a mounted xenfs: cat, echo, ls, grep, find, cp, stat."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
from mount_table import mount_lines
from mounting import Mount, Mounter, refused


def test_cat_and_echo(mounted: Mount) -> None:
    assert mounted.out("cat version/full").startswith("4.17.")
    assert mounted.out("cat domains/1/name") == "web-1\n"
    assert (
        mounted.out("cat domains/by-name/web-1/uuid domains/1/uuid").split()[0]
        == mounted.read("domains/1/uuid").strip()
    )
    for command in ("echo 1 > domains/2/freeze", "echo 1 >> domains/2/freeze", "printf 1 > domains/2/freeze"):
        mounted.out(command)
        assert mounted.out("cat domains/2/freeze domains/2/state") == "1\npaused\n"
        mounted.out("echo 0 > domains/2/freeze")
        assert mounted.out("cat domains/2/freeze") == "0\n"
    mounted.out("echo 0-2 > domains/2/vcpus/1/affinity_hard; echo +4 >> domains/2/vcpus/1/affinity_hard")
    assert mounted.out("cat domains/2/vcpus/1/affinity_hard") == "0-2,4\n"
    mounted.out("echo all > domains/2/vcpus/1/affinity_hard")


def test_refused_writes_fail_in_the_shell_and_are_explained(mounted: Mount) -> None:
    mounted.out("echo > xenfs/error_log")
    done = mounted.shell("echo 0-3,99 > domains/1/vcpus/0/affinity_hard")
    assert done.returncode != 0
    assert "range" in done.stderr
    log = mounted.out("cat xenfs/error_log").splitlines()
    assert "domains/1/vcpus/0/affinity_hard: ERANGE" in log[0]
    assert log[1:] == ["  0-3,99", "      ^"]
    mounted.out("echo clear > xenfs/error_log")
    assert mounted.out("cat xenfs/error_log") == ""
    assert mounted.shell("echo 7 > domains/1/freeze").returncode != 0
    assert mounted.out("cat xenfs/error_log")
    assert mounted.out(": > xenfs/error_log; cat xenfs/error_log") == ""


@pytest.mark.parametrize(
    ("path", "text", "code"),
    [
        ("domains/1/freeze", "2", errno.EINVAL),
        ("domains/1/freeze", "", 0),
        ("domains/1/sched/weight", "65536", errno.ERANGE),
        ("domains/1/memory/max", "x" * 5000, errno.E2BIG),
        ("domains/1/memory/max", "x" * 200000, errno.E2BIG),
        ("host/memory/availheap", "1", errno.EINVAL),
        ("host/debug_keys", "\0", errno.EINVAL),
        ("domains/0/freeze", "1", errno.EINVAL),
        ("host/params/pretended-uint", "-1", errno.ERANGE),
    ],
)
def test_the_result_is_known_when_write_returns(mounted: Mount, path: str, text: str, code: int) -> None:
    fd = os.open(mounted.where / path, os.O_WRONLY)
    try:
        if not code:
            os.write(fd, text.encode())
            return
        with refused(code):
            os.write(fd, text.encode())
    finally:
        os.close(fd)


def only_binary(said: str) -> bool:
    """Whether grep had nothing to say but that a vCPU's or a guest's context is not text."""
    return all(line.endswith(": binary file matches") for line in said.splitlines())


def test_grep_r_comes_through_and_changes_nothing(mounted: Mount) -> None:
    def facts() -> str:
        return mounted.out(
            "cat domains/*/freeze domains/*/memory/max domains/*/sched/* domains/*/vcpus/*/affinity_* host/cpus/online"
        )

    before = facts()
    done = mounted.shell("grep -r . . | wc -l", timeout=60)
    assert only_binary(done.stderr)
    assert int(done.stdout) > 800
    assert mounted.shell("grep -rq . .").returncode == 0
    assert mounted.shell("grep -r nothing-at-all-like-this .").returncode == 1
    assert facts() == before
    assert mounted.out("cat xenfs/buffers/stat").split("in_use ")[1].startswith("0\n")


def test_grep_r_status_0(mounted: Mount) -> None:
    done = subprocess.run(["grep", "-r", ".", str(mounted.where)], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    assert only_binary(done.stderr.decode())


def test_ls_find_and_stat(mounted: Mount) -> None:
    top = ["cpupools", "domains", "host", "hypfs", "metrics", "raw", "templates", "version", "xenfs"]
    assert mounted.out("ls").split() == top
    listed = mounted.out("ls -laR").splitlines()
    assert len(listed) > 700
    files = mounted.out("find . -type f | wc -l")
    assert int(files) > 600
    others = "find . -path ./version -prune -o -path ./host/cpuid -prune -o -type f -size +0 ! -size 4096c -print"
    assert mounted.out(others) == ""  # what stays says its true size, once it was read
    assert mounted.out("find domains -maxdepth 1 -type d -name '[0-9]*' | wc -l") == "12\n"
    assert mounted.out("stat -c '%a %s %F' host/cpu_khz domains/1/freeze domains/1/kill domains").splitlines() == [
        "444 4096 regular file",
        "644 4096 regular file",
        "200 4096 regular file",
        "755 0 directory",
    ]
    assert mounted.out("readlink domains/self domains/by-name/mail").split() == ["0", "../4"]
    assert mounted.out("stat -f -c %T .").strip()


def test_copies(mounted: Mount, tmp_path: Path) -> None:
    mounted.out(f"cp domains/stat version/config {tmp_path}")
    assert len((tmp_path / "stat").read_text().splitlines()) == 12
    assert "CONFIG_" in (tmp_path / "config").read_text()
    mounted.out(f"cp -r --no-preserve=all host/memory {tmp_path}/")
    assert (tmp_path / "memory" / "total_kb").read_text().strip().isdigit()
    mounted.out(f"cat domains/stat > {tmp_path}/cat; cat host/info | cat > {tmp_path}/piped")
    assert len((tmp_path / "cat").read_text().splitlines()) == 12
    assert (tmp_path / "piped").stat().st_size > 100
    mounted.out("echo 301 > domains/1/sched/weight; cp domains/1/sched/weight domains/2/sched/weight")
    assert mounted.out("cat domains/2/sched/weight") == "301\n"
    mounted.out("cat domains/4/sched/weight > domains/1/sched/weight; cp domains/4/sched/weight domains/2/sched/weight")
    assert mounted.out("cat domains/[12]/sched/weight") == "256\n256\n"
    assert mounted.shell("tar cf - version").returncode == 1, "as of sysfs: each file is shorter than it says"


def test_readers_of_every_kind(mounted: Mount) -> None:
    whole = mounted.out("cat domains/stat")
    # Four fields advance with time; the rest has to be the same however it is read.
    steady = re.sub(r"cpu_time_ns=\d+|state=\w+", "", whole)
    for command in (
        "dd if=domains/stat bs=7 status=none",
        "head -c 100000 domains/stat",
        "tac domains/stat | tac",
        "awk 1 domains/stat",
    ):
        assert re.sub(r"cpu_time_ns=\d+|state=\w+", "", mounted.out(command)) == steady, command
    assert mounted.out('read -r line < version/full; echo "$line"') == mounted.out("cat version/full")
    assert mounted.out("tail -n 1 xenfs/nodes; sed -n 1p xenfs/nodes; wc -l < xenfs/nodes")


def test_a_question_and_its_answer(mounted: Mount) -> None:
    one, two = (os.open(mounted.where / "host/memory/availheap", os.O_RDWR) for _ in range(2))
    try:
        assert os.read(one, 100) == b""
        os.write(one, b"-1 0 0\n")
        os.write(two, b"1 0 0\n")
        everything, node = int(os.pread(one, 100, 0)), int(os.pread(two, 100, 0))
        assert everything > node > 0
        assert os.pread(one, 100, 100) == b""
        os.write(one, b"0 0 0\n")  # the answer was read to its end
        with refused(errno.EBUSY):
            os.write(one, b"1 0 0\n")
    finally:
        os.close(one)
        os.close(two)
    assert int(mounted.out("exec 3<> host/memory/availheap; echo 1 0 0 >&3; cat <&3")) == node


def test_the_console_is_followed(mounted: Mount) -> None:
    with open(mounted.where / "host/console/log", "rb", buffering=0) as log:
        while log.read(65536):
            pass
        mounted.out("echo q > host/debug_keys")
        assert b"'q' pressed" in (log.read(65536) or b"")
        while log.read(65536):
            pass
        assert log.read(10) == b""
    mounted.out("echo 1 > host/console/log_clear")
    assert mounted.out("cat host/console/log") == ""


def test_snapshot_over_a_small_buffer(mounted: Mount) -> None:
    fd = os.open(mounted.where / "domains/1/cpu_time_ns", os.O_RDONLY)
    try:
        first = os.pread(fd, 3, 0)
        rest = b"".join(os.pread(fd, 1, at) for at in range(3, 40))
        assert re.fullmatch(rb"\d+\n", first + rest)
        assert int(os.pread(fd, 40, 0)) > int(first + rest)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("touch domains/new", "Permission denied"),
        ("mkdir domains/new", "not permitted"),
        ("rm version/full", "not permitted"),
        ("mv domains/1 domains/2", "not permitted"),
        ("ln -s a domains/b", "not permitted"),
        ("ln version/full domains/b", "not permitted"),
        ("chmod 777 version/full", "not permitted"),
        ("chown 1 version/full", "not permitted"),
        ("rmdir host", "not permitted"),
        ("cat domains/77/state", "No such file"),
        ("cat domains/99999/state", "No such file"),
        ("ls domains/1/state/x", "Not a directory"),
        ("echo 1 > version/full", "Permission denied"),
        ("rmdir domains/0", "busy"),
        ("cat domains", "Is a directory"),
    ],
)
def test_what_cannot_be_done(mounted: Mount, command: str, said: str) -> None:
    done = mounted.shell(f"LC_ALL=C {command}")
    assert done.returncode != 0
    assert said in done.stderr


def test_no_enosys_ever_and_the_kernel_goes_on_asking(mounted: Mount) -> None:
    """What a program may try on a file that such a filesystem does not know."""
    path = mounted.where / "version/full"
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        for attempt in (
            lambda: os.getxattr(path, "user.x"),
            lambda: os.listxattr(path),
            lambda: os.posix_fallocate(file.fileno(), 0, 1),
            lambda: os.lseek(file.fileno(), 0, os.SEEK_HOLE),
            lambda: os.truncate(path, 5),
        ):
            try:
                attempt()
            except OSError as problem:
                assert problem.errno != errno.ENOSYS  # noqa: PT017
    assert os.access(path, os.R_OK)
    assert mounted.read("version/full").startswith("4.17")


def test_kill_and_rmdir(mounter: Mounter) -> None:
    mount = mounter("speed=50", options="lifecycle")
    mount.out("echo 1 > domains/4/kill; echo poweroff > domains/16/shutdown; rmdir domains/16")
    assert mount.out("cat domains/4/state 2>/dev/null || echo gone") in ("dying\n", "gone\n")
    with pytest.raises(TimeoutError):
        wait_until_gone(mount, "domains/15", 0.5)
    wait_until_gone(mount, "domains/4", 5)
    wait_until_gone(mount, "domains/16", 5)
    assert "mail" not in mount.out("ls domains/by-name").split()


def test_a_pool_from_mkdir_to_rmdir(mounter: Mounter) -> None:
    mount = mounter()
    assert mount.out("cat cpupools/free_cpus") == "7\n"
    mount.out("mkdir cpupools/9; echo null > cpupools/9/scheduler; echo all > cpupools/9/cpus")
    assert mount.out("cd cpupools/9; cat scheduler cpus name; ls -l ../by-name/Pool-9 | sed 's/.* //'") == (
        "null\n7\nPool-9\n../9\n"
    )
    done = mount.shell("LC_ALL=C rmdir cpupools/9")
    assert (done.returncode, "busy" in done.stderr) == (1, True)
    assert mount.out("echo > cpupools/9/cpus; cat cpupools/9/cpus cpupools/free_cpus; rmdir cpupools/9") == "\n7\n"
    assert mount.out("ls cpupools") == "0\n1\nby-name\nfree_cpus\n"


def wait_until_gone(mount: Mount, path: str, seconds: float) -> None:
    import time

    end = time.monotonic() + seconds
    while os.path.exists(mount.where / path):
        if time.monotonic() > end:
            raise TimeoutError(path)
        time.sleep(0.05)


def test_what_was_open_when_the_domain_went(mounter: Mounter) -> None:
    mount = mounter("speed=50", options="lifecycle")
    kept = [
        os.open(mount.where / "domains/4" / name, flags)
        for name, flags in (
            ("uuid", os.O_RDONLY),
            ("freeze", os.O_RDWR),
            ("sched/weight", os.O_WRONLY),
            ("kill", os.O_WRONLY),
        )
    ]
    directory = os.open(mount.where / "domains/4", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert os.read(kept[0], 100)
        mount.write("domains/4/kill", "1")
        wait_until_gone(mount, "domains/4", 5)
        for fd in kept[:2]:
            with refused(errno.ESTALE, errno.ENOENT):
                os.pread(fd, 100, 0)
        for fd in kept[1:]:
            with refused(errno.ESTALE, errno.ENOENT):
                os.write(fd, b"1")
        with refused(errno.ESTALE, errno.ENOENT):
            os.stat("state", dir_fd=directory)
    finally:
        for fd in (*kept, directory):
            os.close(fd)


def test_read_only(mounter: Mounter) -> None:
    mount = mounter("domains=4", options="ro,lifecycle,debug")
    for path in ("domains/1/freeze", "xenfs/error_log"):
        with refused(errno.EROFS):
            os.open(mount.where / path, os.O_WRONLY)
    assert mount.out("find . -type f -perm /222") == ""
    with refused(errno.EROFS, errno.EPERM):
        os.rmdir(mount.where / "domains/1")
    assert mount.out("cat domains/1/freeze") == "0\n"


def test_owner_and_umask(mounter: Mounter) -> None:
    mount = mounter("domains=3", options="uid=1234,gid=99,umask=027,allow_other")
    found = os.stat(mount.where / "domains/1/freeze")
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1234, 99, 0o640)
    assert stat.S_IMODE(os.stat(mount.where).st_mode) == 0o550
    if os.geteuid() == 0:

        def become(uid: int, gid: int) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["cat", mount.where / "version/major"],
                user=uid,
                group=gid,
                extra_groups=[],
                capture_output=True,
                text=True,
                check=False,
            )

        os.chmod(mount.where.parent, 0o755)  # a directory of pytest's
        for above in mount.where.parent.parents:
            if (
                above.owner() == "root"
                and stat.S_IMODE(above.stat().st_mode) & 0o700 == 0o700
                and above != Path(tempfile.gettempdir())
            ):
                os.chmod(above, 0o755)
        assert become(1234, 1).stdout == "4\n"
        assert become(1, 99).stdout == "4\n"
        assert become(1, 1).returncode != 0


def test_mount_flags(mounted: Mount) -> None:
    (line,) = mount_lines(mounted.where)
    assert {"nosuid", "nodev", "noexec"} <= set(line.split()[5].split(","))
    assert " - fuse.xenfs xenfs " in line
    assert "default_permissions" in line
    assert os.geteuid() or "allow_other" in line, "what lets nobody in is the mode of the mount"
