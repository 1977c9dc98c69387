"""A guest's memory as files: what is read where there is some and where there is none, and what may be written."""

from __future__ import annotations

import errno
from collections.abc import Sequence

import pytest
from worlds import Host

from xenfs.calls.p2m import Table
from xenfs.errors import XenfsError
from xenfs.hypervisor.foreign import MOST_AT_ONCE, PAGE, Foreign
from xenfs.nodes.tables.region import Region
from xenfs.simulator.world.physmap import BANNER

KERNEL = 16 << 20
HOLE = 0xC0000 * PAGE


def part(host: Host, path: str, offset: int, size: int) -> bytes:
    place = host.at(path)
    assert isinstance(place.node, Region)
    return place.node.part(host.xen, place.ids, offset, size)


def put(host: Host, path: str, offset: int, data: bytes) -> None:
    place = host.at(path)
    assert isinstance(place.node, Region)
    with host.refusals.noting(place.path, data):
        place.node.put(host.xen, place.ids, offset, data)


def gone(host: Host) -> int:
    return int(host.flat("xenfs/mappings")["gone"])


@pytest.mark.parametrize(("release", "arch"), [("4.14", "x86_64"), ("4.17", "arm64"), ("4.22", "x86_64")])
def test_every_kind_of_guest_shows_its_memory(release: str, arch: str) -> None:
    with Host(f"xen={release},arch={arch}") as host:
        base = 0 if arch == "x86_64" else 0x40000000
        for domid in ("1", "2", "3", "4"):
            path = f"domains/{domid}/memory/physical"
            assert part(host, path, base + KERNEL + 6, 7) == b"version"
            place = host.at(path)
            assert isinstance(place.node, Region)
            assert place.node.nbytes(host.xen, place.ids) == (int(host.value(f"{path[:-8]}max_gpfn")) + 1) * PAGE
        assert not host.has("domains/0/memory/physical"), "its own kernel would be asked for its own pages"
        assert host.has("domains/2/memory/populate")
        assert not host.has("domains/0/memory/populate")


