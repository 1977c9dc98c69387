"""A guest's inside on a real Xen, with -o debug: registers, saved state, its memory as Xen keeps it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest
from xen_guests import Guest
from xen_mount import Mount, failure

Doomed = Callable[..., Guest]


@pytest.fixture
def frozen(mount: Mount, guest: Guest) -> Iterator[Guest]:
    """A guest that has booted, stopped for the test."""
    mount.write(guest.node("freeze"), "1")
    yield guest
    mount.write(guest.node("freeze"), "0")


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
