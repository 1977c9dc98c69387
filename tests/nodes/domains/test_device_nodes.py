"""domains/<d>/devices/: who serves networks and disks, and what has gone through them as the guest sees it."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence

import pytest
from worlds import Host

from xenfs.errors import XenfsError
from xenfs.hypervisor.devices import BLOCK, OFTEN
from xenfs.hypervisor.qemu.disks import Answers, Qemus
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


def test_what_another_domain_serves_is_there_without_counters() -> None:
    with Host("devices=4") as host:
        home = "domains/4/devices/vif/0"
        assert host.value(f"{home}/backend") == "1"
        assert host.value(f"{home}/state") == "connected"
        assert not set(COUNTERS["vif"]) & set(host.names(home))
        assert not [line for line in host.value("domains/device_stat").splitlines() if line.startswith("4 vif/0 ")]


QDISK, QEMU_COUNTS = "domains/3/devices/vbd/51728", {"rd_req", "wr_req", "rd_sect", "wr_sect"}


def of_disks(host: Host, domid: int) -> dict[str, dict[str, str]]:
    """Those of a domain in the metrics, by number and name."""
    pattern = rf'^xen_domain_block_(\w+)\{{domid="{domid}",.*vbd="(\d+)"\}} (\d+)$'
    found: dict[str, dict[str, str]] = {}
    for name, number, value in re.findall(pattern, host.value("metrics/xen.prom"), re.M):
        found.setdefault(number, {})[name] = value
    return found


def lines_of(host: Host, domid: int) -> dict[str, dict[str, str]]:
    """Those of device_stat for a domain's disks, by number."""
    found = re.findall(rf"^{domid} vbd/(\d+) (.*)$", host.value("domains/device_stat"), re.M)
    return {number: dict(word.split("=") for word in line.split()) for number, line in found}


def test_what_qemu_serves_has_the_counters_that_qemu_has() -> None:
    with Host("devices=4") as host:
        assert host.value(f"{QDISK}/backend_type") == "qdisk"
        assert set(host.names(QDISK)) & set(BLOCK) == QEMU_COUNTS
        assert set(host.names("domains/3/devices/vbd/51712")) >= set(BLOCK)
        before = int(host.value(f"{QDISK}/wr_sect"))
        host.advance(60)
        assert host.xen.qemus is not None
        host.xen.qemus._recent.clear()  # half a second later
        counted = {name: host.value(f"{QDISK}/{name}") for name in QEMU_COUNTS}
        assert int(counted["wr_sect"]) > before > 0
        assert lines_of(host, 3)["51728"] == counted
        assert set(lines_of(host, 3)["51712"]) == set(OFTEN)
        found = of_disks(host, 3)["51728"]
        assert found["read_bytes_total"] == str(512 * int(counted["rd_sect"]))
        assert found["writes_total"] == counted["wr_req"]
        assert "no_room_total" not in found


def test_a_qemu_that_lies_makes_no_disk() -> None:
    """It tells of one that the toolstack has not made; of its own it may say what it likes."""
    with Host("devices=4,qemu=lies") as host:
        assert lines_of(host, 6).keys() == of_disks(host, 6).keys() == {"51712", "51728"}
        assert host.names("domains/6/devices/vbd") == ["51712", "51728"]
        assert not host.has("domains/6/devices/vbd/268441856")


@pytest.mark.parametrize(("manner", "code"), [("silent", errno.ETIMEDOUT), ("garbles", errno.EPROTO)])
def test_a_qemu_that_does_not_answer_costs_its_own_numbers(manner: str, code: int) -> None:
    with Host(f"devices=4,qemu={manner}") as host:
        with pytest.raises(XenfsError, match="this domain's QEMU") as said:
            host.value("domains/6/devices/vbd/51728/rd_req")
        assert said.value.errno == code
        assert host.value("domains/6/devices/vbd/51728/state") == "connected"
        assert int(host.value(f"{QDISK}/rd_req"))
        assert (lines_of(host, 6).keys(), lines_of(host, 3).keys()) == ({"51712"}, {"51712", "51728"})
        assert (of_disks(host, 6).keys(), of_disks(host, 3).keys()) == ({"51712"}, {"51712", "51728"})
        assert re.search('^xen_collector_success{collector="qemu"} 1$', host.value("metrics/xen.prom"), re.M)


def test_without_anybody_who_asks_qemu_there_are_no_counters() -> None:
    with Host("devices=4") as host:
        host.xen.qemus = None
        assert not set(host.names(QDISK)) & set(BLOCK)
        assert lines_of(host, 3).keys() == of_disks(host, 3).keys() == {"51712"}
        assert 'collector="qemu"' not in host.value("metrics/xen.prom")


def test_a_process_that_asks_and_is_gone_costs_its_part_of_the_metrics() -> None:
    def gone(question: str, domids: Sequence[int]) -> Answers:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with Host("devices=4") as host:
        host.xen.qemus = Qemus(gone)
        page = host.value("metrics/xen.prom")
        assert re.search('^xen_collector_success{collector="qemu"} 0$', page, re.M)
        assert re.search('^xen_collector_success{collector="devices"} 1$', page, re.M)
        assert of_disks(host, 3).keys() == {"51712"}


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
