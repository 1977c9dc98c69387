"""Pages of domains: which are written to, what they are, what may be done with them, and forks."""

from __future__ import annotations

import errno

import pytest
from worlds import Host

from xenfs.errors import XenfsError
from xenfs.nodes.domains.logdirty import ranges
from xenfs.simulator.answers.foreign import PRIVATE
from xenfs.simulator.answers.pages import LISTENER

PV, PVH, HVM = "domains/1", "domains/2", "domains/3"


def read(host: Host, path: str) -> bytes:
    place = host.at(path)
    return bytes(place.node.produce(host.xen, place.ids))  # type: ignore[attr-defined]


def ask(host: Host, path: str, question: str) -> str:
    place = host.at(path)
    return bytes(place.node.ask(host.xen, place.ids, question.encode())).decode()  # type: ignore[attr-defined]


def error(host: Host) -> str:
    return host.value("xenfs/error_log")


@pytest.mark.parametrize("release", ["4.14", "4.17", "4.22"])
def test_dirty_pages_of_a_running_guest(release: str) -> None:
    with Host(f"xen={release}") as host:
        log, frames = f"{PVH}/logdirty", int(Host.value(host, f"{PVH}/memory/max_gpfn")) + 1
        assert host.flat(f"{log}/stat") == {"fault_count": "0", "dirty_count": "0"}
        host.write(f"{log}/mode", "logdirty")
        assert host.refused(f"{log}/mode", "logdirty") == errno.EINVAL
        assert "on already" in error(host)
        assert not any(read(host, f"{log}/peek"))
        host.advance(0.2)
        bits = read(host, f"{log}/peek")
        marked = int.from_bytes(bits, "little")
        assert len(bits) == -(-frames // 8)
        assert marked.bit_count() == int(host.flat(f"{log}/stat")["dirty_count"]) > 100
        assert read(host, f"{log}/peek") == bits, "looking changes nothing"
        lines = host.value(f"{log}/ranges").splitlines()
        assert sum(_length(line) for line in lines) == marked.bit_count()
        assert host.put(host.at(f"{log}/clean"), b"1") == bits
        assert host.flat(f"{log}/stat") == {"fault_count": "0", "dirty_count": "0"}
        host.write(f"{log}/mode", "off")
        host.write(f"{log}/mode", "off")
        host.advance(1)
        assert not any(read(host, f"{log}/peek"))


def _length(line: str) -> int:
    first, _, last = line.partition("-")
    return int(last or first, 16) - int(first, 16) + 1


def test_ranges_of_a_bitmap() -> None:
    for bits, text in (
        (b"", []), (b"\0\0", []), (b"\xff\xff", ["0x0-0xf"]), (b"\x01\x80", ["0x0", "0xf"]),
        (b"\x80\xff\xff\x01\0", ["0x7-0x18"]), (b"\x05\0\xf0", ["0x0", "0x2", "0x14-0x17"]),
    ):  # fmt: skip
        assert list(ranges(bits)) == text


def test_who_has_dirty_pages(host: Host) -> None:
    assert not host.has("domains/0/logdirty"), "Xen pauses it meanwhile"
    assert not host.has("domains/15/logdirty"), "a dying domain"
    assert host.has(f"{PV}/logdirty/peek")
    with Host("shadow=off") as without:
        for each in ("logdirty", "memory/shadow_mb"):
            assert not without.has(f"{PV}/{each}"), (
                "Xen keeps no page tables of PV domains, in no build of Debian's 4.20"
            )
            assert without.has(f"{PVH}/{each}")
    with Host("arch=arm64") as arm:
        assert not arm.has(f"{PV}/logdirty")
        assert not arm.has(f"{PV}/memory/pfn_types")


def test_a_bitmap_has_its_bounds(host: Host) -> None:
    host.world.domains[2].physmap.add([1 << 28])
    with pytest.raises(XenfsError) as caught:
        read(host, f"{PVH}/logdirty/peek")
    assert caught.value.errno == errno.EFBIG


def test_what_frames_are(host: Host) -> None:
    top = int(host.value(f"{PV}/memory/max_gpfn"))
    lines = ask(host, f"{PV}/memory/pfn_types", f"{top - 5}-{top + 1}").splitlines()
    assert lines == [
        f"{top + more:#x} {kind}"
        for more, kind in enumerate(("notab", "l1tab", "l1tab", "l2tab", "l3tab", "l4tab,pinned", "xtab"), -5)
    ]
    host.world.domains[1].physmap.drop(0x11)
    assert ask(host, f"{PV}/memory/pfn_types", "0x10-0x12") == "0x10 notab\n0x11 xtab\n0x12 notab\n"
    assert ask(host, f"{PV}/memory/pfn_types", str(2**39)) == f"{2**39:#x} xtab\n"
    assert ask(host, f"{PVH}/memory/pfn_types", "0x10") == "0x10 notab\n"
    host.world.domains[1].kept.pop(PRIVATE)
    host.world.domains[1].physmap.built = 0
    with pytest.raises(XenfsError, match="has not said where its memory is"):
        ask(host, f"{PV}/memory/pfn_types", "0")
    assert ask(host, f"{PVH}/memory/type", "1-2") == "0x1 ram_rw\n0x2 ram_rw\n"
    assert ask(host, f"{PVH}/memory/type", "0xffffffff") == "0xffffffff mmio_dm\n"
    assert len(ask(host, f"{PVH}/memory/type", "0-1023").splitlines()) == 1024
    assert not host.has(f"{PV}/memory/type")


@pytest.mark.parametrize("settings", ["xen=4.14,processor=intel", "xen=4.22,processor=intel", "xen=4.20,arch=arm64"])
def test_accesses(settings: str) -> None:
    with Host(settings) as host:
        access, default = f"{PVH}/memory/access", f"{PVH}/memory/access_default"
        for path in (access, default):
            with pytest.raises(XenfsError, match="nobody listens") as caught:
                ask(host, path, "1 1" if path == access else "?")
            assert caught.value.errno == errno.ENODEV
        host.world.domains[2].kept[LISTENER] = True
        assert ask(host, default, "?") == "rwx\n"
        assert ask(host, default, "rw") == "rw\n"
        assert ask(host, default, "?") == "rw\n"
        assert ask(host, access, "0x10 4 rx") == "0x10 4 rx\n"
        assert ask(host, access, "0x12 1\n0x14 1") == "0x12 rx\n0x14 rw\n"
        assert ask(host, access, "0x20 2 n\n0x30 1 default") == "0x20 2 n\n0x30 1 default\n"
        assert ask(host, access, "0x20 2\n0x30 1") == "0x20 n\n0x21 n\n0x30 rw\n"
        assert ask(host, access, "0 100000 rwx"), "a range is one operation, however long"
        if "4.20" not in settings and "4.22" not in settings:
            with pytest.raises(XenfsError, match="this release"):
                ask(host, access, "1 1 r_pw")
        with pytest.raises(XenfsError, match="frames that there are"):
            ask(host, access, "0xffffffffff 1")


def test_where_there_are_no_accesses(host: Host) -> None:
    with pytest.raises(XenfsError, match="Intel's CPUs") as caught:  # the CPUs are AMD's
        ask(host, f"{PVH}/memory/access", "1 1")
    assert caught.value.errno == errno.EINVAL
    assert not host.has(f"{PV}/memory/access")


def test_shadow_memory(host: Host) -> None:
    path = f"{HVM}/memory/shadow_mb"
    host.write(path, "48")
    assert host.value(path) == "48"
    assert host.value(f"{PV}/memory/shadow_mb") == "0"
    assert not host.has("domains/0/memory/shadow_mb")


def test_audits_and_forks() -> None:
    with Host("xen=4.17,profile=full") as host:
        assert host.flat(f"{PVH}/memory/p2m_audit") == {"orphans": "0", "m2p_bad": "0", "p2m_bad": "0"}
        host.write(f"{PVH}/memory/sharing_enabled", "1")
        host.write(f"{PVH}/memory/sharing_enabled", "0")
        other = next(each for each in host.world.domains_from(3) if each.hvm and not each.dying and each.hap)
        child, parent = host.world.domains[2], other
        parent.max_vcpus = child.max_vcpus
        assert host.refused(f"{PVH}/fork_reset", "state") == errno.EINVAL
        assert "no fork" in error(host)
        assert host.refused(f"{PVH}/fork_from", "2") == errno.EINVAL
        assert host.refused(f"{PVH}/fork_from", str(parent.domid)) == errno.EBUSY
        assert "freeze" in error(host)
        host.write(f"{PVH}/freeze", "1")
        parent.max_vcpus += 1
        assert host.refused(f"{PVH}/fork_from", str(parent.domid)) == errno.EINVAL
        assert "number of vCPUs" in error(host)
        parent.max_vcpus -= 1
        host.write(f"{PVH}/fork_from", f"{parent.domid} iommu block_interrupts")
        assert child.kept["fork_parent"] == parent.domid
        host.write(f"{PVH}/fork_reset", "memory")
        host.write(f"{PVH}/fork_reset", "state memory")
        assert child.kept["fork_resets"] == [8, 12]
    with Host("xen=4.16,processor=intel") as host:
        assert not host.has(f"{PVH}/memory/p2m_audit")
        assert host.refused(f"{PVH}/fork_reset", "memory") == errno.EINVAL
        assert "both" in error(host)
    with Host("xen=4.17") as host:
        assert host.refused(f"{PVH}/memory/sharing_enabled", "1") == errno.EOPNOTSUPP
        assert "Intel" in error(host)
    with Host("xen=4.17,sharing=off") as host:
        assert not host.has(f"{PVH}/fork_from")


def make(host: Host, path: str, name: str) -> None:
    place = host.at(path)
    place.node.make(host.xen, *place.ids, name)  # type: ignore[attr-defined]
    host.xen.recent.forget()


def remove(host: Host, path: str) -> None:
    place = host.at(path)
    place.node.remove(host.xen, *place.ids)()  # type: ignore[attr-defined]
    host.xen.recent.forget()


@pytest.mark.parametrize("release", ["4.14", "4.20", "4.22"])
def test_views_of_memory(release: str) -> None:
    with Host(f"xen={release},processor=intel") as host:
        views, active = f"{PVH}/hvm/altp2m/views", f"{PVH}/hvm/altp2m/active"
        assert host.value(f"{PVH}/hvm/altp2m/enabled") == "0"
        assert not host.has(views)
        assert not host.has(f"{PVH}/vcpus/0/altp2m_view")
        host.write(f"{PVH}/hvm/altp2m/enabled", "1")
        assert host.names(views) == ["0"]
        for odd in ("0", "2", "x"):
            with pytest.raises(XenfsError, match="the next view is 1"):
                make(host, views, odd)
        make(host, views, "1")
        make(host, views, "2")
        assert host.names(views) == ["0", "1", "2"]
        host.write(active, "2")
        assert host.value(active) == host.value(f"{PVH}/vcpus/1/altp2m_view") == "2"
        with pytest.raises(XenfsError) as caught:
            remove(host, f"{views}/2")
        assert caught.value.errno == errno.EBUSY
        access = f"{views}/1/access"
        assert ask(host, access, "0x10 1 rx") == "0x10 1 rx\n"
        assert ask(host, access, "0x20 2 n\n0x30 1 r") == "0x20 2 n\n0x30 1 r\n"
        assert ask(host, access, "0x10 1\n0x20 2\n0x31 1") == "0x10 rx\n0x20 n\n0x21 n\n0x31 rwx\n"
        assert ask(host, f"{views}/2/access", "0x10 1") == "0x10 rwx\n", "each view has rights of its own"
        with pytest.raises(XenfsError, match="at once"):
            ask(host, access, "0 4294967295 r")
        host.write(f"{views}/1/visible", "0")
        assert host.refused(active, "1") == errno.EINVAL
        assert "not visible" in error(host)
        remove(host, f"{views}/1")
        assert host.names(views) == ["0", "2"]
        make(host, views, "1")
        host.write(f"{PVH}/hvm/altp2m/enabled", "0")
        assert not host.has(views)


def test_who_has_no_views_of_memory(host: Host) -> None:
    assert not host.has(f"{PVH}/hvm/altp2m"), "the CPUs are AMD's"
    assert ("hvm_op altp2m get_domain_state", "EOPNOTSUPP") in host.xen.calls.missing()
    with Host("processor=intel") as intel:
        assert not intel.has(f"{HVM}/hvm/altp2m"), "made without"
