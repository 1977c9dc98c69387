"""hvm/start/: the state that a vCPU begins in, as the PVH boot ABI wants it."""

from __future__ import annotations

import errno

import pytest
from worlds import Host

from xenfs.calls import hvm
from xenfs.calls.hvm import Record

ENTRY = "domains/{}/hvm/start/{}"


@pytest.fixture(params=["4.14", "4.17", "4.22"])
def begun(request: pytest.FixtureRequest) -> tuple[Host, int]:
    """A host, and a domain of two vCPUs that is being built."""
    with Host(f"xen={request.param}") as host:
        node = host.at("templates").node
        node.make(host.xen, "t")  # type: ignore[attr-defined]
        host.write("templates/t/max_vcpus", "2")
        domid = int(host.put(host.at("templates/t/commit"), b"any"))
        yield host, domid  # type: ignore[misc]


def test_a_vcpu_comes_up_where_it_is_told(begun: tuple[Host, int]) -> None:
    host, domid = begun
    assert [host.read(ENTRY.format(domid, name)) for name in ("entry", "start_info", "mode")] == ["", "", ""]
    host.write(ENTRY.format(domid, "entry"), "0x1000450")
    host.write(ENTRY.format(domid, "start_info"), "0x8000")
    assert host.value(ENTRY.format(domid, "entry")) == "0x1000450"
    assert host.value(ENTRY.format(domid, "start_info")) == "0x8000"
    assert host.value(ENTRY.format(domid, "mode")) == "pvh"
    assert [vcpu.online for vcpu in host.world.domains[domid].existing()] == [True, False]


def test_the_state_is_that_of_the_boot_abi(begun: tuple[Host, int]) -> None:
    host, domid = begun
    host.write(ENTRY.format(domid, "entry"), "4096")
    records = hvm.parts(hvm.context(host.xen, domid))
    cpu = memoryview(records[Record(2, 0)])
    word = host.sim.layouts.get
    members = ("rip", "cr0", "cs_limit", "ss_limit", "tr_limit", "cs_base", "cs_arbytes", "ds_arbytes", "tr_arbytes")
    assert word(cpu, "hvm_hw_cpu", *members) == (4096, 0x11, 2**32 - 1, 2**32 - 1, 0x67, 0, 0xC9B, 0xC93, 0x8B)
    assert word(cpu, "hvm_hw_cpu", "cr3", "cr4", "msr_efer", "pad0") == (0, 0, 0, 0)
    for vcpu in (0, 1):
        (kind,) = word(memoryview(records[Record(14, vcpu)]), "hvm_hw_mtrr", "msr_mtrr_def_type")
        assert kind == 0x806, "memory is cached, of all vCPUs"


def test_other_vcpus_stay_up(host: Host) -> None:
    host.write("domains/2/freeze", "1")
    before = host.world.domains[2].existing()
    assert all(vcpu.online for vcpu in before)
    assert host.value(ENTRY.format(2, "mode")) == "other"
    host.write(ENTRY.format(2, "start_info"), "1")
    assert all(vcpu.online for vcpu in before)
    assert host.value(ENTRY.format(2, "mode")) == "other", "one register was written, and no other"
    host.write(ENTRY.format(2, "mode"), "pvh")
    assert host.value(ENTRY.format(2, "mode")) == "pvh"
    assert host.value(ENTRY.format(2, "start_info")) == "0x1"


def test_only_while_it_is_paused(host: Host) -> None:
    for name, text in (("entry", "1"), ("start_info", "1"), ("mode", "pvh")):
        assert host.refused(ENTRY.format(2, name), text) == errno.EBUSY
    assert not host.counts["domctl sethvmcontext"]
    assert not host.has("domains/1/hvm"), "a PV domain begins by its vCPUs' context"
