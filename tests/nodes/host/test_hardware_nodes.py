"""Machine checks, I/O APICs, images to boot and the control domain's watchdog, on the simulator."""

from __future__ import annotations

import errno
import struct

import pytest
from worlds import Host

from xenfs.errors import XenfsError
from xenfs.nodes.host.bootable import image

STATUS_OF_BANK_2 = "0x409"


def ask(host: Host, path: str, text: str) -> list[str]:
    return host.put(host.at(path), text.encode()).decode().splitlines()


@pytest.mark.parametrize("release", ["4.14", "4.22"])
def test_a_feigned_machine_check_is_noted_once(release: str) -> None:
    with Host(f"xen={release}") as host:
        assert ask(host, "host/mce/log", "1") == []
        host.write("host/mce/inject", f"3 {STATUS_OF_BANK_2} 0x9c00000000010091")
        host.write("host/mce/inject", "mce 3")
        host.write("host/mce/inject", f"5 {STATUS_OF_BANK_2} 0x8c00000000010091")
        host.write("host/mce/inject", "cmci 5")
        assert host.read("host/mce/log") == "", "nothing is said to who has not asked"
        found = ask(host, "host/mce/log", "1")
        assert [line.split()[:3] for line in found] == [
            ["1", "urgent", "global"], ["1", "urgent", "bank"],
            ["2", "nonurgent", "global"], ["2", "nonurgent", "bank"],
        ]  # fmt: skip
        assert f"bank=2 domid=32756 status={0x9C00000000010091} " in found[1]
        assert ask(host, "host/mce/log", "1") == []
        host.write("host/mce/inject", "mce 3")
        assert ask(host, "host/mce/log", "1") == [], "no bank has anything to say"


def test_what_cannot_be_feigned() -> None:
    with Host("processor=amd") as host:
        for text, code in (
            ("0 0x10 1", errno.EINVAL), ("mce 8", errno.EINVAL), ("lmce 0", errno.EINVAL),
            ("0 " + "0x401 1 " * 9, errno.EINVAL), ("mce 99999", errno.ERANGE),
        ):  # fmt: skip
            assert host.refused("host/mce/inject", text) == code
        host.write("host/cpus/3/online", "0")
        assert host.refused("host/mce/inject", "mce 3") == errno.EINVAL
    with Host("dom0=pvh") as host:
        assert not host.has("host/mce")
        assert not host.has("host/ioapic")
    with Host("arch=arm64") as host:
        assert not host.has("host/mce")


def test_registers_of_the_io_apics(host: Host) -> None:
    assert host.names("host/ioapic") == ["0xfec00000", "0xfec20000"]
    names = host.names("host/ioapic/0xfec20000")
    assert names[:4] == ["0x00", "0x01", "0x02", "0x10"]
    assert len(names) == 3 + 2 * 32
    assert names[-1] == "0x4f"
    assert host.value("host/ioapic/0xfec20000/0x01") == "0x1f0020"
    assert host.value("host/ioapic/0xfec00000/0x10") == "0x30"
    assert not host.has("host/ioapic/0xfec00000/0x4f")
    assert not host.has("host/ioapic/0xfec01000")


def elf(*loads: tuple[int, bytes, int], entry: int = 0x100000, wide: bool = True) -> bytes:
    """An image with these segments: where, what, and how long in memory."""
    head, each = (64, 56) if wide else (52, 32)
    at = head + each * len(loads)
    if wide:
        fixed = struct.pack(
            "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, entry, 64, 0, 0, 64, 56, len(loads), 0, 0, 0
        )
    else:
        fixed = struct.pack(
            "<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, 3, 1, entry, 52, 0, 0, 52, 32, len(loads), 0, 0, 0
        )
    headers, body = b"", b""
    for start, data, size in loads:
        place = at + len(body)
        if wide:
            headers += struct.pack("<IIQQQQQQ", 1, 5, place, start, start, len(data), size, 4096)
        else:
            headers += struct.pack("<IIIIIIII", 1, place, start, start, len(data), size, 5, 4096)
        body += data
    return fixed + headers + body


