"""Programs that copy see what a file holds, whether they read(2), sendfile(2) or splice(2): beside a file of Linux's
sysfs, whose size is said to be 4096 as well."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mounting import Mount, refused
from programs import needs, run

SYSFS = Path("/sys/kernel/profiling")  # any file of sysfs with one value; this one is on every machine
# Not copyFileSync: libuv asks for the rest of st_size for ever, also of a file in sysfs.
NODE = "const fs = require('fs'); fs.writeFileSync(process.argv[2], fs.readFileSync(process.argv[1]))"
COPIERS = {
    "cp": ("cp", "coreutils", ["{from}", "{to}"]),
    "cp -p": ("cp", "coreutils", ["-p", "{from}", "{to}"]),
    "cp -a": ("cp", "coreutils", ["-a", "{from}", "{to}"]),
    "dd": ("dd", "coreutils", ["if={from}", "of={to}", "status=none"]),
    "dd bs=1": ("dd", "coreutils", ["if={from}", "of={to}", "bs=1", "status=none"]),
    "install": ("install", "coreutils", ["{from}", "{to}"]),
    "busybox cp": ("busybox", "busybox", ["cp", "{from}", "{to}"]),
    "busybox cp -a": ("busybox", "busybox", ["cp", "-a", "{from}", "{to}"]),
    "uutils cp": ("/usr/lib/cargo/bin/coreutils/cp", "rust-coreutils", ["{from}", "{to}"]),
    "uutils cp -p": ("/usr/lib/cargo/bin/coreutils/cp", "rust-coreutils", ["-p", "{from}", "{to}"]),
    "uutils dd": ("/usr/lib/cargo/bin/coreutils/dd", "rust-coreutils", ["if={from}", "of={to}", "status=none"]),
    "Python": (
        sys.executable,
        "python3",
        ["-c", "import shutil,sys; shutil.copyfile(*sys.argv[1:])", "{from}", "{to}"],
    ),
    "Node": ("node", "nodejs", ["-e", NODE, "{from}", "{to}"]),
    "Ruby": ("ruby", "ruby", ["-rfileutils", "-e", "FileUtils.cp(*ARGV)", "{from}", "{to}"]),
    "Perl": ("perl", "perl", ["-MFile::Copy", "-e", "copy(@ARGV) or die", "{from}", "{to}"]),
}
READERS = {
    "cat": ("cat", "coreutils", ["{from}"]),
    "tail": ("tail", "coreutils", ["{from}"]),
    "tail -c": ("tail", "coreutils", ["-c", "+1", "{from}"]),
    "head": ("head", "coreutils", ["{from}"]),
    "tac": ("tac", "coreutils", ["{from}"]),
    "less": ("less", "less", ["{from}"]),
    "rg": ("rg", "ripgrep", ["-N", ".", "{from}"]),
    "rg --mmap": ("rg", "ripgrep", ["-N", "--mmap", ".", "{from}"]),
    "grep": ("grep", "grep", [".", "{from}"]),
    "busybox cat": ("busybox", "busybox", ["cat", "{from}"]),
    "busybox tail": ("busybox", "busybox", ["tail", "{from}"]),
    "busybox head": ("busybox", "busybox", ["head", "{from}"]),
    "uutils cat": ("/usr/lib/cargo/bin/coreutils/cat", "rust-coreutils", ["{from}"]),
    "uutils tail": ("/usr/lib/cargo/bin/coreutils/tail", "rust-coreutils", ["{from}"]),
    "uutils head": ("/usr/lib/cargo/bin/coreutils/head", "rust-coreutils", ["{from}"]),
}


@pytest.fixture
def sources(mount: Mount) -> Iterator[list[Path]]:
    """A value that stays, one that was changed just now, and one of sysfs."""
    weight = mount.where / "domains/1/sched/weight"
    mount.write("domains/1/sched/weight", "9")
    yield [mount.where / "version/full", weight, *([SYSFS] if SYSFS.exists() else [])]
    mount.write("domains/1/sched/weight", "256")


def words(tool: tuple[str, str, list[str]], source: Path, target: Path | None = None) -> list[str]:
    program, package, arguments = tool
    found = {"{from}": str(source), "{to}": str(target)}
    return [needs(program, package), *(_filled(word, found) for word in arguments)]


def _filled(word: str, found: dict[str, str]) -> str:
    for hole, path in found.items():
        word = word.replace(hole, path)
    return word


@pytest.mark.parametrize("name", COPIERS)
def test_copies_are_whole(sources: list[Path], mount: Mount, tmp_path: Path, name: str) -> None:
    for at, source in enumerate(sources):
        target = tmp_path / str(at)
        run(*words(COPIERS[name], source, target))
        assert target.read_bytes() == source.read_bytes(), source
    # The next one is longer, and whoever copied the last one without asking for its size must not cut it.
    mount.write("domains/1/sched/weight", "65535")
    run(*words(COPIERS[name], sources[1], tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == b"65535\n"


@pytest.mark.parametrize("name", READERS)
def test_readers_see_it_whole(sources: list[Path], mount: Mount, name: str) -> None:
    for source in sources:
        assert run(*words(READERS[name], source)) == source.read_text(), source
    mount.write("domains/1/sched/weight", "65535")
    assert run(*words(READERS[name], sources[1])) == "65535\n"


def test_a_value_has_the_size_of_a_file_in_sysfs(mount: Mount) -> None:
    for path in ("version/full", "domains/1/state", "domains/1/sched/weight", "domains/1/info", "host/cpus/online"):
        assert (mount.where / path).stat().st_size == 4096 == SYSFS.stat().st_size, path
        run("test", "-s", mount.where / path)
    for path in ("domains/stat", "domains/events", "host/console/log", "metrics/xen.prom", "host/memory/availheap"):
        assert (mount.where / path).stat().st_size == 0, path


def test_long_files_are_read_whole(mount: Mount, tmp_path: Path) -> None:
    """Their size is 0, as of the long files in /proc: what reads to the end has everything."""
    for path in ("xenfs/nodes", "domains/stat"):
        whole = len((mount.where / path).read_bytes())
        for command in (
            ["cp", mount.where / path, tmp_path / "copy"],
            ["dd", f"if={mount.where / path}", f"of={tmp_path / 'copy'}"],
        ):
            run(*command)
            assert (tmp_path / "copy").stat().st_size == pytest.approx(whole, rel=0.01)


def test_copytree(mount: Mount, tmp_path: Path) -> None:
    shutil.copytree(mount.where / "domains/1/memory", tmp_path / "memory", copy_function=shutil.copyfile)
    assert (tmp_path / "memory/max").read_text() == mount.read("domains/1/memory/max")
    run("cp", "-a", mount.where / "host/memory", tmp_path / "memory-of-the-host")
    assert (tmp_path / "memory-of-the-host/total_kb").read_text() == mount.read("host/memory/total_kb")


def test_what_a_mode_and_an_owner_are_already_they_may_be_made(mount: Mount) -> None:
    """chmod and chown of what is there succeed, as everywhere; another mode or owner is EPERM."""
    path = mount.where / "domains/2/sched/weight"
    os.chmod(path, 0o644)
    os.chown(path, os.getuid(), os.getgid())
    with refused(1):
        os.chmod(path, 0o666)
    with refused(1):
        os.chown(path, 12345, -1)
    for command in (["cp", "-p"], [needs("/usr/lib/cargo/bin/coreutils/cp", "rust-coreutils"), "-p"], ["cp", "-a"]):
        mount.write("domains/1/sched/weight", "300")
        mount.write("domains/2/sched/weight", "256")
        run(*command, mount.where / "domains/1/sched/weight", path)
        assert mount.read("domains/2/sched/weight") == "300\n", command


def test_a_write_moves_the_time(mount: Mount) -> None:
    path = mount.where / "domains/1/sched/weight"
    before = path.stat().st_mtime_ns
    mount.write("domains/1/sched/weight", "256")
    assert path.stat().st_mtime_ns > before
    assert subprocess.run(["test", path, "-nt", mount.where / "version/full"], check=False).returncode == 0
    with refused(34):
        mount.write("domains/2/memory/max", "99999999999999999999")
    assert (mount.where / "domains/2/memory/max").stat().st_mtime_ns == (
        mount.where / "version/full"
    ).stat().st_mtime_ns


def test_text_as_c_programs_write_it(mount: Mount) -> None:
    for text, value in (("300\0", "300"), ("+301", "301"), ("302\n\0", "302"), ("0x12f\0junk", "303")):
        mount.write("domains/1/sched/weight", text)
        assert mount.read("domains/1/sched/weight") == f"{value}\n"
    mount.write("domains/1/sched/weight", "256")


@pytest.mark.parametrize("module", ["copy", "fetch"])
def test_ansible(sources: list[Path], tmp_path: Path, module: str) -> None:
    """On the machine itself: `copy` with remote_src, which has Python copy by sendfile, and `fetch`."""
    ansible = needs("ansible", "ansible-core")
    for at, source in enumerate(sources[1:]):
        target = tmp_path / str(at)
        more = " remote_src=true" if module == "copy" else " flat=true"
        run(
            ansible, "all", "-i", "localhost,", "-c", "local", "-m", module, "-a", f"src={source} dest={target}{more}",
            "-e", f"ansible_python_interpreter={sys.executable}", cwd=tmp_path, timeout=300,
        )  # fmt: skip
        assert target.read_bytes() == source.read_bytes(), source
