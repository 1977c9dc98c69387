"""The text of questions and answers, by rule: what is printed is read again as the same, and nonsense is pointed at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenfs.abi.operations import Way
from xenfs.errors import BadInput
from xenfs.nodes.raw.leaves import Kind, Leaf
from xenfs.nodes.raw.words import Memory, Word, packed, shown, split, value

SIZES = st.sampled_from([1, 2, 4, 8])


@st.composite
def members(draw: st.DrawFn) -> tuple[Leaf, int | list[int] | bytes]:
    """A member of some kind, and a value that fits."""
    kind = draw(st.sampled_from([Kind.INT, Kind.INTS, Kind.BYTES, Kind.BITS]))
    size, signed, offset = draw(SIZES), draw(st.booleans()), draw(st.integers(0, 9))
    leaf = Leaf("m", kind, Way.BOTH, offset, size, signed=signed)
    if kind is Kind.BYTES:
        found = draw(st.binary(min_size=1, max_size=20))
        return leaf._replace(size=1, length=len(found), text=draw(st.booleans())), found
    if kind is Kind.BITS:
        width = draw(st.integers(1, 8 * size))
        leaf = leaf._replace(width=width, shift=draw(st.integers(0, 8 * size - width)), signed=False)
    number = st.integers(*leaf.bounds)
    if kind is Kind.INTS:
        numbers = draw(st.lists(number, min_size=1, max_size=5))
        return leaf._replace(length=len(numbers)), numbers
    return leaf, draw(number)


def word(text: str) -> Word:
    (found,) = split(text)
    return found


@given(members(), st.binary(min_size=64, max_size=64))
def test_what_an_answer_shows_a_question_can_say(member: tuple[Leaf, int | list[int] | bytes], around: bytes) -> None:
    leaf, given_value = member
    image = bytearray(around)
    packed(leaf, given_value, image)
    text = shown(leaf, bytes(image))
    again = bytearray(around)
    read = value(leaf, word(f"m={text}"))
    assert not isinstance(read, Memory)
    if isinstance(read, bytes):
        read = read.ljust(leaf.length, b"\0")
    packed(leaf, read, again)
    assert again == image
    untouched = [at for at in range(64) if not leaf.offset <= at < leaf.offset + leaf.size * leaf.length]
    assert all(image[at] == around[at] for at in untouched), "nothing else is written to"


@given(members(), st.integers())
def test_a_number_that_does_not_fit_is_pointed_at(member: tuple[Leaf, object], number: int) -> None:
    leaf = member[0]
    low, high = leaf.bounds
    if leaf.kind not in (Kind.INT, Kind.BITS) or low <= number <= high:
        return
    with pytest.raises(BadInput) as caught:
        value(leaf, word(f"m={number}"))
    assert caught.value.at == 2


@given(st.text(max_size=60))
def test_any_text_is_words_or_pointed_at(text: str) -> None:
    found: list[Word] = []
    try:
        found += split(text)
    except BadInput as problem:
        at = problem.at
        assert at is not None and 0 <= at < len(text)  # noqa: PT018
    assert len({each.name for each in found}) == len(found)
    for each in found:
        assert text[each.at :].startswith(f"{each.name}=")
        assert text[each.value_at :].startswith(each.value)


HANDLE = Leaf("h", Kind.HANDLE, Way.BOTH, 0, 8)
BYTES = Leaf("b", Kind.BYTES, Way.IN, 0, 1, 16, text=True)


@pytest.mark.parametrize(
    ("text", "memory"),
    [
        ("h=null", Memory()),
        ("h=%one", Memory(held="one")),
        ("h=in:00ff", Memory(data=b"\0\xff")),
        ("h=inout:00FF", Memory(data=b"\0\xff", shown=True)),
        ("h=out:3", Memory(data=bytes(3), shown=True)),
        ("h=text:abc", Memory(data=b"abc")),
        ('h=text:"a b\\0\\"\\\\"', Memory(data=b'a b\0"\\')),
    ],
)
def test_buffers(text: str, memory: Memory) -> None:
    assert value(HANDLE, word(text)) == memory


@pytest.mark.parametrize(
    ("leaf", "text", "at"),
    [
        (HANDLE, "h=5", 2),
        (HANDLE, "h=0x7f0000000000", 2),
        (HANDLE, "h=%", 2),
        (HANDLE, "h=in:0", 5),
        (HANDLE, "h=in:00zz", 7),
        (HANDLE, "h=out:0", 6),
        (HANDLE, "h=out:-1", 6),
        (HANDLE, "h=out:0x10", 6),
        (HANDLE, "h=", 2),
        (BYTES, "b=0", 2),
        (BYTES, "b=" + "00" * 17, 2),
        (BYTES, "b=00000000-0000-0000-0000-00000000000", 10),
        (Leaf("n", Kind.INTS, Way.IN, 0, 1, 2), "n=1,2,3", 6),
        (Leaf("n", Kind.INTS, Way.IN, 0, 1, 2), "n=1,256", 4),
        (Leaf("n", Kind.INT, Way.IN, 0, 1), "n=1e3", 2),
        (Leaf("n", Kind.INT, Way.IN, 0, 1), "n=++1", 2),
        (Leaf("n", Kind.INT, Way.IN, 0, 1), "n=-1", 2),
        (Leaf("n", Kind.INT, Way.IN, 0, 1), "n=", 2),
    ],
)
def test_values_that_are_none(leaf: Leaf, text: str, at: int) -> None:
    with pytest.raises(BadInput) as caught:
        value(leaf, word(text))
    assert caught.value.at == at


@pytest.mark.parametrize(
    ("text", "at"), [("a", 0), ("a=1 b", 4), ("=1", 0), ("a=1 a=2", 4), ('a=text:"x', None), ("a b=1", 0)]
)
def test_words_that_are_none(text: str, at: int | None) -> None:
    if at is None:  # an open quote is one word to the next blank
        assert [each.value for each in split(text)] == ['text:"x']
        return
    with pytest.raises(BadInput) as caught:
        list(split(text))
    assert caught.value.at == at


def test_a_uuid_is_sixteen_bytes() -> None:
    assert value(BYTES, word("b=00112233-4455-6677-8899-aabbccddeeff")) == bytes.fromhex(
        "00112233445566778899aabbccddeeff"
    )
