"""Counters of networks and disks as Linux has them, from a tree of files like those of /sys and /proc."""

from __future__ import annotations

from pathlib import Path

import pytest

from xenfs.hypervisor.devices import BLOCK, NETWORK, OFTEN, Device, SysfsCounters

VIF, RENAMED, VBD = Device("vif", 5, 0), Device("vif", 6, 1), Device("vbd", 5, 51712)
HEAD = "Inter-|   Receive |  Transmit\n face |bytes packets errs ...\n"


def line(name: str, first: int) -> str:
    return f"{name:>6}: " + " ".join(str(first + at) for at in range(16)) + "\n"


def interface(root: Path, device: Device, name: str, first: int) -> None:
    """An interface whose counters, in the order of NETWORK, are `first` and so on, as dom0 calls them."""
    statistics = root / f"sys/bus/xen-backend/devices/vif-{device.domid}-{device.number}/net/{name}/statistics"
    statistics.mkdir(parents=True)
    for at, counter in enumerate(NETWORK):
        (statistics / counter).write_text(f"{first + at}\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    devices = tmp_path / "sys/bus/xen-backend/devices"
    (devices / "vbd-5-51712/statistics").mkdir(parents=True)
    for at, counter in enumerate(BLOCK):
        (devices / "vbd-5-51712/statistics" / counter).write_text(f"{100 + at}\n")
    interface(tmp_path, VIF, "vif5.0", 10)
    interface(tmp_path, RENAMED, "web", 20)
    for name in ("console-5-0", "vkbd-5-0", "vif-x-1", "vbd-5"):
        (devices / name).mkdir()
    (devices / "vif-7-0/net").mkdir(parents=True)  # its interface is in another namespace
    (devices / "vbd-7-51712").mkdir()  # it is not connected yet
    (tmp_path / "proc/1/net").mkdir(parents=True)
    (tmp_path / "proc/1/net/dev").write_text(HEAD + line("lo", 900) + line("vif5.0", 10))
    return tmp_path


def test_one_device_as_its_guest_sees_it(root: Path) -> None:
    counters = SysfsCounters(str(root))
    assert counters.one(VIF) == {
        "rx_bytes": 14, "rx_packets": 15, "rx_errors": 16, "rx_dropped": 17,
        "tx_bytes": 10, "tx_packets": 11, "tx_errors": 12, "tx_dropped": 13,
    }  # fmt: skip
    assert counters.one(VBD) == dict(zip(BLOCK, range(100, 107), strict=True))


def test_all_at_once(root: Path) -> None:
    found = SysfsCounters(str(root)).everything()
    assert found.keys() == {VIF, RENAMED, VBD}
    assert found[VIF]["rx_bytes"] == 10 + 8, "what the backend sends"
    assert found[VIF]["tx_dropped"] == 10 + 3
    assert found[RENAMED]["tx_bytes"] == 20
    assert found[VBD] == {name: 100 + BLOCK.index(name) for name in OFTEN}


def test_who_is_served(root: Path) -> None:
    counters = SysfsCounters(str(root))
    assert counters.serves(VIF)
    assert counters.serves(VBD)
    assert not counters.serves(Device("vbd", 7, 51712))
    assert not counters.serves(Device("vif", 9, 0))


def test_what_is_gone_or_elsewhere_has_none(root: Path) -> None:
    counters = SysfsCounters(str(root))
    for device in (Device("vif", 7, 0), Device("vbd", 7, 51712), Device("vbd", 9, 1), Device("vif", 9, 0)):
        assert counters.one(device) is None


def test_a_kernel_that_counts_less(root: Path) -> None:
    (root / "sys/bus/xen-backend/devices/vbd-5-51712/statistics/ds_req").unlink()
    found = SysfsCounters(str(root)).one(VBD)
    assert found is not None
    assert found.keys() == {*BLOCK} - {"ds_req"}


def test_without_xens_backends_there_is_nothing(tmp_path: Path) -> None:
    assert SysfsCounters(str(tmp_path)).everything() == {}


def test_a_renamed_interface_is_found_in_the_table(root: Path) -> None:
    (root / "proc/1/net/dev").write_text(HEAD + line("vif5.0", 10) + line("web", 70))
    assert SysfsCounters(str(root)).everything()[RENAMED]["tx_bytes"] == 70, "and not the 20 of its own file"


def test_where_process_1_is_hidden_the_own_table_serves(root: Path) -> None:
    (root / "proc/1/net/dev").rename(root / "proc/net-dev")
    (root / "proc/net").mkdir()
    (root / "proc/net-dev").rename(root / "proc/net/dev")
    assert SysfsCounters(str(root)).everything()[VIF]["rx_bytes"] == 18