@pytest.mark.parametrize("wide", [True, False])
def test_an_elf_file_as_pages(wide: bool) -> None:
    found = image(elf((0x200000, b"z" * 10, 20), (0x100010, b"a" * 5, 5), (0x100800, b"b" * 4096, 5000), wide=wide))
    assert (found.machine, found.entry) == (62 if wide else 3, 0x100000)
    first, second = found.segments
    assert (first.start, first.size) == (0x100000, 0x2000)
    assert first.data == bytes(16) + b"a" * 5 + bytes(0x800 - 21) + b"b" * 4096
    assert second == (0x200000, b"z" * 10, 4096)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x7fELF", elf(), elf((0x1000, b"x", 1))[:-1], elf((0x1000, b"xx", 1)),
        elf((0x1000, b"x" * 20, 20), (0x1008, b"y", 1)), elf(*((0x1000 * 2 * n, b"x", 1) for n in range(16))),
        elf((0x1000, b"x", 1)).replace(b"\x02\x00\x3e\x00", b"\x02\x00\xb7\x00", 1),
    ],
)  # fmt: skip
def test_what_is_no_image(host: Host, data: bytes) -> None:
    with pytest.raises(XenfsError) as caught:
        host.write("host/kexec/load", data)
    assert caught.value.errno == errno.EINVAL
    assert not host.counts["kexec_op kexec_load"]


def test_images_come_and_go(host: Host) -> None:
    assert [host.value(f"host/kexec/{name}") for name in ("loaded", "crash_loaded")] == ["0", "1"]
    assert host.refused("host/kexec/loaded", "1") == errno.EINVAL
    assert "write the image to load" in host.read("xenfs/error_log")
    host.write("host/kexec/crash_loaded", "1")
    host.write("host/kexec/crash_loaded", "0")
    host.write("host/kexec/load", elf((0x100000, b"kernel", 9000)))
    assert [host.value(f"host/kexec/{name}") for name in ("loaded", "crash_loaded")] == ["1", "0"]
    with pytest.raises(XenfsError) as caught:
        host.write("host/kexec/crash_load", elf((0x100000, b"kernel", 9000)))
    assert caught.value.errno == errno.EADDRNOTAVAIL
    host.write("host/kexec/crash_load", elf((0x30000000, b"kernel", 9000), entry=0x30000000))
    assert host.value("host/kexec/crash_loaded") == "1"
    host.write("host/kexec/load", elf((0x100000, b"kernel", 9000)))  # another takes its place
    assert host.value("host/kexec/loaded") == "1"
    for _ in range(2):
        host.write("host/kexec/loaded", "0")
        assert host.value("host/kexec/loaded") == "0"
    assert host.refused("host/kexec/exec", "default") == errno.ENOENT
    host.write("host/kexec/exec", "crash")
    assert host.world.host.booted_into == 1


def test_the_control_domain_s_watchdog(host: Host) -> None:
    assert not host.has("domains/1/watchdog")
    assert ask(host, "domains/0/watchdog", "0 60") == ["1"]
    assert ask(host, "domains/0/watchdog", "0 90") == ["2"]
    for text, code in (("0 60", errno.ENOSPC), ("0 0", errno.EINVAL), ("3 60", errno.ERANGE)):
        with pytest.raises(XenfsError) as caught:
            ask(host, "domains/0/watchdog", text)
        assert caught.value.errno == code
    assert ask(host, "domains/0/watchdog", "1 600") == ["1"]
    assert host.world.domains[0].kept["watchdogs"] == {1: 600, 2: 90}
    for number in ("1", "2"):
        assert ask(host, "domains/0/watchdog", f"{number} 0") == [number]
    with pytest.raises(XenfsError, match="timer 1 is not set"):
        ask(host, "domains/0/watchdog", "1 0")
