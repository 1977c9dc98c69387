"""Marks: which lines they keep, and what is said of a malformed one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import xenfs.abi
from xenfs.abi.releases import ARCHES, INTERFACES, RELEASES
from xenfs.abi.select import MARK, BadMark, Target, holds, select

XEN_417 = Target((4, 17), 0x15, 0x15, "x86_64")
targets = st.builds(
    lambda release, arch: Target(release, *INTERFACES[release], arch),
    st.sampled_from(RELEASES),
    st.sampled_from(ARCHES),
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("xen >= 4.17", True),
        ("xen < 4.17", False),
        ("xen < 4.2", False),  # versions, not decimal fractions
        ("domctl == 0x15", True),
        ("domctl >= 22", False),
        ("sysctl != 0x15", False),
        ("arch == x86_64", True),
        ("arch != x86_64", False),
        ("xen >= 4.16 and xen < 4.18", True),
        ("xen >= 4.16 and arch == arm64", False),
        ("xen>=4.16 and  xen<=4.17", True),
    ],
)
def test_conditions(condition: str, expected: bool) -> None:
    assert holds(condition, XEN_417) is expected


@pytest.mark.parametrize(
    "mark",
    [
        "",
        "xen",
        "xen >= ",
        "xen => 4.17",
        "release >= 4.17",
        "xen >= 4",
        "xen >= 0x15",
        "domctl >= 4.17",
        "arch == riscv64",
        "arch >= x86_64",
        "xen >= 4.14 or xen < 4.12",
        "xen >= 4.14 and",
        "not xen >= 4.14",
    ],
)
def test_a_malformed_mark_names_file_and_line(mark: str) -> None:
    with pytest.raises(BadMark, match=r"^some\.h:3: "):
        select(f"struct a {{\n    int x;\n    int y;  {MARK} {mark}\n}};", XEN_417, "some.h")


def test_a_malformed_mark_is_reported_even_in_lines_that_are_left_out() -> None:
    with pytest.raises(BadMark, match=r"some\.h:2"):
        select(f"struct a {{  {MARK} xen < 4.2\n    int x;  {MARK} nonsense\n}};", XEN_417, "some.h")


def test_a_mark_needs_a_declaration_and_a_brace_an_end() -> None:
    with pytest.raises(BadMark, match=r"some\.h:1: .*no declaration"):
        select(f"{MARK} xen >= 4.14", XEN_417, "some.h")
    with pytest.raises(BadMark, match=r"some\.h:2: .*never closed"):
        select(f"int x;\nstruct a {{  {MARK} xen < 4.2\n    int y;\n", XEN_417, "some.h")


def test_lines_are_kept_or_dropped() -> None:
    text = f"""\
struct a {{
    int old;  {MARK} xen < 4.17: renamed
    int new;  /* {{ in a comment */  {MARK} xen >= 4.17
    union {{  {MARK} domctl < 0x15
        struct {{ int deep; }} x;
    }} u;
    int last;
}};"""
    assert select(text, XEN_417).split() == ["struct", "a", "{", "int", "new;", "int", "last;", "};"]


@given(targets, st.lists(st.sampled_from(["xen >= 4.18", "domctl < 0x17", "sysctl == 0x15", "arch == arm64"])))
def test_marked_lines_stand_exactly_where_their_conditions_hold(target: Target, conditions: list[str]) -> None:
    text = "\n".join(f"int x{number};  {MARK} {condition}: why" for number, condition in enumerate(conditions))
    expected = [f"int x{number};" for number, condition in enumerate(conditions) if holds(condition, target)]
    assert select(text, target).splitlines() == expected


@given(targets)
def test_a_condition_and_its_opposite_never_both_hold(target: Target) -> None:
    for name, value in (("xen", "4.18"), ("domctl", "0x16"), ("sysctl", "0x15")):
        assert holds(f"{name} >= {value}", target) is not holds(f"{name} < {value}", target)
        assert holds(f"{name} == {value}", target) is not holds(f"{name} != {value}", target)


def test_every_mark_says_why() -> None:
    """The reason stands in the mark or in the comment above. An architecture needs none."""
    unsaid = []
    for header in sorted({*xenfs.abi._index().values()}):
        lines = xenfs.abi._read(header).splitlines()
        for number, line in enumerate(lines):
            condition, _, why = line.partition(MARK)[2].partition(": ")
            said = why or lines[number - 1].rstrip().endswith("*/") or condition.strip().startswith("arch == ")
            if MARK in line and not (said and (why or " and " not in condition or lines[number - 1].endswith("*/"))):
                unsaid.append(f"{header}:{number + 1}")
    assert unsaid == []
