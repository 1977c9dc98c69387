"""Every number has the value that the headers of the releases give it; the docstrings name the constants."""

from __future__ import annotations

import re
from enum import Enum

import pytest
from measured import constants, golden

from xenfs.abi import numbers
from xenfs.abi.numbers import HvmRecord, access_default
from xenfs.abi.releases import ARCHES, RELEASES

ENUMS = [
    each
    for each in vars(numbers).values()
    if isinstance(each, type) and issubclass(each, Enum) and each is not HvmRecord  # whose codes are no constants
]


def constant(kind: type[Enum], member: str) -> str:
    """Xen's name of a member: the docstring's pattern, filled in. A trailing _ avoids a keyword."""
    pattern = re.match(r"\w*\*", kind.__doc__ or "")
    assert pattern, f"{kind.__name__}'s docstring does not start with a pattern"
    return pattern.group().replace("*", member.rstrip("_"))


@pytest.mark.parametrize("kind", ENUMS, ids=lambda kind: kind.__name__)
def test_numbers_are_xens(kind: type[Enum]) -> None:
    for member, item in kind.__members__.items():
        name = constant(kind, member)
        values = {constants(r, a)[name] for a in ARCHES for r in RELEASES if name in constants(r, a)}
        assert values == {item.value}, name


@pytest.mark.parametrize("release", RELEASES)
def test_default_access_moved(release: tuple[int, int]) -> None:
    assert {access_default(release)} == {constants(release, arch)["XENMEM_access_default"] for arch in ARCHES}


def test_codes_of_saved_records_are_xens() -> None:
    records = golden("x86_64")["hvm_save_records"]
    codes = {name: ranges[-1]["code"] for name, ranges in records.items()}
    for name in ("CPU_XSAVE", "CPU_MSR"):  # of varying length, and therefore not among the records
        codes[name] = constants(RELEASES[-1], "x86_64")[f"{name}_CODE"]
    assert codes == {record.name: record.value for record in HvmRecord}
