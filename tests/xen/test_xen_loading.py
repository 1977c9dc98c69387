"""Live patches and microcode through files alone, in a real dom0: mkdir, write, apply, revert, replace, rmdir."""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import patch_file
import pyfuse3
import pytest
import xen_seen
from xen_mount import Mount, failure

from xenfs.calls import version
from xenfs.hypervisor.base import Hypervisor

NAMES = ("files-one", "files-two")
IDS = {name: bytes([0x60 + number]) * 20 for number, name in enumerate(NAMES)}


@pytest.fixture
def made(mount: Mount, xen: Hypervisor) -> Iterator[dict[str, bytes]]:
    """Names for two live patches, the second of which follows the first, and what is to be written for each."""
    if not mount.has("host/livepatch"):
        pytest.skip("this Xen has no live patching")
    if xen.abi.arch != "x86_64":
        pytest.skip("the patch is made of x86-64's code")
    build_id = version.build_id(xen)
    first, second = NAMES
    for name in NAMES:
        mount.mkdir(f"host/livepatch/{name}")
    try:
        yield {
            first: patch_file.payload(build_id, IDS[first], b"number=1"),
            second: patch_file.payload(build_id, IDS[second], b"number=2", follows=IDS[first]),
        }
    finally:
        for name in reversed(NAMES):
            at = f"host/livepatch/{name}"
            if mount.has(at) and mount.value(f"{at}/enabled") == "1":
                mount.write(f"{at}/enabled", "0 timeout_ms=4000")
        for name in NAMES:
            if mount.has(f"host/livepatch/{name}"):
                mount.rmdir(f"host/livepatch/{name}")
    assert mount.names("host/livepatch") == []


def load(mount: Mount, name: str, data: bytes) -> None:
    """In pieces, as cat and dd write it; OSError at close where Xen does not take it."""
    fd = os.open(mount.path(f"host/livepatch/{name}/payload"), os.O_WRONLY)
    try:
        for at in range(0, len(data), 700):
            os.write(fd, data[at : at + 700])
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    xen_seen.note("w", f"host/livepatch/{name}/payload")


def test_live_patches_through_files(mount: Mount, made: dict[str, bytes]) -> None:
    one, two = (f"host/livepatch/{name}" for name in NAMES)
    assert mount.value(f"{one}/state") == "empty"
    assert failure(lambda: load(mount, NAMES[0], made[NAMES[0]][:-200])) == errno.EINVAL
    assert "files-one/payload: EINVAL" in mount.value("xenfs/error_log")
    for name, data in made.items():
        load(mount, name, data)
    assert mount.value(f"{one}/state") == mount.value(f"{two}/state") == "checked"
    assert mount.value(f"{two}/metadata") == "number=2"
    assert failure(lambda: load(mount, NAMES[0], made[NAMES[0]])) == errno.EEXIST
    assert failure(lambda: mount.write(f"{two}/enabled", "1")) == errno.EINVAL, "the first is to come first"
    with open(mount.path(f"{one}/state")) as state:
        assert state.read() == "checked\n"
        watched = select.poll()
        watched.register(state, select.POLLPRI)
        mount.write(f"{one}/enabled", "1 timeout_ms=4000")
        if hasattr(pyfuse3, "PollHandle"):  # of 3.5 and later
            assert watched.poll(60_000), "who watches is told"
        state.seek(0)
        assert state.read() == "applied\n"
    mount.write(f"{two}/enabled", "1 timeout_ms=4000")
    assert failure(lambda: mount.write(f"{one}/enabled", "0")) == errno.EBUSY
    assert failure(lambda: mount.rmdir(two)) == errno.EBUSY
    mount.write(f"{two}/enabled", "0 timeout_ms=4000")
    mount.rmdir(two)
    mount.write(f"{one}/enabled", "0 timeout_ms=4000")
    assert mount.value(f"{one}/state") == "checked"
    mount.write(f"{one}/replace", "1 timeout_ms=4000")
    assert [mount.value(f"{one}/{name}") for name in ("state", "enabled", "rc")] == ["applied", "1", "0"]


def test_a_writer_that_is_killed_leaves_nothing(mount: Mount, made: dict[str, bytes]) -> None:
    at = f"host/livepatch/{NAMES[0]}"
    script = "import os, sys, time; fd = os.open(sys.argv[1], os.O_WRONLY); os.write(fd, sys.stdin.buffer.read());"
    writer = subprocess.Popen(
        [sys.executable, "-c", f"{script} os.close(1); time.sleep(600)", mount.path(f"{at}/payload")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert writer.stdin is not None
    assert writer.stdout is not None
    writer.stdin.write(made[NAMES[0]])
    writer.stdin.close()
    writer.stdout.read()  # all is written, and not closed
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert mount.value(f"{at}/state") == "empty"
    assert f"{at}/payload: EINTR" in mount.value("xenfs/error_log")
    load(mount, NAMES[0], made[NAMES[0]])
    assert mount.value(f"{at}/state") == "checked"


def test_microcode_that_is_none(mount: Mount) -> None:
    """What there is for an emulated CPU nobody makes: Xen says so, and what the CPUs have stays."""
    if not mount.has("host/microcode"):
        pytest.skip("nothing to load microcode into")
    for data in (b"DMA\0" + bytes(60), b"\x01\0\0\0" + bytes(2044)):
        outcome = failure(lambda data=data: mount.write("host/microcode/payload", data))  # type: ignore[misc]
        assert outcome in (errno.EINVAL, errno.ENOENT, errno.EOPNOTSUPP), data[:4]
    assert failure(lambda: mount.write("host/microcode/payload", b"none")) == errno.EINVAL
    if mount.has("host/microcode/force"):
        mount.write("host/microcode/force", "1")
        assert mount.value("host/microcode/force") == "1"
        assert failure(lambda: mount.write("host/microcode/payload", b"DMA\0" + bytes(60)))
        assert mount.value("host/microcode/force") == "0"


def test_xen_ucode_is_refused_alike(mount: Mount, tmp_path: Path, peers: None) -> None:
    """What is no microcode: in the words of the errno that a write gives."""
    if not mount.has("host/microcode") or not shutil.which("xen-ucode"):
        pytest.skip("nothing to load microcode into, or with")
    none = tmp_path / "none"
    none.write_bytes(b"DMA\0" + bytes(60))
    outcome = failure(lambda: mount.write("host/microcode/payload", none.read_bytes()))
    done = subprocess.run(["xen-ucode", none], capture_output=True, text=True, timeout=60)
    words = {
        os.strerror(code) for code in ((errno.EOPNOTSUPP, errno.ENOSYS) if outcome == errno.EOPNOTSUPP else (outcome,))
    }
    assert done.returncode != 0
    assert any(each in done.stderr for each in words), (outcome, done.stderr)
