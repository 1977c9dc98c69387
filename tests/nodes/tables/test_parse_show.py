"""Text to values and back: each form of a file's content, at its edges and at random."""

from __future__ import annotations

import errno
import uuid
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenfs.errors import BadInput
from xenfs.nodes.tables import parse, show

NUMBERS = st.integers(-(2**65), 2**65)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_integer_keeps_its_bounds(a: int, b: int, number: int) -> None:
    low, high = sorted((a, b))
    reads = parse.integer(low, high)
    if low <= number <= high:
        assert reads(str(number)) == number
        if abs(number) < 2**64:
            assert reads(f"{'-' if number < 0 else ''}{abs(number):#x}") == number
    else:
        with pytest.raises(BadInput) as caught:
            reads(str(number))
        assert caught.value.errno == errno.ERANGE


@given(st.text(max_size=30))
def test_integer_reads_nothing_else(text: str) -> None:
    word = text.strip(" \t")
    try:
        number = parse.integer(-(2**64), 2**64)(text)
    except BadInput as problem:
        assert problem.errno in (errno.EINVAL, errno.ERANGE)  # noqa: PT017
        return
    assert word.isascii()
    assert number == int(word, 16 if "x" in word.lower() else 10)


@pytest.mark.parametrize(
    "text", ["1_000", "٣", "\uff11", " 1\n", "0x", "0x_1", "1.0", "+-1", "--1", "", "0o7", "\0", "1\r"]
)
def test_integer_is_no_friend_of_python_spellings(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse.integer()(text)
    assert caught.value.errno == errno.EINVAL


@given(st.sets(st.integers(0, 4095)))
def test_ranges_round_trip(numbers: set[int]) -> None:
    text = show.ranges(numbers)
    assert text.endswith("\n")
    if numbers:
        assert parse.number_list()(text.removesuffix("\n")).applied((), numbers, "CPU") == numbers


@given(st.sets(st.integers(0, 300)))
def test_ranges_are_shortest(numbers: set[int]) -> None:
    parts = [tuple(map(int, part.split("-"))) for part in show.ranges(numbers).strip().split(",") if part]
    assert all(len(part) == 1 or part[0] < part[1] for part in parts)
    assert all(one[-1] + 1 < other[0] for one, other in pairwise(parts))


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40), min_size=1), st.sets(st.integers(0, 40), min_size=1))
def test_changes_to_a_set(now: set[int], possible: set[int], asked: set[int]) -> None:
    body = show.ranges(asked).strip()
    for sign, wanted in (("", asked), ("+", now | asked), ("-", now - asked)):
        given_list = parse.number_list()(sign + body)
        if asked <= possible:
            assert given_list.applied(now, possible, "CPU") == wanted
        else:
            with pytest.raises(BadInput, match="no CPU") as caught:
                given_list.applied(now, possible, "CPU")
            assert caught.value.errno == errno.ERANGE
            assert caught.value.word in body.split(",")
    assert parse.number_list()("all").applied(now, possible, "CPU") == possible


