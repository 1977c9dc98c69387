"""xen_version, on every release and architecture."""

from __future__ import annotations

from errno import EFAULT, EINVAL, ENOBUFS, ENOSYS

import pytest
from caller import Caller

LONG = ("extraversion2", "capabilities2", "changeset2", "commandline2")


def ask(xen: Caller, name: str, nbytes: int, content: bytes = b"") -> tuple[int, memoryview]:
    address, memory = xen.arena.take(content.ljust(nbytes, b"\xaa"))
    return xen.call("xen_version", xen.constant(f"XENVER_{name}"), address), memory


def text(memory: memoryview) -> str:
    return bytes(memory).split(b"\0")[0].decode()


def test_version_is_in_the_result(xen: Caller) -> None:
    result = xen.call("xen_version", xen.constant("XENVER_version"), 0)
    assert (result >> 16, result & 0xFFFF) == xen.release


def test_a_release_to_come_says_so_in_the_newest_layouts() -> None:
    xen = Caller("xen=4.23")
    assert xen.call("xen_version", 0, 0) == 4 << 16 | 23
    assert xen.release == (4, 22)


def test_fixed_texts_fill_their_buffers(xen: Caller) -> None:
    assert ask(xen, "extraversion", 16)[0] == 0
    assert text(ask(xen, "extraversion", 16)[1]).startswith(".")
    assert ("aarch64" in text(ask(xen, "capabilities", 1024)[1])) == (not xen.x86)
    assert "dom0_mem" in text(ask(xen, "commandline", 1024)[1])
    assert "git:" in text(ask(xen, "changeset", 64)[1])
    assert ask(xen, "changeset", 64)[1][63] == 0


def test_compile_info(xen: Caller) -> None:
    result, memory = ask(xen, "compile_info", xen.layouts.size("xen_compile_info"))
    compiler, date = xen.read(memory, "xen_compile_info", "compiler", "compile_date")
    assert result == 0
    assert b"gcc" in compiler
    assert date.rstrip(b"\0").endswith(b"2026")


def test_pagesize_takes_no_pointer(xen: Caller) -> None:
    number = xen.constant("XENVER_pagesize")
    assert xen.call("xen_version", number, 0) == 4096
    assert xen.call("xen_version", number, 0x1000) == -EINVAL


def test_guest_handle_is_that_of_the_control_domain(xen: Caller) -> None:
    result, memory = ask(xen, "guest_handle", 16)
    assert (result, bytes(memory)) == (0, xen.world.domains[0].handle)


def test_features(xen: Caller) -> None:
    address, memory = xen.struct("xen_feature_info", submap_idx=0)
    assert xen.call("xen_version", xen.constant("XENVER_get_features"), address) == 0
    bits = xen.read(memory, "xen_feature_info", "submap")
    assert bits & 1 << xen.constant("XENFEAT_dom0")
    direct, indirect = (bits >> number & 1 for number in (17, 16))
    assert direct + indirect == (1 if xen.release >= (4, 16) else 0)
    xen.layouts.put(memory, "xen_feature_info", submap_idx=1)
    assert xen.call("xen_version", xen.constant("XENVER_get_features"), address) == -EINVAL


@pytest.mark.parametrize(("settings", "zero"), [("xen=4.17", False), ("xen=4.18", False), ("xen=4.18,dom0=pvh", True)])
def test_where_xen_lies_is_kept_from_those_that_are_not_pv(settings: str, zero: bool) -> None:
    result, memory = ask(Caller(settings), "platform_parameters", 8)
    assert result == 0
    assert (bytes(memory) == bytes(8)) == zero


def test_build_id_by_length_and_by_content(xen: Caller) -> None:
    number = xen.constant("XENVER_build_id")
    assert xen.call("xen_version", number, 0) == 20
    result, memory = ask(xen, "build_id", 24, (20).to_bytes(4, "little"))
    assert result == 20
    assert bytes(memory[4:]) != b"\xaa" * 20
    assert ask(xen, "build_id", 24, (19).to_bytes(4, "little"))[0] == -ENOBUFS
    nothing = ask(xen, "build_id", 24, bytes(4))[0]
    assert nothing == (-ENOBUFS if xen.release >= (4, 20) else -EINVAL)


@pytest.mark.parametrize("name", LONG)
def test_the_long_strings_of_4_20(xen: Caller, name: str) -> None:
    if xen.release < (4, 20):
        assert xen.call("xen_version", 11 + LONG.index(name), 0) == -ENOSYS
        return
    nbytes = xen.call("xen_version", xen.constant(f"XENVER_{name}"), 0)
    result, memory = ask(xen, name, nbytes + 8, (nbytes + 4).to_bytes(4, "little"))
    assert result == nbytes
    assert bytes(memory[4 + nbytes :]) == b"\xaa" * 4  # no end mark, nothing written beyond
    old = text(ask(xen, name[:-1], 1024)[1])
    assert bytes(memory[4 : 4 + nbytes]).decode().startswith(old[:15])


def test_unknown_operations_and_bad_pointers(xen: Caller) -> None:
    assert xen.call("xen_version", 99, 0) == -ENOSYS
    address, _ = xen.arena.take(15)
    assert xen.call("xen_version", xen.constant("XENVER_extraversion"), address) == -EFAULT
