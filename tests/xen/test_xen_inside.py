"""A guest's inside on a real Xen, with -o debug: registers, saved state, its memory as Xen keeps it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest
from xen_guests import Guest, eventually
from xen_mount import Mount, failure

Doomed = Callable[..., Guest]


@pytest.fixture
def frozen(mount: Mount, guest: Guest) -> Iterator[Guest]:
    """A guest that has booted, stopped for the test."""
    mount.write(guest.node("freeze"), "1")
    yield guest
    mount.write(guest.node("freeze"), "0")


@pytest.mark.usefixtures("at_home")  # a bare domain is paused, and has none
def test_registers_must_not_run(mount: Mount, guest: Guest) -> None:
    name = next(iter(mount.flat(guest.node("vcpus/0/regs"))))
    assert failure(lambda: mount.write(guest.node("vcpus/0/regs"), f"{name} 0")) == errno.EBUSY


@pytest.mark.usefixtures("at_home")
def test_registers_are_what_was_written(mount: Mount, frozen: Guest) -> None:
    regs, context = frozen.node("vcpus/0/regs"), frozen.node("vcpus/0/context")
    before, whole = mount.flat(regs), mount.read(context)
    mount.write(context, whole)
    assert mount.flat(regs) == before
    name = "rax" if "rax" in before else "x17"
    mount.write(regs, f"{name} 0x1234")
    assert mount.flat(regs) == before | {name: "0x1234"}
    mount.write(regs, f"{name} {before[name]}")
    assert mount.read(context) == whole
    if "cr3" in before and mount.value(frozen.node("type")) == "pv":
        assert failure(lambda: mount.write(regs, "cr3 0x1000")) == errno.EOPNOTSUPP
        assert failure(lambda: mount.write(regs, "rip 0x8000000000000000")) == errno.EINVAL
    if "cpsr" in before:
        assert failure(lambda: mount.write(regs, "cpsr 0x3c9")) == errno.EINVAL  # the hypervisor's own mode


def test_a_vcpu_that_has_no_registers_gets_some(mount: Mount, doomed: Doomed, real: bool) -> None:
    guest = doomed()
    regs = guest.node("vcpus/0/regs")
    if not real:
        mount.write(guest.node("freeze"), "1")
    elif "arm64" in mount.value("xenfs/interface"):
        assert mount.value(regs) == ""
        mount.write(regs, "pc64 0x40000000\ncpsr 0x1c5")  # its flags leave it down
        assert mount.flat(regs)["pc64"] == "0x40000000"
    else:
        assert mount.value(regs) == ""
        assert failure(lambda: mount.write(regs, "rip 0x1000")) == errno.EINVAL  # without page tables


def _of_kind(mount: Mount, kind: str) -> list[str]:
    return [each for each in mount.numbers("domains") if each != "0" and mount.value(f"domains/{each}/type") == kind]


def _guests(mount: Mount, kind: str) -> list[str]:
    """Those with memory and vCPUs."""
    return [
        f"domains/{each}"
        for each in _of_kind(mount, kind)
        if mount.has(f"domains/{each}/vcpus/0/xsave") and mount.value(f"domains/{each}/memory/max_gpfn") != "0"
    ]


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("kind", ["pv", "pvh"])
def test_pages_that_a_guest_writes_to(mount: Mount, guest: Guest, kind: str) -> None:
    """Of a PV guest only where Xen has shadow paging, which Debian's 4.20 has not."""
    if "arm64" in mount.value("xenfs/interface"):
        assert not mount.has(guest.node("logdirty"))
    elif kind == "pv" and "shadow" not in mount.value("host/virt_caps").split():
        assert not any(mount.has(f"domains/{each}/logdirty") for each in _of_kind(mount, "pv"))
    else:
        for path in _guests(mount, kind)[:1]:
            _noted(mount, path)