@pytest.mark.parametrize("text", ["0-4000000000", "65536", "0-65536", "18446744073709551616", "9" * 20])
def test_long_lists_do_not_fill_memory(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse.number_list()(text)
    assert caught.value.errno == errno.ERANGE


@given(st.binary(min_size=16, max_size=16))
def test_handles_round_trip(data: bytes) -> None:
    text = show.handle(data)
    assert parse.handle(text) == parse.handle(text.upper()) == data
    assert uuid.UUID(text).bytes == data


@pytest.mark.parametrize(
    "text",
    ["", "x", "0" * 32, "{00000000-0000-0000-0000-000000000000}", "00000000-0000-0000-0000-00000000000", "urn:uuid:1"],
)
def test_what_is_no_handle(text: str) -> None:
    with pytest.raises(BadInput):
        parse.handle(text)


def test_switch_words_and_max() -> None:
    assert [parse.switch(word) for word in ("0", "1", " 1 ", "\t0")] == [False, True, True, False]
    assert parse.or_max(parse.integer(0, 9))("max") is parse.MAX
    with pytest.raises(BadInput, match='or "max"'):
        parse.or_max(parse.integer(0, 9))("10")
    assert parse.one_of(("a", "b"))(" a") == "a"
    with pytest.raises(BadInput, match="must be one of: a b"):
        parse.one_of(("a", "b"))("A")


def test_fields_count_their_words() -> None:
    reads = parse.fields(("node", parse.integer(-1, 9)), ("bits", parse.integer(0, 64)))
    assert reads(" -1   64 ") == (-1, 64)
    for text in ("", "1", "1 2 3"):
        with pytest.raises(BadInput, match="wants 2 words: node bits"):
            reads(text)


def test_shows() -> None:
    assert show.flat({"a": 1, "b": "x y"}) == "a 1\nb x y"
    assert show.nested([("cpu0", {"a": 1, "b": 2}), (1, {})]) == "cpu0 a=1 b=2\n1"
    assert show.kib_of_pages(2**32 - 1) == "17179869180"
    assert show.hexa(0x178BFBFF) == "0x178bfbff"
    assert show.c_string(b"abc\0def") == "abc"
    assert show.c_string(b"\xff\0") == "\ufffd"
    assert show.lines([]) == ""
    assert show.ranges([]) == "\n"
    assert [show.flag(x) for x in (0, 1, 2, "", None)] == ["0", "1", "1", "0", "0"]
    assert show.text(b"a\xffb").encode("utf-8", "surrogateescape") == b"a\xffb"


NODES = {0: [0, 1, 2, 3], 1: [4, 5, 6, 7]}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("all,^0-1", "2-7"), ("0-3,^1", "0,2-3"), ("node:0", "0-3"), ("nodes:0-1,^node:1", "0-3"),
        ("all,^node:1,^0", "1-3"), ("nodes:1,0", "0,4-7"), ("+node:1", "2,4-7"), 
        ("2, 4 ,^4", "2"),
    ],
)  # fmt: skip
def test_lists_as_xl_takes_them(text: str, wanted: str) -> None:
    """Words one after another, as in cpus= of a domain's configuration."""
    found = parse.number_list()(text).applied({2}, range(8), "CPU", nodes=lambda: NODES)
    assert show.ranges(found).strip() == wanted


@pytest.mark.parametrize(
    "text", ["node:all", "node:", "nodes", "^", "^2", "^0,0", "-^1", "^^1", "node:0-", "all-1", "+^", "nodes:1;2"]
)
def test_lists_that_are_none(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse.number_list()(text)
    assert caught.value.errno == errno.EINVAL


def test_a_node_that_is_not_there_and_nodes_of_nodes() -> None:
    with pytest.raises(BadInput) as caught:
        parse.number_list()("node:2").applied((), range(8), "CPU", nodes=lambda: NODES)
    assert (caught.value.errno, str(caught.value)) == (errno.ERANGE, "no node 2 here (0 to 1)")
    with pytest.raises(BadInput):
        parse.number_list("node")("node:1")
    assert parse.number_list("node")("all,^0").applied((), range(3), "node") == {1, 2}


@pytest.mark.parametrize(
    ("text", "kib"), [("512M", 512 << 10), ("1g", 1 << 20), ("8k", 8), ("2T", 2 << 30), ("4096", 4096), ("0", 0)]
)
def test_sizes_are_binary(text: str, kib: int) -> None:
    assert parse.size(4, 2**34, "number of kB", unit=1024)(text) == kib


@pytest.mark.parametrize(
    ("text", "code"),
    [("16385G", errno.ERANGE), ("99999999999999999999T", errno.ERANGE), ("1k", errno.EINVAL), ("5", errno.EINVAL),
     ("1M ", 0), ("1 M", errno.EINVAL), ("-1M", errno.EINVAL), ("1MB", errno.EINVAL), ("M", errno.EINVAL)],
)  # fmt: skip
def test_sizes_that_are_none(text: str, code: int) -> None:
    if not code:
        assert parse.size(4, 2**34, "number of kB", unit=1024)(text) == 1024
        return
    with pytest.raises(BadInput) as caught:
        parse.size(4, 2**34, "number of kB", unit=1024)(text)
    assert caught.value.errno == code
