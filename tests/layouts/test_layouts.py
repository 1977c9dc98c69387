"""Every declared struct has, in every release and on both architectures, the layout that was measured."""

from __future__ import annotations

import pytest
from measured import golden, structs

from xenfs.abi import Abi, load
from xenfs.abi.layout import differences, layout, version
from xenfs.abi.releases import ARCHES, INTERFACES, RELEASES, interfaces

COMBINATIONS = [
    pytest.param(release, arch, id=f"{release[0]}.{release[1]}-{arch}") for arch in ARCHES for release in RELEASES
]


def compare(abi: Abi, release: tuple[int, int], arch: str) -> list[str]:
    """All differences between declarations and measurement, one line each."""
    measured = structs(release, arch)
    declared = {name.split()[1]: name for name in abi.declared()}
    found = [f"{tag}: declared, but Xen does not have it" for tag in declared.keys() - measured.keys()]
    found += [f"{tag}: in Xen, but not declared" for tag in measured.keys() - declared.keys()]
    for tag in sorted(declared.keys() & measured.keys()):
        found += differences(tag, layout(abi, declared[tag]), measured[tag])
    return found


@pytest.mark.parametrize(("release", "arch"), COMBINATIONS)
def test_declarations_equal_the_measured_layouts(release: tuple[int, int], arch: str) -> None:
    assert compare(load(release, arch), release, arch) == []


@pytest.mark.parametrize("arch", ARCHES)
def test_interface_numbers_are_the_measured_ones(arch: str) -> None:
    measured = golden(arch)["interface_versions"]
    assert {version(each): (v["domctl"], v["sysctl"]) for each, v in measured.items()} == INTERFACES


def test_all_measured_releases_are_known() -> None:
    assert [version(each) for each in golden("x86_64")["releases"]] == list(RELEASES)
    assert interfaces((4, 18)) == (0x16, 0x15)