@pytest.mark.parametrize("domid", [1, 16])
def test_the_frames_of_a_pv_guest_are_found_by_its_own_table(host: Host, domid: int) -> None:
    """By page tables, and by the older lists; several pages, and several pages of the table."""
    kinds = [d.domid for d in host.world.domains_from(1) if d.kind == "pv"]
    domain = host.world.domains[next(each for each in kinds if each % 2 == domid % 2)]
    for frame in (511, 512, 5000):
        domain.physmap.page(frame)[:] = frame.to_bytes(2, "little") * (PAGE // 2)
    path = f"domains/{domain.domid}/memory/physical"
    assert part(host, path, 512 * PAGE - 3, 6) == b"\x01\xff\x01\x00\x02\x00"
    assert part(host, path, 5000 * PAGE, 2) == (5000).to_bytes(2, "little")
    host.write(f"domains/{domain.domid}/freeze", "1")
    with pytest.raises(XenfsError, match="no memory that can be written"):
        put(host, path, (domain.physmap.top + 1) * PAGE, b"x")


def test_a_pv_guest_that_has_said_nothing_has_nothing_to_read(host: Host) -> None:
    domain = next(d for d in host.world.domains_from(1) if d.kind == "pv")
    domain.physmap.built = 0
    path = f"domains/{domain.domid}/memory/physical"
    assert part(host, path, 0, 10) == b""
    with pytest.raises(XenfsError, match="has not said where its memory is") as refused:
        Table(host.xen, domain.domid, domain.shared_info_frame)
    assert refused.value.errno == errno.EOPNOTSUPP


def test_what_is_not_there_reads_as_zeros_and_is_counted(host: Host) -> None:
    path = "domains/3/memory/physical"  # HVM, with more than 3 GiB
    assert part(host, path, HOLE - 2, 4) == bytes(4)
    assert gone(host) == 1
    host.world.domains[3].physmap.drop(KERNEL // PAGE)
    assert part(host, path, KERNEL, 8) == bytes(8)
    assert gone(host) == 2
    top = int(host.value("domains/3/memory/max_gpfn")) + 1
    assert part(host, path, top * PAGE - 4, 100) == bytes(4)
    assert part(host, path, top * PAGE, 100) == b""
    assert part(host, path, 1 << 62, 1) == b""


def test_never_more_than_the_bound_is_mapped(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, mapped = [], host.sim.foreign

    def foreign(domid: int, frames: Sequence[int], *, write: bool) -> Foreign:
        asked.append(len(frames))
        return mapped(domid, frames, write=write)

    monkeypatch.setattr(host.sim, "foreign", foreign)
    data = part(host, "domains/2/memory/physical", KERNEL - 5, 3 << 20)
    assert len(data) == 3 << 20
    assert data[5 : 5 + len(BANNER)] == BANNER
    assert max(asked) <= MOST_AT_ONCE
    assert len(asked) == 3


def test_it_is_written_while_it_is_paused(host: Host) -> None:
    path = "domains/2/memory/physical"
    with pytest.raises(XenfsError, match="must be paused") as refused:
        put(host, path, 0, b"x")
    assert refused.value.errno == errno.EBUSY
    host.write("domains/2/freeze", "1")
    put(host, path, 2 * PAGE - 1, b"ab" * PAGE)
    assert part(host, path, 2 * PAGE - 2, 4) == b"\0aba"
    assert part(host, path, 4 * PAGE - 3, 3) == b"ab\0"


def test_a_write_beyond_what_is_populated_changes_nothing(host: Host) -> None:
    host.write("domains/3/freeze", "1")
    path = "domains/3/memory/physical"
    with pytest.raises(XenfsError, match="frame 0xc0000") as refused:
        put(host, path, HOLE - 4, b"abcdefgh")
    assert refused.value.errno == errno.ENXIO
    assert part(host, path, HOLE - 4, 4) == bytes(4)
    with pytest.raises(XenfsError, match="no memory"):
        put(host, path, 1 << 60, b"x")


def test_memory_is_given_and_taken(host: Host) -> None:
    memory, domain = "domains/2/memory", host.world.domains[2]
    before, top = domain.tot_pages, domain.physmap.top
    host.write(f"{memory}/populate", f"{top + 1:#x} 3")
    host.write(f"{memory}/populate", f"{0x100000} 2 4")
    assert domain.tot_pages == before + 3 + 32
    host.write("domains/2/freeze", "1")
    put(host, f"{memory}/physical", (0x100000 + 31) * PAGE, b"here")
    host.write(f"{memory}/unpopulate", f"{0x100000} 1 4")
    assert part(host, f"{memory}/physical", (0x100000 + 31) * PAGE, 4) == b"here"
    assert domain.tot_pages == before + 3 + 16
    assert host.refused(f"{memory}/unpopulate", f"{0x100000} 1 4") == errno.ENXIO


def test_memory_is_given_once(host: Host) -> None:
    domain = host.world.domains[2]
    before = domain.tot_pages
    assert host.refused("domains/2/memory/populate", f"{domain.physmap.top} 2") == errno.EEXIST
    assert f"frame {domain.physmap.top:#x} has memory already" in host.read("xenfs/error_log")
    assert domain.tot_pages == before


def test_memory_that_does_not_fit(host: Host) -> None:
    domain, path = host.world.domains[2], "domains/2/memory/populate"
    before, room = domain.tot_pages, domain.max_pages - domain.tot_pages
    assert host.refused(path, f"{0x100000} {room + 1}") == errno.ENOMEM
    assert f"memory/max leaves {room * 4} kB, and the host has" in host.read("xenfs/error_log")
    host.write("domains/2/memory/max", "max")
    assert host.refused(path, f"{0x100000} {host.world.free_pages + 1}") == errno.ENOMEM
    assert domain.tot_pages == before


def test_half_of_it_is_given_back(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another domain may take what there was between the look and the call."""
    domain = host.world.domains[2]
    host.write("domains/2/memory/max", "max")
    before, room = domain.tot_pages, 1500
    physinfo = type(host.world).free_pages
    monkeypatch.setattr(type(host.world), "free_pages", property(lambda world: before + room - domain.tot_pages))
    monkeypatch.setattr(
        "xenfs.nodes.domains.physical.sysctl.physinfo", lambda xen: type("", (), {"free_pages": 1 << 30})
    )
    assert host.refused("domains/2/memory/populate", f"{0x100000} {room + 500}") == errno.ENOMEM
    assert domain.tot_pages == before
    assert not domain.physmap.has(0x100000)
    monkeypatch.setattr(type(host.world), "free_pages", physinfo)


def answered(host: Host, path: str, text: str) -> str:
    return host.put(host.at(path), text.encode()).decode()


def test_a_pv_domain_has_frames_of_the_machine(host: Host) -> None:
    """It is told where its memory is, which is written there; what is not its own is not."""
    domain = next(d for d in host.world.domains_from(1) if d.kind == "pv")
    memory, before, top = f"domains/{domain.domid}/memory", domain.tot_pages, domain.physmap.top + 8 & ~7
    host.write(f"{memory}/max", "max")
    lines = [line.split() for line in answered(host, f"{memory}/populate", f"{top} 2 3").splitlines()]
    assert [int(own, 0) for own, _ in lines] == [top, top + 8]
    assert domain.tot_pages == before + 16
    first = int(lines[0][1], 0)
    with pytest.raises(XenfsError, match="must be paused"):
        put(host, f"{memory}/machine", first * PAGE, b"here")
    host.write(f"domains/{domain.domid}/freeze", "1")
    put(host, f"{memory}/machine", (first + 1) * PAGE - 2, b"here")
    assert bytes(domain.physmap.page(top)[-2:] + domain.physmap.page(top + 1)[:2]) == b"here"
    assert part(host, f"{memory}/machine", (first + 1) * PAGE - 2, 4) == b"here"
    with pytest.raises(XenfsError, match="no memory that can be written") as refused:
        put(host, f"{memory}/machine", PAGE, b"x")
    assert refused.value.errno == errno.ENXIO
    assert part(host, f"{memory}/machine", PAGE, 3) == bytes(3)
    with pytest.raises(XenfsError, match="no memory that can be written"):
        put(host, f"{memory}/machine", (1 << 52) - 1, b"xy")
    assert part(host, f"{memory}/machine", 1 << 52, 3) == b""
    assert not host.has("domains/2/memory/machine"), "of an HVM domain the frames are its own"
    assert "machine" not in host.names(memory)


def test_who_is_no_pv_domain_is_told_nothing(host: Host) -> None:
    assert answered(host, "domains/2/memory/populate", f"{0x100000} 1") == ""


def test_memory_by_a_vcpus_page_tables(host: Host) -> None:
    """The upper half of the addresses lies behind the lower."""
    path = "domains/2/memory/virtual/0"
    kernel = (0xFFFF888000000000 + KERNEL) & (1 << 48) - 1
    assert part(host, path, kernel, 13) == b"Linux version"
    assert part(host, path, kernel + PAGE - 2, PAGE) == bytes(PAGE)
    assert part(host, path, 0, 16) == b"", "it ends where the page tables do"
    last = (0xFFFF888000000000 & (1 << 48) - 1) + (host.world.domains[2].physmap.top + 1) * PAGE
    assert part(host, path, last - 10, 100) == bytes(10)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1", errno.EINVAL), ("1 2 3 4", errno.EINVAL), ("1 0", errno.ERANGE), ("-1 1", errno.ERANGE),
        ("1 1 1", errno.EINVAL), ("0 1 19", errno.ERANGE), ("0 0x10000001", errno.ERANGE),
        ("0xffffffffff 2", errno.ERANGE), ("0  1", errno.EINVAL), ("0 0x10000 18", errno.ERANGE),
    ],
)  # fmt: skip
@pytest.mark.parametrize("file", ["populate", "unpopulate"])
def test_what_is_no_extent(host: Host, file: str, text: str, code: int) -> None:
    before = host.counts.copy()
    assert host.refused(f"domains/2/memory/{file}", text) == code
    assert not [name for name in host.asked(before) if name.startswith("memory_op")]


def test_nobody_comes_upon_it_who_goes_through_the_tree(host: Host) -> None:
    """A guest has gigabytes: grep -r, tar and find pass them by."""
    for domid in (1, 2, 3):
        assert not {"physical", "virtual"} & {*host.names(f"domains/{domid}/memory")}
        assert host.has(f"domains/{domid}/memory/physical")
        assert host.has(f"domains/{domid}/memory/virtual/0")
    assert "domains/<d>/memory/physical " in host.read("xenfs/nodes")