def _noted(mount: Mount, path: str) -> None:
    log, freeze = f"{path}/logdirty", f"{path}/freeze"
    mount.write(freeze, "0")
    mount.write(f"{log}/mode", "logdirty")
    try:
        assert failure(lambda: mount.write(f"{log}/mode", "logdirty")) == errno.EINVAL
        eventually(lambda: int(mount.flat(f"{log}/stat")["dirty_count"]) > 0, 120, "it has written to a page")
        mount.write(freeze, "1")
        bits, lines = mount.read(f"{log}/peek"), mount.value(f"{log}/ranges").splitlines()
        frames = int(mount.value(f"{path}/memory/max_gpfn")) + 1
        assert len(bits) == -(-frames // 8)
        assert int.from_bytes(bits, "little").bit_count() == int(mount.flat(f"{log}/stat")["dirty_count"])
        assert lines
        assert mount.exchange(f"{log}/clean", "1", len(bits)) == bits
        assert mount.flat(f"{log}/stat")["dirty_count"] == "0"
    finally:
        mount.write(f"{log}/mode", "off")
        mount.write(freeze, "0")
    assert not any(mount.read(f"{log}/peek"))


@pytest.mark.usefixtures("at_home")
def test_what_pages_of_a_guest_are(mount: Mount, guest: Guest) -> None:
    types = guest.node("memory/pfn_types")
    if not mount.has(types):
        assert "arm64" in mount.value("xenfs/interface")
        return
    top = int(mount.value(guest.node("memory/max_gpfn")))
    beyond = mount.ask(types, str(2**39))
    assert beyond == f"{2**39:#x} xtab"
    found = {
        line.split()[1]
        for first in range(0, top, 1024)
        for line in mount.ask(types, f"{first}-{min(top, first + 1023)}").splitlines()
    }
    if mount.value(guest.node("type")) == "pv":
        assert {"notab", "l1tab"} <= found
        assert any(kind.startswith("l4tab") for kind in found), found
    else:
        assert "notab" in found
    for path in _guests(mount, "pvh"):
        assert mount.ask(f"{path}/memory/type", "0x100-0x101") == "0x100 ram_rw\n0x101 ram_rw"
        assert mount.ask(f"{path}/memory/type", str(2**39)).endswith("mmio_dm")


def test_nobody_listens_to_accesses(mount: Mount) -> None:
    """EINVAL from Xen where the CPUs are not Intel's, else ENODEV: no listener."""
    paths = [f"domains/{each}/memory/access" for each in mount.numbers("domains")]
    for path in [each for each in paths if mount.has(each)][:1]:
        assert failure(lambda: mount.ask(path, "1 1")) in (errno.EINVAL, errno.ENODEV)  # noqa: B023
        assert failure(lambda: mount.ask(f"{path}_default", "?")) in (errno.EINVAL, errno.ENODEV)  # noqa: B023


@pytest.mark.usefixtures("at_home")
def test_more_of_a_vcpu(mount: Mount, guest: Guest) -> None:
    vcpu = guest.node("vcpus/0")
    if not mount.has(f"{vcpu}/xsave"):
        assert "arm64" in mount.value("xenfs/interface")
        return
    assert len(mount.read(f"{vcpu}/xsave")) >= 16
    assert "vmce.caps" in mount.flat(f"{vcpu}/ext_context")
    if mount.has(f"{vcpu}/msrs"):
        before = mount.value(f"{vcpu}/msrs")
        assert failure(lambda: mount.write(f"{vcpu}/msrs", "0x10 1")) == errno.ENXIO
        if before:
            mount.write(f"{vcpu}/msrs", before)
        assert mount.value(f"{vcpu}/msrs") == before
    if mount.has(guest.node("memory/shadow_mb")):
        assert mount.value(guest.node("memory/shadow_mb")).isdecimal()


@pytest.mark.usefixtures("at_home")
def test_an_hvm_guest_from_outside(mount: Mount) -> None:
    for path in _guests(mount, "pvh")[:1]:
        before = mount.value(f"{path}/freeze")
        mount.write(f"{path}/freeze", "1")
        state = mount.read(f"{path}/hvm/context")
        mount.write(f"{path}/hvm/context", state)
        assert len(mount.read(f"{path}/hvm/context")) == len(state)
        assert failure(lambda: mount.write(f"{path}/hvm/context", state[:-8])) == errno.EINVAL  # noqa: B023
        mount.write(f"{path}/vcpus/0/inject_event", "2 nmi 0 - 0")
        assert failure(lambda: mount.write(f"{path}/vcpus/0/inject_event", "2 nmi 0 - 0")) == errno.EBUSY  # noqa: B023
        assert mount.names(f"{path}/dm/ioreq_servers") == []
        mount.write(f"{path}/dm/inject_msi", "0xfee00000 0x41")
        if mount.has(f"{path}/vcpus/0/vmtrace"):
            # made without room for traces: EINVAL; a build without: EOPNOTSUPP
            refused = failure(lambda: mount.write(f"{path}/vcpus/0/vmtrace/enabled", "1"))  # noqa: B023
            assert refused in (errno.EINVAL, errno.EOPNOTSUPP)
            assert "traces" in mount.value("xenfs/error_log").splitlines()[-3]
        if before == "0":
            refused = failure(lambda: mount.write(f"{path}/freeze", "0"))  # noqa: B023
            assert not refused, mount.read(f"{path}/info")
