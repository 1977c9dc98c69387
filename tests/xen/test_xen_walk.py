"""Every node of a mounted tree: it can be listed and read, it ends, and reading changes nothing."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
from patience import until
from xen_mount import Mount, called

GREP_S = 480
CHANGING = re.compile(r":(set\w+|(un)?pausedomain|destroydomain|max_mem|cpu_hotplug|debug_keys|write\w*)")
AS_IT_COMES = re.compile(
    r"console/log|calls/log|trace/records|.*/(context|context\.d/.+|xsave|logdirty/peek)"
)  # streams, and what is binary
STAYS = re.compile(r"version/|host/cpuid/")  # and says its true size, once it was read
ASKED = {"version/capabilities"}  # of these, as it may change
GOES_ON = re.compile(
    r"/(vcpus/\d+/(regs|context)|hvm/context)$"
)  # can be written, and are what a running vCPU makes of them


def walked(mount: Mount, top: str = "") -> dict[str, os.stat_result]:
    """Every path below a directory with its attributes; OSError where something cannot be listed."""
    found: dict[str, os.stat_result] = {}

    def down(folder: str) -> None:
        with os.scandir(mount.path(folder)) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}".lstrip("/")
                found[path] = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    down(path)

    down(top)
    return found


def files(found: dict[str, os.stat_result], bits: int) -> list[str]:
    """The files with any of these permission bits."""
    return [path for path, status in found.items() if stat.S_ISREG(status.st_mode) and status.st_mode & bits]


def contents(mount: Mount, paths: list[str]) -> dict[str, bytes | str]:
    """The content of each file, or the name of the errno with which it failed."""
    read: dict[str, bytes | str] = {}
    for path in paths:
        try:
            read[path] = mount.read(path)
        except OSError as problem:
            read[path] = errno.errorcode.get(problem.errno or 0, "?")
    return read


@pytest.fixture(scope="module")
def found(mount: Mount) -> dict[str, os.stat_result]:
    """The whole tree, walked over once: in an emulated dom0 that takes a minute."""
    return walked(mount)


@pytest.fixture(scope="module")
def read(mount: Mount, found: dict[str, os.stat_result]) -> dict[str, bytes | str]:
    """What all of it reads as."""
    return contents(mount, files(found, 0o444))


def test_everything_reads(found: dict[str, os.stat_result], read: dict[str, bytes | str], foreign: str) -> None:
    print(f"{len(found)} nodes, {len(read)} files read")
    unread = {path: what for path, what in read.items() if isinstance(what, str)}
    if foreign:
        unread.pop("cpupools/0/name", None)  # what only xenstored knows
    assert unread == {}
    odd = {
        path: data
        for path, data in read.items()
        if data
        and isinstance(data, bytes)
        and not AS_IT_COMES.fullmatch(path.removeprefix("host/").removeprefix("xenfs/"))
        and (not data.endswith(b"\n") or data.endswith(b"\n\n"))
    }
    assert odd == {}


def test_sizes_and_owners(mount: Mount, found: dict[str, os.stat_result], read: dict[str, bytes | str]) -> None:
    sizes = {path: status.st_size for path, status in found.items() if stat.S_ISREG(status.st_mode)}
    odd = {path: size for path, size in sizes.items() if size not in (0, 4096)}
    assert odd == {path: len(read[path]) for path in odd if STAYS.match(path)}
    too_long = {path for path, content in read.items() if sizes[path] and len(content) > sizes[path]}
    assert too_long == set(), "sendfile(2) would cut them"
    with open(mount.path("version/full"), "rb") as source, tempfile.TemporaryFile() as copy:
        os.sendfile(copy.fileno(), source.fileno(), 0, 1 << 20)
        assert os.pread(copy.fileno(), 1 << 20, 0) == mount.read("version/full")
    assert {(status.st_uid, status.st_gid) for status in found.values()} == {(os.getuid(), os.getgid())}


def test_what_is_written_only_reads_as_nothing(mount: Mount, found: dict[str, os.stat_result]) -> None:
    if os.geteuid() == 0:  # whom no mode keeps away
        for path in set(files(found, 0o222)) - set(files(found, 0o444)):
            assert mount.read(path) == b"", path


def test_links_lead_to_directories(mount: Mount, found: dict[str, os.stat_result]) -> None:
    links = [path for path, status in found.items() if stat.S_ISLNK(status.st_mode)]
    assert "domains/self" in links
    for path in links:
        assert re.fullmatch(r"\.\./[0-9]+|[0-9]+", os.readlink(mount.path(path))), path
        assert mount.path(path).is_dir(), path


def test_every_path_is_in_the_reference(mount: Mount, found: dict[str, os.stat_result]) -> None:
    rows = [line.split(" ", 4) for line in mount.value("xenfs/nodes").splitlines()]
    assert all(len(row) == 5 for row in rows)
    patterns = [re.compile(re.sub(r"<[a-z]+>", "[^/]+", re.escape(row[0]).replace(r"\*\*", ".+"))) for row in rows]
    missing = [
        path
        for path, status in found.items()
        if not stat.S_ISDIR(status.st_mode) and not path.startswith("hypfs/")
        if not any(pattern.fullmatch(path) for pattern in patterns)
    ]
    assert missing == []


@pytest.mark.once_a_dom0("every Xen's files are read by the walk")
@pytest.mark.usefixtures("at_home")
def test_grep_ends_and_changes_nothing(mount: Mount, found: dict[str, os.stat_result]) -> None:
    settings = [path for path in files(found, 0o222) if "xenfs/" not in path and not GOES_ON.search(path)]
    before, calls = contents(mount, settings), mount.calls()
    done = subprocess.run(
        ["grep", "-r", ".", str(mount.root)], capture_output=True, timeout=GREP_S, stdin=subprocess.DEVNULL
    )
    complaints = [line for line in done.stderr.splitlines() if b"inary file" not in line]
    assert (done.returncode, complaints) == (0, [])
    assert len(done.stdout.splitlines()) > 200
    assert [op for op in called(calls, mount.calls()) if CHANGING.search(op)] == []
    assert contents(mount, settings) == before


def test_names_that_are_not_there(mount: Mount) -> None:
    for path in (
        "nothing",
        "domains/99999",
        "domains/00",
        "domains/-1",
        "host/cpus/4096",
        "hypfs/nothing",
        "cpupools/77",
    ):
        assert not os.path.lexists(mount.path(path)), path


def test_nothing_can_be_made_renamed_or_removed(mount: Mount) -> None:
    found = {}
    for name, attempt in {
        "create": lambda: os.close(os.open(mount.path("host/new"), os.O_CREAT | os.O_WRONLY)),
        "mkdir": lambda: os.mkdir(mount.path("host/new")),
        "unlink": lambda: os.unlink(mount.path("version/full")),
        "rename": lambda: os.rename(mount.path("version/full"), mount.path("version/other")),
        "link": lambda: os.link(mount.path("version/full"), mount.path("version/other")),
        "symlink": lambda: os.symlink("full", mount.path("version/other")),
        "chmod": lambda: os.chmod(mount.path("version/full"), 0o600),
        "rmdir": lambda: os.rmdir(mount.path("host/memory")),
        "rmdir dom0": lambda: os.rmdir(mount.path("domains/0")),
    }.items():
        try:
            attempt()
        except OSError as problem:
            found[name] = problem.errno
    assert set(found) == {"create", "mkdir", "unlink", "rename", "link", "symlink", "chmod", "rmdir", "rmdir dom0"}
    assert set(found.values()) <= {errno.EPERM, errno.EACCES, errno.EBUSY, errno.EINVAL, errno.ENOTEMPTY}


def test_a_read_is_a_snapshot(mount: Mount) -> None:
    fd = os.open(mount.path("domains/0/cpu_time_ns"), os.O_RDONLY)
    try:
        whole = os.pread(fd, 4096, 0)
        assert whole[1:] == b"".join(os.pread(fd, 1, at) for at in range(1, len(whole)))
        assert os.pread(fd, 4096, 10**9) == b""
        assert int(os.pread(fd, 4096, 0)) >= int(whole)
    finally:
        os.close(fd)


def cost_of_the_second_read(mount: Mount, path: str) -> dict[str, int]:
    """The operations that it took, once the kernel knows how long the file is."""
    content = mount.read(path)
    if STAYS.match(path) and path not in ASKED:
        until(lambda: mount.path(path).stat().st_size == len(content), path)
    before = mount.calls()
    assert mount.read(path) == content
    return called(before, mount.calls())


def test_what_stays_is_asked_for_once(mount: Mount, found: dict[str, os.stat_result]) -> None:
    """The kernel keeps it; what may change is asked for each time."""
    staying = [path for path in files(found, 0o444) if STAYS.match(path)]
    assert {path for path in staying if cost_of_the_second_read(mount, path)} == ASKED


def test_info_files_hold_the_same_as_the_single_values(mount: Mount) -> None:
    info = mount.flat("domains/0/info")
    assert mount.value("domains/0/nr_online_vcpus") == info["nr_online_vcpus"]
    assert mount.value("domains/0/cpupool") == info["cpupool"]
    assert int(mount.value("domains/0/memory/current_kb")) == int(info["tot_pages"]) * 4
    assert mount.flat("host/info")["cpu_khz"] == mount.value("host/cpu_khz")


def test_domains_stat_has_a_line_for_each(mount: Mount) -> None:
    lines = mount.value("domains/stat").splitlines()
    assert sorted((line.split()[0] for line in lines), key=int) == mount.numbers("domains")
    for line in lines:
        domid, *pairs = line.split()
        for key, value in (pair.split("=", 1) for pair in pairs):
            if key not in ("cpu_time_ns", "state"):
                assert (mount.value(f"domains/{domid}/{key}") or "-") == value, (domid, key)


def test_working_directory(mount: Mount) -> None:
    done = subprocess.run(["cat", "full"], cwd=mount.path("version"), capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, mount.read("version/full"))
    assert Path(mount.path("domains/self")).resolve().name == "0"
