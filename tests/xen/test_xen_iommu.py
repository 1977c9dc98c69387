"""Domains that can be given devices, and a PCI device that goes to one and comes back: scripts/on-xen --iommu."""

from __future__ import annotations

import errno
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest
from xen_guests import eventually
from xen_mount import Mount, failure
from xen_peers import said

SOON_S = 120.0
TESTDEV = "0x1b36 0x0005"  # QEMU's pci-testdev: no driver of Linux's takes it

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="on Arm devices are of the device tree")


@pytest.fixture(autouse=True)
def _has_iommu(mount: Mount, real: bool) -> None:
    if not real or "directio" not in mount.value("host/virt_caps").split():
        pytest.skip("it takes a real Xen that has an IOMMU in use: scripts/on-xen --iommu")


@pytest.fixture
def device() -> str:
    """A device that nobody uses."""
    for each in Path("/sys/bus/pci/devices").iterdir():
        ids = " ".join((each / name).read_text().strip() for name in ("vendor", "device"))
        if ids == TESTDEV and not (each / "driver").exists():
            return each.name
    pytest.skip("this machine has no pci-testdev")


@pytest.fixture(params=["on", "no_sharept"])
def domain(request: pytest.FixtureRequest, mount: Mount) -> Iterator[str]:
    """One that may have devices."""
    mount.mkdir("templates/open")
    made = ""
    try:
        mount.write("templates/open/iommu", request.param)
        made = f"domains/{mount.ask('templates/open/commit', 'any')}"
        yield made
    finally:
        mount.rmdir("templates/open")
        if made:
            mount.write(f"{made}/kill", "1")
            eventually(lambda: not mount.has(made), SOON_S, "it has given back what it had")


def test_a_device_goes_to_a_domain_and_comes_back(mount: Mount, domain: str, device: str) -> None:
    """While it is away nobody else gets it, and Xen says that it is."""
    at = f"host/pci/{device}"
    print(mount.value("host/virt_caps"), mount.names(at))
    assert mount.ask(f"{domain}/passthrough/test", device) == "1"
    assert mount.value(f"{at}/assigned") == "0"
    mount.write(f"{domain}/passthrough/pci", f"+{device}")
    try:
        assert mount.value(f"{at}/assigned") == "1"
        assert failure(lambda: mount.write(f"{domain}/passthrough/pci", f"+{device}")) == errno.EBUSY
        assert mount.ask(f"{domain}/passthrough/test", device) == "0"
        assert device not in mount.value(f"{at}/iommu_group").split()
    finally:
        mount.write(f"{domain}/passthrough/pci", f"-{device}")
    assert mount.value(f"{at}/assigned") == "0"


@pytest.mark.usefixtures("peers")
def test_what_xl_may_give_away_nobody_has(mount: Mount, device: str) -> None:
    """xl's list of devices to give away is of a driver of dom0's; what is in it no guest has yet, as Xen says."""
    said("modprobe xen-pciback")
    assert device not in said("xl pci-assignable-list").split()
    said(f"xl pci-assignable-add {device}")
    try:
        assert device in said("xl pci-assignable-list").split()
        assert mount.value(f"host/pci/{device}/assigned") == "0"
    finally:
        said(f"xl pci-assignable-remove {device}")
    assert device not in said("xl pci-assignable-list").split()
    assert mount.value(f"host/pci/{device}/assigned") == "0"


def test_a_domain_without_that_gets_none(mount: Mount, device: str) -> None:
    mount.mkdir("templates/shut")
    domain = f"domains/{mount.ask('templates/shut/commit', 'any')}"
    try:
        assert not mount.has(f"{domain}/passthrough/pci")
    finally:
        mount.rmdir("templates/shut")
        mount.write(f"{domain}/kill", "1")
