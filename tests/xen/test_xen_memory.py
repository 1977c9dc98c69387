"""The memory of guests, as files: the kernel's own banner is found in it, on PV and PVH."""

from __future__ import annotations

import os
import platform
import subprocess

import pytest
import xen_seen
from xen_guests import Guest, bare, of_on_xen
from xen_mount import Mount, failure

from xenfs.hypervisor.base import Hypervisor

BANNER = b"Linux version "
STEP = 1 << 20
PAGE = 4096


def found_at(mount: Mount, node: str, wanted: bytes) -> int:
    """Where these bytes are in a file, -1 where they are not; the parts of a MiB overlap."""
    fd = os.open(mount.path(node), os.O_RDONLY)
    try:
        xen_seen.note("r", node)
        at, before = (1 << 30 if "arm64" in mount.value("xenfs/interface") else 0), b""  # where it begins
        while part := os.pread(fd, STEP, at):
            if (place := (before + part).find(wanted)) >= 0:
                return at - len(before) + place
            at, before = at + len(part), part[1 - len(wanted) :]
        return -1
    finally:
        os.close(fd)


@pytest.mark.parametrize("name", ["gpv", "gpvh"])
def test_the_kernels_banner_is_in_a_guests_memory(mount: Mount, name: str, real: bool, at_home: None) -> None:
    if real:
        guest = of_on_xen(name) or pytest.skip(f"there is no {name}")
    else:
        kind = name.removeprefix("g")
        guest = Guest(next(d for d in range(1, 9) if mount.value(f"domains/{d}/type") == kind))
    at = found_at(mount, guest.node("memory/physical"), BANNER)
    assert at >= 0
    with open(mount.path(guest.node("memory/physical")), "rb") as memory:
        memory.seek(at)
        assert memory.read(60).startswith(BANNER)
    if real:
        with open("/proc/version", "rb") as version:
            print(version.read())
    assert int(mount.flat("xenfs/mappings")["pages"]) > 0


def test_what_tools_for_files_do_with_it(mount: Mount, guest: Guest) -> None:
    """dd at an offset gives the same as pread, and the size is that of all there is."""
    path = mount.path(guest.node("memory/physical"))
    size = os.stat(path).st_size
    assert size == (int(mount.value(guest.node("memory/max_gpfn"))) + 1) * PAGE
    said = subprocess.run(
        ["dd", f"if={path}", "bs=4096", "skip=1", "count=2"], capture_output=True, check=True, timeout=120
    ).stdout
    assert len(said) == min(2 * PAGE, max(0, size - PAGE))


def test_memory_of_a_bare_domain(mount: Mount, doomed: object, real: bool, request: pytest.FixtureRequest) -> None:
    """Given, written, read, and taken away again; what is not there is ENXIO to a writer."""
    if not real:
        pytest.skip("tests/nodes/domains/test_physical.py does this on a simulator")
    xen: Hypervisor = request.getfixturevalue("xen")
    guest = bare(xen, 0, hvm=True)
    try:
        mount.write(guest.node("memory/max"), "16M")
        if os.path.exists(mount.path(guest.node("memory/paging_pool_bytes"))):
            mount.write(guest.node("memory/paging_pool_bytes"), "2M")
        populate, physical = guest.node("memory/populate"), guest.node("memory/physical")
        mount.write(populate, "0x40000 16")
        mount.write(populate, "0x40200 1 4")
        assert failure(lambda: mount.write(populate, "0x40008 1")) == 17, "EEXIST"
        with open(mount.path(physical), "r+b", buffering=0) as memory:
            memory.seek(0x40000 * PAGE + 100)
            assert memory.write(b"here I am" * 1000) == 9000
            memory.seek(0x40000 * PAGE + 100)
            assert memory.read(9) == b"here I am"
            memory.seek(0x40010 * PAGE - 4)
            assert failure(lambda: memory.write(b"beyond it")) == 6, "ENXIO"
            memory.seek(0x40010 * PAGE - 4)
            assert memory.read(8) == bytes(8)
        xen_seen.note("w", physical)
        mount.write(guest.node("memory/unpopulate"), "0x40000 16")
        assert int(mount.value(guest.node("memory/current_kb"))) == 64
    finally:
        guest.destroy()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="gdbsx_guestmemio is of x86")
def test_memory_by_page_tables(mount: Mount, real: bool, at_home: None) -> None:
    """The text of the kernel, at an address of its own."""
    if not real:
        pytest.skip("tests/nodes/domains/test_physical.py does this on a simulator")
    guest = of_on_xen("gpvh") or pytest.skip("there is no gpvh")
    node = guest.node("memory/virtual/0")
    if not os.path.exists(mount.path(node)):
        pytest.skip("this Xen was built without what gdbsx asks")
    registers = mount.flat(guest.node("vcpus/0/regs"))
    fd = os.open(mount.path(node), os.O_RDONLY)
    try:
        assert len(os.pread(fd, 16, int(registers["rip"], 16) & (1 << 48) - 1)) == 16
        assert os.pread(fd, 16, 0) == b""
    finally:
        os.close(fd)
    xen_seen.note("r", node)
