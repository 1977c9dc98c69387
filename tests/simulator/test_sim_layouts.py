"""The layouts that the simulator answers in."""

from __future__ import annotations

import pytest

from xenfs.simulator.layouts import Layouts


@pytest.mark.parametrize(
    ("release", "arch", "size"),
    [
        ("4.14", "x86_64", 104),
        ("4.15", "x86_64", 104),
        ("4.16", "x86_64", 112),
        ("4.15", "arm64", 112),
        ("4.22", "arm64", 120),
    ],
)
def test_the_domain_list_has_its_release_s_stride(release: str, arch: str, size: int) -> None:
    assert Layouts(release, arch).size("xen_domctl_getdomaininfo") == size


def test_members_read_back_as_written_and_nothing_else_changes() -> None:
    layouts = Layouts("4.17")
    memory = memoryview(bytearray(b"\xff" * layouts.size("xen_sysctl_physinfo")))
    layouts.put(memory, "xen_sysctl_physinfo", nr_cpus=8, free_pages=1 << 40)
    assert layouts.get(memory, "xen_sysctl_physinfo", "nr_cpus", "free_pages") == (8, 1 << 40)
    assert layouts.get(memory, "xen_sysctl_physinfo", "threads_per_core", "hw_cap") == (0xFFFFFFFF, b"\xff" * 32)


def test_whole_structs_are_zero_where_no_member_was_named() -> None:
    packer = Layouts("4.17").array("xen_sysctl_cputopo", "socket")
    assert packer.pack(7) == bytes(4) + b"\7\0\0\0" + bytes(4)


def test_a_release_lacks_the_constants_that_came_later() -> None:
    assert not Layouts("4.16").defines("XEN_DOMCTL_get_paging_mempool_size")
    assert Layouts("4.17").constant("XEN_DOMCTL_get_paging_mempool_size") == 85
    with pytest.raises(KeyError):
        Layouts("4.20").constant("XEN_DOMCTL_get_domain_state")
