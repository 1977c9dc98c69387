"""domains/<d>/devices/: who serves networks and disks, and what has gone through them as the guest sees it."""

from __future__ import annotations

import re

import pytest
from worlds import Host

from xenfs.xenstore import FakeXenstore

COUNTERS = {"vif": ("rx_bytes", "tx_packets"), "vbd": ("rd_req", "wr_sect")}


def told(host: Host, nodes: dict[str, bytes]) -> None:
    assert isinstance(host.xen.store, FakeXenstore)
    host.xen.store.nodes = nodes


def test_devices_by_class_and_number(host: Host) -> None:
    assert host.names("domains/1/devices") == ["vif", "vbd"]
    assert (host.names("domains/1/devices/vif"), host.names("domains/1/devices/vbd")) == (["0"], ["51712"])
    assert host.names("domains/0/devices/vif") == []
    assert not host.has("domains/1/devices/vif/1")
    assert not host.has("domains/1/devices/vif/00")
    home = "domains/1/devices/vif/0"
    assert [host.value(f"{home}/{name}") for name in ("backend", "backend_type", "state", "mac", "bridge")] == [
        "0", "vif", "connected", "00:16:3e:00:01:00", "xenbr0",
    ]  # fmt: skip
    home = "domains/1/devices/vbd/51712"
    assert [host.value(f"{home}/{name}") for name in ("source", "physical_device", "vdev", "mode")] == [
        "/dev/vg0/guest-1-a", "fd:1", "xvda", "w",
    ]  # fmt: skip


def test_counters_grow_while_the_guest_runs(host: Host) -> None:
    paths = [f"domains/1/devices/{at}" for at in ("vif/0/rx_bytes", "vif/0/tx_packets", "vbd/51712/rd_req")]
    before = [int(host.value(path)) for path in paths]
    host.advance(60)
    assert all(int(host.value(path)) > was > 0 for path, was in zip(paths, before, strict=True))


def test_what_another_serves_is_there_without_counters() -> None:
    with Host("devices=4") as host:
        assert host.value("domains/4/devices/vif/0/backend") == "1"
        assert host.value("domains/3/devices/vbd/51728/backend_type") == "qdisk"
        for home in ("domains/4/devices/vif/0", "domains/3/devices/vbd/51728"):
            assert host.value(f"{home}/state") == "connected"
            names = host.names(home)
            assert not {name for both in COUNTERS.values() for name in both}.intersection(names)
        assert set(COUNTERS["vbd"]) <= set(host.names("domains/3/devices/vbd/51712"))
        lines = host.value("domains/device_stat").splitlines()
        assert not [line for line in lines if line.startswith(("4 vif/0 ", "3 vbd/51728 "))]
        assert 'vbd="51728"' not in "".join(re.findall('.*domid="3".*', host.value("metrics/xen.prom")))
        assert 'vbd="51712"' in "".join(re.findall('.*domid="3".*', host.value("metrics/xen.prom")))
        assert "QEMU tells them to root alone" in host.at("domains/3/devices/vbd/51728").node.help


def test_a_line_for_each_device_of_the_host(host: Host) -> None:
    lines = host.value("domains/device_stat").splitlines()
    assert len(lines) == len(set(lines))
    found = {tuple(line.split(" ")[:2]): dict(word.split("=") for word in line.split(" ")[2:]) for line in lines}
    assert found["1", "vif/0"]["rx_bytes"] == host.value("domains/1/devices/vif/0/rx_bytes")
    assert found["1", "vbd/51712"]["rd_sect"] == host.value("domains/1/devices/vbd/51712/rd_sect")
    assert ("4", "vif/0") not in found, "another domain serves that one"


@pytest.mark.parametrize(
    "path",
    [
        b"/local/domain/0/backend/vif/2/0",
        b"/local/domain/0/backend/vif/1/1",
        b"/local/domain/0/backend/vif/1/0/..",
        b"/local/domain/0/backend/vif/1/0\n",
        b"/tool/secret",
        b"",
        b"\xff",
    ],
)
def test_a_guest_cannot_point_elsewhere(host: Host, path: bytes) -> None:
    """It may write below its own device/: what is believed names a backend of this very device."""
    told(host, {"/local/domain/1/device/vif/0/backend": path, "/local/domain/0/backend/vif/2/0/mac": b"x"})
    assert host.names("domains/1/devices/vif") == []


def test_numbers_that_are_none_are_left_out(host: Host) -> None:
    names = ["0", "00", "-1", "1" * 11, "a", "\u0661", "1 2"]
    told(
        host, {f"/local/domain/1/device/vif/{n}/backend": f"/local/domain/0/backend/vif/1/{n}".encode() for n in names}
    )
    assert host.names("domains/1/devices/vif") == ["0"]


def test_the_list_of_the_toolstack_goes_before_the_guests(host: Host) -> None:
    served = b"/local/domain/0/backend/vif/1/%d"
    told(host, {
        "/libxl/1/device/vif/0/backend": served % 0,
        "/local/domain/1/device/vif/0/backend": served % 0,
        "/local/domain/1/device/vif/7/backend": served % 7,
    })  # fmt: skip
    assert host.names("domains/1/devices/vif") == ["0"]


def test_words_of_a_guest_are_one_harmless_line(host: Host) -> None:
    backend = "/local/domain/0/backend/vif/1/0"
    told(host, {
        "/libxl/1/device/vif/0/backend": backend.encode(), f"{backend}/mac": b"\x1b[31m\nroot\xff",
        f"{backend}/state": b"999",
    })  # fmt: skip
    assert host.value("domains/1/devices/vif/0/mac") == "\\x1b[31m\\nroot\\xff"
    assert host.value("domains/1/devices/vif/0/state") == "999"
    assert host.value("domains/1/devices/vif/0/bridge") == ""
