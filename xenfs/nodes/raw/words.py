"""The text of questions and answers: `member=value`, and back. Pure functions, that ask nobody anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from xenfs.errors import BadInput
from xenfs.nodes.raw.leaves import Kind, Leaf

_WORD = re.compile(r'([^\s="]+)=(text:"(?:[^"\\]|\\.)*"|\S*)(?=\s|$)')
_BLANKS = re.compile(r"\s*")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,20}|0[xX][0-9a-fA-F]{1,16})")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*")
_DASHED = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_BEYOND = 1 << 21  # bytes: more than a question may have
_COUNT = re.compile(r"[1-9][0-9]{0,9}")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "0": "\0"}


class Word(NamedTuple):
    """One `name=value` of a question, and where name and value begin."""

    name: str
    value: str
    at: int
    value_at: int


class Memory(NamedTuple):
    """What a handle was given: `held` is the name of a held buffer; else `data` to begin with, which comes back where
    `shown`. None of both is null."""

    held: str = ""
    data: bytes | None = None
    shown: bool = False


Value = int | list[int] | bytes | Memory


def split(text: str) -> Iterator[Word]:
    """The words of a question; BadInput where something is not name=value, or is given twice."""
    at, seen = _BLANKS.match(text).end(), set[str]()  # type: ignore[union-attr]
    while at < len(text):
        found = _WORD.match(text, at)
        if found is None:
            raise BadInput("not member=value", at=at)
        if found[1] in seen:
            raise BadInput(f"{found[1]} is given twice", at=at)
        seen.add(found[1])
        yield Word(found[1], found[2], at, found.start(2))
        at = _BLANKS.match(text, found.end()).end()  # type: ignore[union-attr]


def value(leaf: Leaf, word: Word) -> Value:
    """What a word says of a member; BadInput, EINVAL, where it does not fit there."""
    if leaf.kind is Kind.HANDLE:
        return memory(word)
    if leaf.kind in (Kind.BYTES, Kind.TAIL):
        return octets(leaf, word)
    if leaf.kind is Kind.INTS:
        return _numbers(leaf, word)
    return number(word.value, leaf.bounds, leaf.name, word.value_at)


def number(text: str, bounds: tuple[int, int], what: str, at: int) -> int:
    """A decimal or hexadecimal number within bounds."""
    low, high = bounds
    if not _NUMBER.fullmatch(text):
        raise BadInput(f"{what} is a number, {low} to {high}, decimal or 0x", at=at)
    found = int(text, 16 if "x" in text.lower() else 10)
    if not low <= found <= high:
        raise BadInput(f"{what} is {low} to {high}", at=at)
    return found


def _numbers(leaf: Leaf, word: Word) -> list[int]:
    found: list[int] = []
    at = word.value_at
    for each in word.value.split(","):
        if len(found) == leaf.length:
            raise BadInput(f"{leaf.name} has {leaf.length} numbers", at=at)
        found.append(number(each, leaf.bounds, leaf.name, at))
        at += len(each) + 1
    return found


def octets(leaf: Leaf, word: Word) -> bytes:
    """The bytes of an array: hexadecimal, text:, or a UUID for what has the size of one."""
    if word.value.startswith("text:"):
        found = text_of(word)
    elif leaf.length == 16 and _DASHED.fullmatch(word.value):
        found = bytes.fromhex(word.value.replace("-", ""))
    else:
        found = digits(word.value, word.value_at, leaf.name)
    if leaf.kind is Kind.BYTES and len(found) > leaf.length:
        raise BadInput(f"{leaf.name} has {leaf.length} bytes", at=word.value_at)
    return found


def digits(text: str, at: int, what: str) -> bytes:
    """Bytes from pairs of hexadecimal digits."""
    whole = _HEX.match(text)
    assert whole is not None
    if whole.end() != len(text) or not text:
        raise BadInput(f"{what} takes pairs of hexadecimal digits", at=at + whole.end())
    return bytes.fromhex(text)


def text_of(word: Word) -> bytes:
    r"""The bytes of text:WORD or text:"...", in which \0 \n \t \" and \\ stand for what they are elsewhere."""
    body = word.value.removeprefix("text:")
    if body.startswith('"'):
        if not _QUOTED.fullmatch(body):
            raise BadInput('the text ends where its second " is, and a blank follows', at=word.value_at)
        body = _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), body[1:-1])
    return body.encode("utf-8", "surrogateescape")


def memory(word: Word) -> Memory:
    """What a handle points to."""
    kind, colon, rest = word.value.partition(":")
    at = word.value_at + len(kind) + 1
    if word.value == "null":
        return Memory()
    if word.value.startswith("%") and len(word.value) > 1:
        return Memory(held=word.value[1:])
    if kind == "text" and colon:
        return Memory(data=text_of(word))
    if kind in ("in", "inout") and colon:
        return Memory(data=digits(rest, at, kind), shown=kind == "inout")
    if kind == "out" and colon:
        if not _COUNT.fullmatch(rest):
            raise BadInput("out: takes a number of bytes", at=at)
        return Memory(data=bytes(min(int(rest), _BEYOND)), shown=True)
    raise BadInput(
        f"{word.name} takes a buffer: %NAME, in:HEX, out:BYTES, inout:HEX, text:WORDS or null", at=word.value_at
    )


def packed(leaf: Leaf, given: int | list[int] | bytes, image: bytearray) -> None:
    """Put a value where the member lies."""
    if isinstance(given, bytes):
        image[leaf.offset : leaf.offset + len(given)] = given
    elif isinstance(given, list):
        for index, each in enumerate(given):
            _put(image, leaf.offset + index * leaf.size, leaf, each)
    elif leaf.kind is Kind.BITS:
        mask = (1 << leaf.width) - 1
        unit = int.from_bytes(image[leaf.offset : leaf.offset + leaf.size], "little")
        unit = unit & ~(mask << leaf.shift) | (given & mask) << leaf.shift
        image[leaf.offset : leaf.offset + leaf.size] = unit.to_bytes(leaf.size, "little")
    else:
        _put(image, leaf.offset, leaf, given)


def _put(image: bytearray, at: int, leaf: Leaf, given: int) -> None:
    image[at : at + leaf.size] = given.to_bytes(leaf.size, "little", signed=leaf.signed)


def shown(leaf: Leaf, image: bytes | bytearray) -> str:
    """A member's value as an answer shows it, and as a question may give it."""
    start = leaf.offset
    if leaf.kind is Kind.BYTES:
        return _octets(leaf, image[start : start + leaf.length])
    if leaf.kind is Kind.TAIL:
        return image[start:].hex()
    if leaf.kind is Kind.INTS:
        ends = range(start, start + leaf.size * leaf.length, leaf.size)
        return ",".join(str(int.from_bytes(image[at : at + leaf.size], "little", signed=leaf.signed)) for at in ends)
    found = int.from_bytes(image[start : start + leaf.size], "little", signed=leaf.signed)
    return str(found >> leaf.shift & (1 << leaf.width) - 1 if leaf.kind is Kind.BITS else found)


def _octets(leaf: Leaf, found: bytes | bytearray) -> str:
    """Text where it is plain text to the first zero and zeros from there, else hexadecimal digits."""
    body = found.rstrip(b"\0")
    plain = leaf.text and body and all(0x21 <= byte < 0x7F and byte not in b'"\\' for byte in body)
    return f"text:{body.decode('ascii')}" if plain else found.hex()
