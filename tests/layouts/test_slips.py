"""The comparison of layouts notices what it is there for: each slip below is made, and must be reported."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from cffi import CDefError
from measured import structs

import xenfs.abi
from xenfs.abi import Abi, NotDeclared
from xenfs.abi.layout import differences, layout
from xenfs.abi.releases import RELEASES, interfaces
from xenfs.abi.select import MARK, Target, holds

Slip = Callable[[str], str]
HEADERS = sorted({header for header in xenfs.abi._index().values()})
MARKS = [
    pytest.param(header, number, id=f"{header}:{number}")
    for header in HEADERS
    for number, line in enumerate(xenfs.abi._read(header).splitlines(), 1)
    if MARK in line
]


class Altered(Abi):
    """An Abi that reads one header with a slip in it."""

    def __init__(self, release: tuple[int, int], arch: str, header: str, slip: Slip) -> None:
        self._altered, self._slip = header, slip
        super().__init__(release, arch, *interfaces(release))

    def _text(self, header: str) -> str:
        text = super()._text(header)
        return self._slip(text) if header == self._altered else text

    def complaints(self) -> list[str]:
        """What is wrong with the structs of the altered header."""
        self._parse(self._altered)
        measured = structs(self.release, self.arch)
        header = {name.split()[1]: name for name, each in xenfs.abi._index().items() if each == self._altered}
        _, tags, unions = self.ffi.list_types()
        declared = header.keys() & {*tags, *unions}
        found = sorted(declared ^ (header.keys() & measured.keys()))
        for tag in declared & measured.keys():
            found += differences(tag, layout(self, header[tag]), measured[tag])
        return found


def swap(one: str, other: str) -> Slip:
    return lambda text: text.replace(one, "\0").replace(other, one).replace("\0", other)


def put(old: str, new: str) -> Slip:
    def change(text: str) -> str:
        assert old in text, f"{old!r} is not declared any more"
        return text.replace(old, new)

    return change


def unmark(number: int) -> Slip:
    def change(text: str) -> str:
        lines = text.splitlines()
        lines[number - 1] = lines[number - 1].partition(MARK)[0]
        return "\n".join(lines)

    return change


@pytest.mark.parametrize(
    ("release", "arch", "header", "slip"),
    [
        pytest.param((4, 22), "x86_64", "domain.h", swap("tot_pages", "max_pages"), id="members swapped"),
        pytest.param((4, 22), "x86_64", "domain.h", put("tot_pages", "total"), id="a misspelt member"),
        pytest.param((4, 16), "x86_64", "physinfo.h", put("sysctl >= 0x15", "sysctl >= 0x14"), id="too early"),
        pytest.param((4, 22), "arm64", "domain.h", put("domctl >= 0x18", "domctl > 0x18"), id="too late"),
        pytest.param((4, 15), "arm64", "guest.h", swap(">= 4.16", "< 4.16"), id="the wrong way round"),
        pytest.param((4, 17), "x86_64", "sysctl.h", put("uint32_t index", "uint64_t index"), id="too wide"),
        pytest.param((4, 17), "x86_64", "flask.h", put("uint8_t pending;", ""), id="a member missing"),
        pytest.param((4, 17), "x86_64", "hvm_cpu.h", put("type : 3", "type : 2"), id="a narrow bitfield"),
        pytest.param((4, 17), "arm64", "pmu.h", put("uint64_t val", "uint64_t val[2]"), id="an array"),
    ],
)
def test_a_slip_is_reported(release: tuple[int, int], arch: str, header: str, slip: Slip) -> None:
    assert Altered(release, arch, header, lambda text: text).complaints() == []
    assert Altered(release, arch, header, slip).complaints() != []


@pytest.mark.parametrize(("header", "number"), MARKS)
def test_every_mark_is_missed_when_dropped(header: str, number: int) -> None:
    line = xenfs.abi._read(header).splitlines()[number - 1]
    condition = line.partition(MARK)[2].partition(": ")[0].strip()
    for release, arch in product((RELEASES[0], RELEASES[-1], *RELEASES[1:-1]), ("arm64", "x86_64")):
        without = Target(release, *interfaces(release), arch)
        if holds(condition, without):
            continue
        try:
            if Altered(release, arch, header, unmark(number)).complaints():
                return
        except (CDefError, NotDeclared):
            return
    pytest.fail("without this mark everything is as before")
