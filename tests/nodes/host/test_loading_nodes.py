"""Loading live patches and microcode through files: mkdir, payload, enabled, replace, rmdir; payload and force."""

from __future__ import annotations

import errno
import struct

import patch_file
import pytest
from worlds import Host

from xenfs.calls import livepatch, version
from xenfs.errors import XenfsError
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.payload import Payload
from xenfs.options import Options
from xenfs.simulator.world import livepatches

OWN = b"\x11" * 20
HOSTS = ["xen=4.14,livepatches=0", "xen=4.22,livepatches=0", "xen=4.22,arch=arm64,livepatches=0"]


def make(host: Host, name: str) -> None:
    host.mkdir(f"host/livepatch/{name}")


def remove(host: Host, name: str) -> None:
    host.rmdir(f"host/livepatch/{name}")


def code(attempt: object, *args: object) -> int:
    with pytest.raises(XenfsError) as caught:
        attempt(*args)  # type: ignore[operator]
    return caught.value.errno


def built(host: Host, own: bytes = OWN, follows: bytes = b"") -> bytes:
    machine = patch_file.X86_64 if host.xen.abi.arch == "x86_64" else patch_file.ARM64
    return patch_file.payload(version.build_id(host.xen), own, b"author=xenfs", follows=follows, machine=machine)


@pytest.mark.parametrize("settings", HOSTS)
def test_a_live_patch_comes_and_goes(settings: str) -> None:
    with Host(settings) as host:
        make(host, "fix")
        assert host.names("host/livepatch") == ["fix"]
        at = "host/livepatch/fix"
        assert [host.value(f"{at}/{name}") for name in ("state", "rc", "metadata", "enabled")] == [
            "empty",
            "0",
            "",
            "0",
        ]
        assert host.refused(f"{at}/enabled", "1") == host.refused(f"{at}/replace", "1") == errno.EINVAL
        host.write(f"{at}/payload", built(host))
        assert [host.value(f"{at}/{name}") for name in ("state", "rc", "metadata")] == ["checked", "0", "author=xenfs"]
        assert code(host.write, f"{at}/payload", built(host)) == errno.EEXIST
        host.write(f"{at}/enabled", "0")
        host.write(f"{at}/enabled", "1 timeout_ms=100")
        assert [host.value(f"{at}/{name}") for name in ("state", "enabled")] == ["applied", "1"]
        place, before = host.at(f"{at}/enabled"), host.counts.copy()
        host.put(place, b"1")
        assert host.asked(before) == {"sysctl livepatch_op": 1}, "no action is needed"
        assert host.refused(f"{at}/replace", "1") == errno.EBUSY
        assert code(remove, host, "fix") == errno.EBUSY
        host.write(f"{at}/enabled", "0")
        assert host.value(f"{at}/state") == "checked"
        remove(host, "fix")
        assert host.names("host/livepatch") == []


def test_live_patches_build_on_one_another() -> None:
    with Host("xen=4.20,livepatches=0") as host:
        for name, own, follows in (("one", OWN, b""), ("two", b"2" * 20, OWN), ("all", b"3" * 20, b"")):
            make(host, name)
            host.write(f"host/livepatch/{name}/payload", built(host, own, follows))
        assert host.refused("host/livepatch/two/enabled", "1") == errno.EINVAL
        assert "built to follow another" in host.value("xenfs/error_log")
        host.write("host/livepatch/one/enabled", "1")
        host.write("host/livepatch/two/enabled", "1")
        assert host.refused("host/livepatch/one/enabled", "0") == errno.EBUSY
        assert "applied after it" in host.value("xenfs/error_log")
        assert host.refused("host/livepatch/all/enabled", "1") == errno.EINVAL
        host.write("host/livepatch/all/replace", "1")
        states = [host.value(f"host/livepatch/{name}/state") for name in ("one", "two", "all")]
        assert states == ["checked", "checked", "applied"]


def test_what_is_no_live_patch_for_this_xen() -> None:
    with Host("xen=4.20,livepatches=0") as host:
        make(host, "fix")
        for data, expected in (
            (b"", errno.EINVAL), (b"MZ" * 100, errno.EINVAL), (built(host)[:-100], errno.EINVAL),
            (patch_file.payload(b"x" * 20, OWN), errno.EINVAL), (built(host) + bytes(2 << 20), errno.EFBIG),
            (patch_file.payload(version.build_id(host.xen), OWN, machine=patch_file.ARM64), errno.EOPNOTSUPP),
        ):  # fmt: skip
            assert code(host.write, "host/livepatch/fix/payload", data) == expected
            assert host.value("host/livepatch/fix/state") == "empty"
        host.write("host/livepatch/fix/payload", built(host))


