"""What -o debug lets one give a vCPU: registers, and so its start."""

from __future__ import annotations

import errno
import struct

import pytest
from worlds import Host

from xenfs.errors import XenfsError

PV, PVH = "domains/1", "domains/2"


def read(host: Host, path: str) -> bytes:
    place = host.at(path)
    return bytes(place.node.produce(host.xen, place.ids))  # type: ignore[attr-defined]


def error(host: Host) -> str:
    return host.value("xenfs/error_log")


@pytest.mark.parametrize("settings", ["xen=4.14", "xen=4.17", "xen=4.22", "xen=4.14,arch=arm64", "xen=4.22,arch=arm64"])
def test_registers_are_set_by_name(settings: str) -> None:
    with Host(settings) as host:
        regs, x86 = f"{PV}/vcpus/0/regs", "arm64" not in settings
        pc, other = ("rip", "rax") if x86 else ("pc64", "x3")
        assert host.refused(regs, f"{pc} 0x1000") == errno.EBUSY
        host.write(f"{PV}/freeze", "1")
        before = host.flat(regs)
        host.write(regs, f"{pc} 0x1000\n  {other}\t77 \n\n")
        assert host.flat(regs) == before | {pc: "0x1000", other: "0x4d"}
        assert read(host, f"{PV}/vcpus/0/context").count((0x1000).to_bytes(8, "little")) >= 1
        assert host.refused(regs, "pc64 1" if x86 else "rip 1") == errno.EINVAL
        assert "no such register" in error(host)
        assert host.refused(regs, f"{'cs' if x86 else 'flags'} 0x100000000") == errno.ERANGE
        assert host.flat(regs)[pc] == "0x1000"


def test_a_context_is_what_was_read_before(host: Host) -> None:
    path = f"{PV}/vcpus/0/context"
    host.write(f"{PV}/freeze", "1")
    before, regs = read(host, path), host.value(f"{PV}/vcpus/0/regs")
    host.write(f"{PV}/vcpus/0/regs", "rdi 5")
    assert read(host, path) != before
    host.write(path, before)
    assert host.value(f"{PV}/vcpus/0/regs") == regs
    for odd in (before[:-1], before + b"\0", b""):
        with pytest.raises(XenfsError, match="5168 bytes"):
            host.write(path, odd)


def test_what_a_started_pv_vcpu_keeps(host: Host) -> None:
    regs = f"{PV}/vcpus/0/regs"
    host.write(f"{PV}/freeze", "1")
    assert host.refused(regs, "cr3 0x5000") == errno.EOPNOTSUPP
    assert "keeps its page tables" in error(host)
    assert host.refused(regs, "rip 0x8000000000000000") == errno.EINVAL
    assert "canonical" in error(host)


@pytest.mark.parametrize(("release", "taken"), [("4.20", True), ("4.21", False), ("4.22", False)])
def test_newer_xens_spoil_an_hvm_domain(release: str, taken: bool) -> None:
    """Their arch_set_info_guest writes the segment selectors over whatever an HVM vCPU has in that place."""
    with Host(f"xen={release}") as host:
        host.write(f"{PVH}/freeze", "1")
        before = host.counts.copy()
        if taken:
            host.write(f"{PVH}/vcpus/0/regs", "rip 0x1000")
            assert struct.pack("<Q", 0x1000) in read(host, f"{PVH}/hvm/context.d/cpu.0")
        else:
            assert host.refused(f"{PVH}/vcpus/0/regs", "rip 0x1000") == errno.EOPNOTSUPP
            assert "hvm/context" in error(host)
            assert "domctl setvcpucontext" not in host.asked(before)


@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
def test_a_vcpu_comes_up_by_its_registers(arch: str) -> None:
    with Host(f"arch={arch}") as host:
        host.write(f"{PV}/freeze", "1")
        vcpu = host.world.domains[1].existing()[-1]
        vcpu.online = False
        where = f"{PV}/vcpus/{vcpu.id}"
        assert host.value(f"{where}/online") == "0"
        assert host.value(f"{where}/regs") == ""
        if arch == "x86_64":
            assert host.refused(f"{where}/regs", "rip 0x1000") == errno.EINVAL, "a PV vCPU needs page tables"
            host.write(f"{where}/regs", "rip 0x1000\ncr3 0x5000\nflags 0x24\ncs 0xe033\nkernel_sp 0x2000")
            assert host.flat(f"{where}/regs")["cs"] == "0xe033"
        else:
            host.write(f"{where}/regs", "pc64 0x40080000\nx0 0x48000000\ncpsr 0x1c5\nflags 1")
        assert host.value(f"{where}/online") == "1"
        host.write(f"{where}/regs", "flags 4" if arch == "x86_64" else "flags 0")
        assert host.value(f"{where}/online") == "0"
        assert host.value(f"{where}/regs")
