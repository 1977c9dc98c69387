"""domains/<d>/hvm/, the registers of vCPUs, and what RTDS holds for them."""

from __future__ import annotations

import errno
import stat
import struct

import pytest
from worlds import COMBINATIONS, Host

from xenfs.errors import XenfsError
from xenfs.nodes.tables.base import File
from xenfs.options import Options

RTDS = 8


def raw(host: Host, path: str) -> bytes:
    place = host.at(path)
    assert isinstance(place.node, File)
    return place.node.produce(host.xen, place.ids)


@pytest.mark.parametrize(("release", "arch"), COMBINATIONS)
def test_parameters_of_each_kind(release: str, arch: str) -> None:
    with Host(f"xen={release},arch={arch}") as host:
        x86 = arch == "x86_64"
        assert len(host.names("domains/3/hvm/params")) == (26 if x86 else 6)
        assert host.has("domains/1/hvm") == (not x86), "a PV domain has none"
        assert host.value("domains/3/hvm/params/callback_irq") == hex(2 << 56 | 0xF3)
        assert host.value("domains/3/hvm/params/store_evtchn") == "1"
        host.write("domains/3/hvm/params/console_pfn", "0x1234")
        assert host.value("domains/3/hvm/params/console_pfn") == str(0x1234)


def test_a_caller_is_told_little_of_itself() -> None:
    with Host("dom0=pvh") as host:
        assert len(host.names("domains/0/hvm/params")) == 11
        assert not host.has("domains/0/hvm/context")
        assert not host.has("domains/0/vcpus/0/regs")


def test_what_xen_does_not_take(host: Host) -> None:
    params = "domains/3/hvm/params"
    assert host.refused(f"{params}/timer_mode", "4") == errno.EINVAL
    assert host.refused(f"{params}/ioreq_pfn", "77") == errno.EEXIST
    host.write(f"{params}/ioreq_pfn", host.value(f"{params}/ioreq_pfn"))
    assert stat.S_IMODE(host.at(f"{params}/altp2m").node.mode) == 0o444


def test_writing_the_value_that_is_there_asks_xen_for_no_change(host: Host) -> None:
    before = host.counts.copy()
    host.write("domains/3/hvm/params/nr_ioreq_server_pages", "8")
    assert "hvm_op set_param" not in host.asked(before)


@pytest.mark.parametrize("release", ["4.14", "4.17", "4.18", "4.22"])
def test_saved_state(release: str) -> None:
    with Host(f"xen={release}") as host:
        stream = raw(host, "domains/3/hvm/context")
        at, found = 0, {}
        while at < len(stream):
            kind, instance, length = struct.unpack_from("<HHI", stream, at)
            found[kind, instance] = stream[at + 8 : at + 8 + length]
            at += 8 + length
        assert at == len(stream)
        names = host.names("domains/3/hvm/context.d")
        assert len(names) == len(found) - 2, "all but the header and the end"
        assert {"cpu.0", "cpu.3", "lapic_regs.0", "pic.1", "rtc.0"} <= set(names)
        for name, key in (("cpu.1", (2, 1)), ("pic.0", (3, 0)), ("lapic.2", (5, 2)), ("pmtimer.0", (13, 0))):
            assert raw(host, f"domains/3/hvm/context.d/{name}") == found[key]
        assert len(found[5, 0]) == (24 if release in ("4.14", "4.17") else 32)
        assert stat.S_IMODE(host.at("domains/3/hvm/context").node.mode) == 0o600


def test_who_has_a_saved_state(host: Host) -> None:
    assert {"cpu.0", "lapic.0"} <= set(host.names("domains/2/hvm/context.d"))
    assert "pic.0" not in host.names("domains/2/hvm/context.d"), "PVH has no board"
    assert not host.has("domains/2/hvm/context.d/pic.0")
    assert not host.has("domains/15/hvm/context"), "a dying domain"
    assert not host.has("domains/1/hvm")
    with Host("arch=arm64") as arm:
        assert arm.names("domains/3/hvm") == ["params"]


def test_an_open_file_never_asks_for_the_state_of_a_domain_without_vcpus(host: Host) -> None:
    """Xen would reach for vCPU 0 and crash."""
    place = host.at("domains/3/hvm/context")
    domain = host.world.domains[3]
    domain.vcpus, domain.info = [], None
    before = host.counts.copy()
    with pytest.raises(XenfsError):
        place.node.produce(host.xen, place.ids)  # type: ignore[attr-defined]
    assert "domctl gethvmcontext" not in host.asked(before)
    assert not host.has("domains/3/hvm/context")


@pytest.mark.parametrize(("release", "arch"), COMBINATIONS)
def test_registers(release: str, arch: str) -> None:
    with Host(f"xen={release},arch={arch}") as host:
        regs = host.flat("domains/2/vcpus/1/regs")
        program_counter = "rip" if arch == "x86_64" else "pc64"
        assert int(regs[program_counter], 16) >> 24 == 0xFFFFFFFF81
        assert len(regs) == (37 if arch == "x86_64" else 41)
        size = 5168 if arch == "x86_64" else 344 if release in ("4.14", "4.15") else 352
        assert len(raw(host, "domains/2/vcpus/1/context")) == size
        assert stat.S_IMODE(host.at("domains/2/vcpus/1/regs").node.mode) == 0o600
        assert not host.has("domains/15/vcpus/0/regs"), "a dying domain"


def test_a_vcpu_that_never_started_has_no_registers(host: Host) -> None:
    vcpu = host.world.domains[2].existing()[1]
    vcpu.online = False
    assert host.value("domains/2/vcpus/1/regs") == "" == host.value("domains/2/vcpus/1/context")
    assert host.value("domains/2/vcpus/0/regs")
    host.xen.close()
    with Host(options=Options()) as plain:
        assert stat.S_IMODE(plain.at("domains/2/vcpus/1/regs").node.mode) == 0o400, "not written without debug"


def rtds_host() -> Host:
    host = Host()
    pools = host.world.pools
    pool = pools.create(RTDS, 4)
    pools.add_cpu(pool.id, 7)
    pools.move_domain(host.world.domains[3], pool.id)
    return host


def test_rtds_parameters_of_a_vcpu() -> None:
    with rtds_host() as host:
        assert not host.has("domains/2/vcpus/0/sched"), "credit2 holds nothing for a vCPU"
        path = "domains/3/vcpus/1/sched"
        assert host.names(path) == ["period_us", "budget_us", "extratime"]
        assert [host.value(f"{path}/{name}") for name in host.names(path)] == ["10000", "4000", "1"]
        host.write(f"{path}/budget_us", "5000")
        host.write(f"{path}/extratime", "0")
        host.write(f"{path}/period_us", "20000")
        assert [host.value(f"{path}/{name}") for name in host.names(path)] == ["20000", "5000", "0"]
        assert host.value("domains/3/vcpus/0/sched/budget_us") == "4000", "each vCPU has its own"
        assert host.refused(f"{path}/budget_us", "20001") == errno.EINVAL
        assert host.refused(f"{path}/period_us", "4999") == errno.EINVAL
        for text, code in (("9", errno.ERANGE), ("4294967296", errno.ERANGE), ("x", errno.EINVAL), ("", errno.EINVAL)):
            assert host.refused(f"{path}/budget_us", text) == code
        assert host.refused(f"{path}/extratime", "2") == errno.EINVAL