def test_an_action_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with Host("xen=4.20,livepatches=0") as host:
        make(host, "fix")
        host.write("host/livepatch/fix/payload", built(host))
        host.world.livepatches.takes = 3
        host.write("host/livepatch/fix/enabled", "1")
        assert host.value("host/livepatch/fix/state") == "applied"
        host.world.livepatches.takes = 1 << 30
        monkeypatch.setattr("xenfs.nodes.host.livepatch._SLACK_S", 0.0)
        assert host.refused("host/livepatch/fix/enabled", "0 timeout_ms=1") == errno.EAGAIN
        assert host.value("host/livepatch/fix/rc") == "EAGAIN"
        assert host.refused("host/livepatch/fix/enabled", "0") == errno.EBUSY


def test_one_with_data_of_its_own_is_applied_once() -> None:
    with Host("xen=4.20,livepatches=0") as host:
        patch = livepatches.Livepatch(b"fix", depends=host.world.livepatches.xen, has_data=True)
        host.world.livepatches.upload(patch)
        host.write("host/livepatch/fix/enabled", "1")
        host.write("host/livepatch/fix/enabled", "0")
        assert host.refused("host/livepatch/fix/enabled", "1") == errno.EINVAL
        assert host.value("host/livepatch/fix/rc") == "EINVAL"


def test_names_that_cannot_be_made(host: Host) -> None:
    assert code(make, host, "xsa-470") == errno.EEXIST
    assert code(make, host, "x" * 128) == errno.EINVAL
    assert code(make, host, "50%") == errno.EINVAL
    for number in range(16):
        make(host, f"n{number}")
    assert code(make, host, "n0") == errno.EEXIST
    assert code(make, host, "n16") == errno.ENOSPC
    remove(host, "n3")
    make(host, "n16")
    assert len(livepatch.patches(host.xen)) == 2, "Xen hears nothing of a name"


def test_without_debug_nothing_is_loaded() -> None:
    with Host("", Options()) as host:
        assert not host.has("host/livepatch/xsa-470/payload")
        assert not host.has("host/microcode")
        node = host.at("host/livepatch/xsa-470/enabled").node
        assert isinstance(node, File)
        assert node.write is None
        place = host.at("host/livepatch")
        assert isinstance(place.node, Dir)
        assert place.node.make is None


def of_intel(signature: int, revision: int) -> bytes:
    """A file with one microcode for processors of this signature."""
    words = [1, revision, 0x01012026, signature, 0, 1, 1, 2000, 2048]
    body = struct.pack("<9I12x", *words) + bytes(2000)
    words[4] = -sum(memoryview(body).cast("I")) & 0xFFFFFFFF
    return struct.pack("<9I12x", *words) + bytes(2000)


def of_amd(signature: int, revision: int) -> bytes:
    """The same in AMD's container."""
    table = struct.pack("<IIIHH", signature, 0, 0, 7, 0) + bytes(16)
    patch = struct.pack("<II16xH", 0x01012026, revision, 7) + bytes(100)
    return struct.pack("<III", 0x00414D44, 0, len(table)) + table + struct.pack("<II", 1, len(patch)) + patch


@pytest.mark.parametrize(("processor", "make_file"), [("intel", of_intel), ("amd", of_amd)])
def test_microcode_is_loaded(processor: str, make_file: object) -> None:
    with Host(f"xen=4.22,processor={processor}") as host:
        revision, signature = (
            int(host.value(f"host/cpus/0/microcode/{name}"), 16) for name in ("version", "signature")
        )
        blob = make_file(signature, revision + 1)  # type: ignore[operator]
        host.write("host/microcode/payload", blob)
        assert host.value("host/cpus/7/microcode/version") == f"{revision + 1:#x}"
        assert code(host.write, "host/microcode/payload", blob) == errno.EEXIST
        assert "newer" in host.value("xenfs/error_log")
        host.write("host/microcode/force", "1")
        assert host.value("host/microcode/force") == "1"
        host.write("host/microcode/payload", make_file(signature, revision))  # type: ignore[operator]
        assert host.value("host/cpus/7/microcode/version") == f"{revision:#x}"
        assert host.value("host/microcode/force") == "0", "it holds for one"
        assert code(host.write, "host/microcode/payload", make_file(signature + 1, 9999)) == errno.ENOENT  # type: ignore[operator]
        assert code(host.write, "host/microcode/payload", blob[:-50]) == errno.EINVAL
        other = of_amd if processor == "intel" else of_intel
        assert code(host.write, "host/microcode/payload", other(signature, 9999)) == errno.EINVAL
        assert isinstance(host.at("host/microcode/payload").node, Payload)


def test_microcode_of_an_older_xen() -> None:
    with Host("xen=4.14,processor=intel") as host:
        assert host.names("host/microcode") == ["payload"]
        before = host.counts.copy()
        assert (
            code(host.write, "host/microcode/payload", of_intel(host.world.host.processor.signature, 0)) == errno.ENOENT
        )
        assert host.asked(before) == {"platform_op microcode_update": 1}
