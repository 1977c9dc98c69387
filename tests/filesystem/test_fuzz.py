"""Bytes that nobody would think of, through Operations and every parser; and those that were once found to do harm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fuzzing import CASES, SETTINGS, TARGETS, Writer, cases
from hypothesis import given, settings
from hypothesis import strategies as st
from nonsense import EVERYWHERE

# Pieces that values are made of, so that some of what comes out nearly makes sense.
PIECES = st.sampled_from(
    [b"0", b"1", b"7", b"64", b"-1", b"max", b"all", b"+", b"-", b",", b" ", b"=", b":", b"0x", b"ffff", b"\n", b"\0",
     b"\xff", b"default", b"on", b"off", b"0-3", b"L3:0=ff", b"performance", b"credit", b"%s", b"18446744073709551615"]
)  # fmt: skip
DATA = st.one_of(
    st.lists(PIECES, max_size=8).map(b"".join), st.binary(max_size=40), st.sampled_from(EVERYWHERE),
    st.integers(-(2**65), 2**65).map(lambda number: str(number).encode()),
)  # fmt: skip
OFFSETS = st.one_of(st.integers(0, 8192), st.integers(2**63 - 8192, 2**63 - 1))


@pytest.fixture(scope="module", params=SETTINGS)
def writer(request: pytest.FixtureRequest) -> Iterator[Writer]:
    made = Writer(request.param)
    yield made
    made.close()


@settings(max_examples=120)
@given(number=st.integers(0, 4095), data=DATA, offset=OFFSETS, reads=st.integers(0, 2))
def test_any_write_to_any_file(writer: Writer, number: int, data: bytes, offset: int, reads: int) -> None:
    """Told with an errno that means something, nothing left behind, and no line forged in error_log or record."""
    writer.write(number, data, offset, reads)


def test_every_file_is_written(writer: Writer) -> None:
    told = {path: writer.write(number, b"\xff\0nonsense\n") for number, path in enumerate(list(writer.paths))}
    assert len(told) > 30
    assert [path for path, code in told.items() if not code] == []


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "write"])
@settings(max_examples=60)
@given(
    data=st.one_of(
        st.binary(max_size=200), st.lists(PIECES | st.sampled_from([b"[", b"]", b'"', b"rule"])).map(b"".join)
    )
)
def test_any_bytes_for_whoever_reads_them(name: str, data: bytes) -> None:
    TARGETS[name](data)


@pytest.mark.parametrize(("name", "data"), cases())
def test_what_was_found_once(name: str, data: bytes) -> None:
    TARGETS[name](data)


def test_cases_are_of_targets_that_there_are() -> None:
    assert {name for name, _ in cases()} <= set(TARGETS)
    assert CASES.exists()
