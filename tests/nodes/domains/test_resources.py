"""What Xen keeps for domains in pages of its own: their grant tables, and what processors trace of their vCPUs."""

from __future__ import annotations

import errno
import mmap
from dataclasses import replace
from pathlib import Path

import pytest
from worlds import Host

from xenfs.errors import HypercallError, XenfsError
from xenfs.hypervisor.foreign import MOST_OF_RESOURCE, PAGE, Foreign, Wanted
from xenfs.hypervisor.privcmd import is_there
from xenfs.nodes.tables.region import Region
from xenfs.simulator.answers.foreign import pv_frames
from xenfs.simulator.answers.guest_ops import GRANT_FRAMES, GRANT_VERSION
from xenfs.simulator.answers.resources import Entry
from xenfs.simulator.answers.vcpu_state import TRACE_BYTES

PV, PVH = "domains/1", "domains/2"


def lines(host: Host, domain: str) -> list[str]:
    return host.value(f"{domain}/grants/table").splitlines()


def set_grants(host: Host, version: int, **entries: Entry) -> None:
    host.world.domains[2].kept[GRANT_VERSION] = version
    host.world.domains[2].kept["grants"] = {int(ref[1:]): entry for ref, entry in entries.items()}


@pytest.mark.parametrize("settings", ["xen=4.14", "xen=4.17", "xen=4.22", "xen=4.17,arch=arm64"])
def test_what_a_domain_grants(settings: str) -> None:
    with Host(settings) as host:
        base = host.world.domains[2].physmap.base
        found = lines(host, PVH)
        assert found[:4] == [
            f"0 access,reading,writing 0 {base + 2:#x}",
            f"1 access,reading,writing 0 {base + 1:#x}",
            f"8 access,readonly 0 {base + 0x100:#x}",
            f"9 access,reading,writing 0 {base + 0x101:#x}",
        ]
        assert len(found) == 2 + 8 * len(host.world.domains[2].existing())
        set_grants(host, 1, r513=Entry(1, 77, 0x55), r600=Entry(0, 1, 1), r601=Entry(2 | 4 | 8, 1, 0x66))
        assert lines(host, PVH)[-2:] == ["513 access 77 0x55", "601 transfer,committed,completed 1 0x66"]
        assert not host.has("domains/0/grants/table"), "Xen maps nobody's own"


def test_frames_of_a_pv_domain_are_the_machines(host: Host) -> None:
    assert lines(host, PV)[0].endswith(f" {pv_frames(host.world.domains[1]).mfn(2):#x}")


def test_who_maps_no_grant_table() -> None:
    with Host("xen=4.14,arch=arm64") as host:
        assert not host.has(f"{PVH}/grants/table")


def test_a_table_of_version_2(host: Host) -> None:
    set_grants(
        host, 2, r300=Entry(1 | 8 | 4, 5, 2**33), r301=Entry(3, 7, 12, 9),
        r2100=Entry(1 | 0x100 | 0x10, 5, 0x42, 16, 64),
    )  # fmt: skip
    host.world.domains[2].kept[GRANT_FRAMES] = 9
    assert host.value(f"{PVH}/grants/version") == "2"
    assert lines(host, PVH)[-3:] == [
        f"300 access,readonly,reading 5 {2**33:#x}",
        "301 transitive 7 9:12",
        "2100 access,writing,sub_page 5 0x42+16:64",
    ]
    assert lines(host, PVH)[:1] == ["0 access,reading,writing 0 0x2"]


def test_a_table_stays_as_large_as_it_is(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, mapped = [], host.sim.resource

    def resource(domid: int, wanted: Wanted) -> Foreign:
        asked.append(len(wanted.frames))
        return mapped(domid, wanted)

    monkeypatch.setattr(host.sim, "resource", resource)
    frames = host.value(f"{PVH}/grants/frames")
    assert lines(host, PVH)
    assert host.value(f"{PVH}/grants/frames") == frames, "Xen makes it larger for whoever asks beyond its end"
    host.world.domains[2].kept[GRANT_FRAMES] = 63
    assert lines(host, PVH)
    assert max(asked) <= MOST_OF_RESOURCE
    assert sum(asked) == int(frames) + 63
    host.world.domains[2].kept[GRANT_FRAMES] = 1025
    with pytest.raises(XenfsError, match="more than 1024") as caught:
        lines(host, PVH)
    assert caught.value.errno == errno.EFBIG


@pytest.mark.parametrize(
    ("said", "shown", "why"),
    [(errno.ENOTTY, errno.EOPNOTSUPP, "Linux can since 4.18"), (errno.EACCES, errno.EACCES, "acquire_resource")],
)
def test_what_a_kernel_says(host: Host, monkeypatch: pytest.MonkeyPatch, said: int, shown: int, why: str) -> None:
    def resource(domid: int, wanted: Wanted) -> Foreign:
        raise OSError(said, "no")

    monkeypatch.setattr(host.sim, "resource", resource)
    with pytest.raises(HypercallError, match=why) as caught:
        lines(host, PVH)
    assert caught.value.errno == shown


def part(host: Host, path: str, offset: int, size: int) -> bytes:
    place = host.at(path)
    assert isinstance(place.node, Region)
    return place.node.part(host.xen, place.ids, offset, size)


def length(host: Host, path: str) -> int:
    place = host.at(path)
    assert isinstance(place.node, Region)
    return place.node.nbytes(host.xen, place.ids)


@pytest.mark.parametrize("release", ["4.15", "4.22"])
def test_a_buffer_of_traces(release: str) -> None:
    with Host(f"xen={release},vmtrace=on,processor=intel") as host:
        buffer = f"{PVH}/vcpus/0/vmtrace/buffer"
        assert length(host, buffer) == TRACE_BYTES
        whole = part(host, buffer, 0, TRACE_BYTES + 1)
        assert len(whole) == TRACE_BYTES
        assert whole[PAGE : PAGE + 16] == b"\x02\x82" * 8
        assert part(host, buffer, PAGE - 3, 2 * PAGE) == whole[PAGE - 3 : 3 * PAGE - 3]
        assert part(host, buffer, TRACE_BYTES - 2, 9) == whole[-2:]
        assert part(host, buffer, TRACE_BYTES, 9) == part(host, buffer, 1 << 50, 9) == b""
        assert part(host, f"{PVH}/vcpus/1/vmtrace/buffer", 0, PAGE) != whole[:PAGE]
        assert "buffer" not in host.names(f"{PVH}/vcpus/0/vmtrace"), "it may be gigabytes"


def test_a_domain_without_room_for_traces() -> None:
    with Host("xen=4.20,vmtrace=on,processor=intel") as host:
        host.sim.machine.settings = replace(host.sim.machine.settings, vmtrace=False)  # of its builder, say
        buffer = f"{PVH}/vcpus/0/vmtrace/buffer"
        assert length(host, buffer) == 0
        with pytest.raises(XenfsError, match="without room for traces") as caught:
            part(host, buffer, 0, 10)
        assert caught.value.errno == errno.EINVAL
    with Host("xen=4.20") as host:
        assert not host.has(f"{PVH}/vcpus/0/vmtrace/buffer"), "its processors cannot trace"


def test_a_page_that_is_not_there_is_not_touched(tmp_path: Path) -> None:
    """Behind the end of a file there is nothing, as behind a mapping that Linux has not filled."""
    with open(tmp_path / "file", "w+b") as file:
        file.truncate(3 * PAGE)
        with mmap.mmap(file.fileno(), 3 * PAGE) as area:
            file.truncate(PAGE)
            assert [is_there(area, at * PAGE) for at in range(3)] == [True, False, False]
