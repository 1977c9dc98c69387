"""Abi: views, arrays and copies over a buffer, and what is said of types that are not there."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenfs.abi import NotDeclared, TooShort, load
from xenfs.abi.releases import ARCHES, DOMCTLS, RELEASES, SYSCTLS, interfaces, releases_speaking

XEN = load((4, 17))


class Memory:
    """A buffer with an address, as the pool's are."""

    def __init__(self, nbytes: int) -> None:
        self._bytes = ctypes.create_string_buffer(nbytes)
        self.nbytes = nbytes
        self.address = ctypes.addressof(self._bytes)

    def cast(self, ffi: Any, ctype: Any) -> Any:
        return ffi.cast(ctype, self.address)

    def __bytes__(self) -> bytes:
        return self._bytes.raw


def test_a_view_is_the_buffer_itself() -> None:
    buffer = Memory(136)
    view = XEN.view("struct xen_sysctl", buffer)
    view.cmd, view.interface_version = 3, 0x15
    view.u.physinfo.nr_cpus = 8
    assert bytes(buffer)[:8] == bytes.fromhex("0300000015000000")
    assert bytes(buffer)[8 + 8] == 8


@given(st.integers(0, 2**64 - 1), st.integers(0, 7))
def test_what_is_written_through_an_array_is_read_back(pages: int, index: int) -> None:
    name = "struct xen_domctl_getdomaininfo"
    buffer = Memory(8 * XEN.sizeof(name))
    XEN.array(name, 8, buffer)[index].tot_pages = pages
    again = XEN.array(name, 8, buffer)
    assert [each.tot_pages for each in again] == [pages if each == index else 0 for each in range(8)]
    offset = index * XEN.sizeof(name) + XEN.offsetof(name, "tot_pages")
    assert int.from_bytes(bytes(buffer)[offset : offset + 8], "little") == pages


def test_a_struct_does_not_fit_into_a_short_buffer() -> None:
    with pytest.raises(TooShort, match="136 bytes, the buffer 135"):
        XEN.view("struct xen_sysctl", Memory(135))
    with pytest.raises(TooShort, match="2 of struct xen_sysctl_meminfo have 32 bytes"):
        XEN.array("struct xen_sysctl_meminfo", 2, Memory(31))
    with pytest.raises(IndexError):
        XEN.array("struct xen_sysctl_meminfo", 2, Memory(64))[2]


def test_a_copy_outlives_the_buffer() -> None:
    buffer = Memory(3 * XEN.sizeof("struct xen_sysctl_meminfo"))
    view = XEN.view("struct xen_sysctl_meminfo", buffer)
    array = XEN.array("struct xen_sysctl_meminfo", 3, buffer)
    view.memsize = array[2].memfree = 7
    copies = XEN.copy(view), XEN.copy(view[0]), XEN.copy(array)
    ctypes.memset(buffer.address, 0xFF, buffer.nbytes)
    assert [copies[0].memsize, copies[1].memsize, copies[2][0].memsize, copies[2][2].memfree] == [7] * 4
    assert len(copies[2]) == 3


@pytest.mark.parametrize("value", [0x1000, 1, b"text", "text", 1.0])
def test_a_guest_handle_takes_no_number(value: object) -> None:
    view = XEN.view("struct xen_sysctl", Memory(136))
    with pytest.raises(TypeError):
        view.u.readconsole.buffer = value


def test_unknown_types_are_named() -> None:
    for name in ("struct xen_no_such_thing", "xen_sysctl", "struct", "", "struct xen_varbuf"):
        with pytest.raises(NotDeclared, match=r"is not declared for <Abi 4\.17 x86_64"):
            XEN.sizeof(name)


def test_has_follows_release_and_architecture() -> None:
    assert not XEN.has("struct xen_varbuf")
    assert load((4, 20)).has("struct xen_varbuf")
    assert XEN.has("struct xen_sysctl", "u.physinfo.arch_capabilities")
    assert not load((4, 16)).has("struct xen_sysctl", "u.physinfo.arch_capabilities")
    assert not XEN.has("struct xen_sysctl", "u.physinfo.nr_cpus.nonsense")
    assert not XEN.has("struct vcpu_guest_core_regs")
    assert load((4, 17), "arm64").has("struct vcpu_guest_core_regs", "pc64")


def test_members_are_in_order() -> None:
    assert XEN.members("struct xen_sysctl_cputopo") == ["core", "socket", "node"]


def test_the_outer_structs_never_change() -> None:
    for arch in ARCHES:
        for release in RELEASES:
            abi = load(release, arch)
            names = ("struct xen_domctl", "struct xen_sysctl", "struct xen_platform_op")
            assert [abi.sizeof(name) for name in names] == [144, 136, 136]


def test_numbers_given_win_over_the_releases_own() -> None:
    abi = load((4, 17), sysctl=0x14)
    assert (abi.domctl, abi.sysctl) == (0x15, 0x14)
    assert abi.sizeof("struct xen_sysctl_physinfo") == 104
    assert repr(abi) == "<Abi 4.17 x86_64 domctl 0x15 sysctl 0x14>"
    with pytest.raises(ValueError, match="no such architecture: 'riscv64'"):
        load(arch="riscv64")


def test_an_unknown_release_is_taken_for_the_nearest_older_one() -> None:
    assert interfaces((4, 23)) == interfaces((4, 22)) == (0x18, 0x16)
    assert interfaces((4, 13)) == interfaces((4, 14)) == (0x12, 0x13)
    assert interfaces((4, 17, 3)) == (0x15, 0x15)
    assert load((4, 23)).sizeof("struct xen_domctl_createdomain") == 68


def test_a_pair_of_numbers_may_mean_two_releases() -> None:
    assert releases_speaking(0x17, 0x15) == [(4, 19), (4, 20)]
    assert releases_speaking(domctl=0x17) == [(4, 19), (4, 20), (4, 21)]
    assert releases_speaking(sysctl=0x16) == [(4, 21), (4, 22)]
    assert releases_speaking(0x18, 0x13) == []
    assert releases_speaking() == list(RELEASES)
    assert (tuple(range(0x12, 0x19)), (0x13, 0x14, 0x15, 0x16)) == (DOMCTLS, SYSCTLS)


def test_threads_may_ask_for_the_same_type_at_once() -> None:
    for _ in range(5):
        abi = load((4, 22))
        with ThreadPoolExecutor(8) as pool:
            sizes = list(pool.map(abi.sizeof, ["struct xen_domctl", "struct xen_sysctl"] * 8))
        assert sizes == [144, 136] * 8
