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


def ask(host: Host, path: str, question: str) -> str:
    place = host.at(path)
    return bytes(place.node.ask(host.xen, place.ids, question.encode())).decode()  # type: ignore[attr-defined]


@pytest.mark.parametrize("release", ["4.14", "4.22"])
def test_a_saved_state_is_loaded(release: str) -> None:
    with Host(f"xen={release}") as host:
        path = f"{PVH}/hvm/context"
        state = read(host, path)
        with pytest.raises(XenfsError) as caught:
            host.write(path, state)
        assert caught.value.errno == errno.EBUSY
        host.write(f"{PVH}/freeze", "1")
        before = host.counts.copy()
        for odd in (state[:-1], state + b"\0", state[8:], b"", state[:-8]):
            with pytest.raises(XenfsError, match="not a saved state"):
                host.write(path, odd)
        assert "domctl sethvmcontext" not in host.asked(before)
        record = read(host, f"{PVH}/hvm/context.d/cpu.0")
        changed = bytearray(state)
        at = state.index(record)
        changed[at : at + 8] = b"\x11" * 8
        host.write(path, bytes(changed))
        assert read(host, f"{PVH}/hvm/context.d/cpu.0")[:8] == b"\x11" * 8
        assert read(host, path) == bytes(changed)
        changed[at - 8 : at - 6] = b"\x77\x00"  # a type that no domain has
        with pytest.raises(XenfsError, match="Xen takes no such state"):
            host.write(path, bytes(changed))


def test_more_of_a_vcpu(host: Host) -> None:
    area = read(host, f"{PVH}/vcpus/0/xsave")
    assert struct.unpack_from("<QQ", area) == (7, 7)
    assert len(area) == 16 + 832
    assert len(read(host, f"{PV}/vcpus/0/xsave")) == 16 + 576, "what was never used is not there"
    calls = host.flat(f"{PV}/vcpus/0/ext_context")
    assert calls["sysenter_callback_cs"] == "0xe033"
    assert calls["vmce.caps"] == "0x1000002"
    assert not host.has("domains/0/vcpus/0/xsave")
    assert not host.has(f"{PVH}/vcpus/0/msrs"), "those of HVM domains are in its saved state"


@pytest.mark.parametrize("release", ["4.14", "4.18", "4.19", "4.22"])
def test_msrs_of_a_pv_vcpu(release: str) -> None:
    """Up to 4.18 Xen itself says EINVAL of an MSR that no vCPU has."""
    with Host(f"xen={release}") as host:
        path = f"{PV}/vcpus/0/msrs"
        host.write(path, "0x48 0x1\n0xc0000103 7")
        assert host.value(path).splitlines() == ["0x48 0x1", "0xc0000103 0x7"]
        assert host.refused(path, "0xc0000103 8\n0x10 1\n0x48 0") == errno.ENXIO
        assert "no MSR 0x10" in error(host)
        assert host.value(path).splitlines() == ["0x48 0x1", "0xc0000103 0x8"], "what is before it was set"
        with pytest.raises(XenfsError, match="EINVAL"):
            host.write(path, "\n".join(f"{0xC0010000 + each:#x} 1" for each in range(8)))  # more than Xen takes


def test_events_for_a_vcpu(host: Host) -> None:
    path = f"{PVH}/vcpus/0/inject_event"
    host.write(f"{PVH}/freeze", "1")
    host.write(path, "14 hw_exc 0 0x2 0xdeadbeef")
    assert host.world.domains[2].kept["events"][0] == (14, 3, 0, 2, 0xDEADBEEF)
    assert host.refused(path, "2 nmi 0 - 0") == errno.EBUSY
    host.write(f"{PVH}/vcpus/1/inject_event", "0x80 sw_int 2 - 0")
    assert host.world.domains[2].kept["events"][1] == (0x80, 4, 2, 0xFFFFFFFF, 0)
    assert not host.has(f"{PV}/vcpus/0/inject_event")


def test_device_models() -> None:
    with Host("xen=4.20") as host:
        hvm, pvh = (
            next(f"domains/{each.domid}" for each in host.world.domains_from(1) if each.kind == kind and not each.dying)
            for kind in ("hvm", "pvh")
        )
        assert host.names(f"{hvm}/dm/ioreq_servers") == ["0"]
        assert host.flat(f"{hvm}/dm/ioreq_servers/0/info") == {"id": "0", "bufioreq_port": "7"}
        assert host.names(f"{pvh}/dm/ioreq_servers") == []
        host.write(f"{pvh}/dm/inject_msi", "0xfee00000 0x41")
        assert host.world.domains[2].kept["msis"] == [(0xFEE00000, 0x41)]
        assert host.refused(f"{pvh}/dm/inject_msi", "0xfee00000 0x741") == errno.EINVAL


def test_traces_of_a_processor() -> None:
    with Host("xen=4.20") as host:
        trace = f"{PVH}/vcpus/0/vmtrace"
        assert host.names(trace) == ["enabled"]
        assert host.refused(f"{trace}/enabled", "1") == errno.EINVAL
        assert "without room for traces" in error(host)
    with Host("xen=4.20,vmtrace=on,processor=intel") as host:
        trace = f"{PVH}/vcpus/0/vmtrace"
        host.write(f"{trace}/enabled", "1")
        host.advance(0.01)
        assert int(ask(host, f"{trace}/position", "1")) > 0
        assert ask(host, f"{trace}/options", "0x570 0x2501") == "0x2501\n"
        assert ask(host, f"{trace}/options", "0x571") == "0x2\n"
        with pytest.raises(XenfsError):
            ask(host, f"{trace}/options", "0x10")
        host.write(f"{trace}/enabled", "reset")
        host.write(f"{trace}/enabled", "0")
        assert ask(host, f"{trace}/position", "1") == "0\n"
    with Host("xen=4.14") as host:
        assert not host.has(f"{PVH}/vcpus/0/vmtrace")
