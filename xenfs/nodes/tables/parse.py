"""Text to values. Each parser takes the text of one write and returns a value, or raises BadInput that says
what is wrong, where, and what would be right. No parser asks the hypervisor anything."""

from __future__ import annotations

import errno
import re
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass

from xenfs.errors import BadInput
from xenfs.nodes.tables.forms import form, formed

Parser = Callable[[str], object]
MAX = None  # what the word "max" means: no limit
_NUMBER = re.compile(r"[+-]?(?:0[xX]([0-9a-fA-F]{1,16})|([0-9]+))")
_MOST_DIGITS = 21  # one more than 2**64 has
_MOST_IN_A_LIST = 1 << 16  # far above any CPU or node number; keeps "0-4000000000" from filling memory


def text(value: str) -> str:
    """Any text that is not empty."""
    if not value:
        raise BadInput("nothing was written", at=0)
    return value


@formed("anything", anything=True)
def anything(_: str) -> None:
    """Whatever is written, even nothing, is the command."""


def integer(low: int = 0, high: int = 2**64 - 1, what: str = "number") -> Callable[[str], int]:
    """A decimal (or 0x) integer from low to high, with a sign or without; EINVAL for other text, ERANGE outside."""

    @formed(f"{what}, {low} to {high}", ranged=True)
    def parse(value: str) -> int:
        word = value.strip(" \t")
        number = _number(word)
        if number is None:
            raise BadInput(f"not a {what} ({low} to {high})", word=word or None, at=0)
        if not low <= number <= high:
            raise BadInput(f"{what} must be {low} to {high}", errno.ERANGE, word=word)
        return number

    return parse


def _number(word: str) -> int | None:
    """A decimal or 0x number, with a sign or without, as C programs write it; None for other text."""
    match = _NUMBER.fullmatch(word)
    if match is None:
        return None
    # Of a number beyond every limit a part will do: Python takes long over thousands of digits, or refuses.
    number = int(match[1], 16) if match[1] else int(match[2].lstrip("0")[:_MOST_DIGITS] or "0")
    return -number if word.startswith("-") else number


def or_max(inner: Callable[[str], int]) -> Callable[[str], int | None]:
    """What `inner` reads, or the word max, which gives None."""

    @formed(f"{form(inner).words}, or max", ranged=form(inner).ranged)
    def parse(value: str) -> int | None:
        if value.strip(" \t") == "max":
            return MAX
        try:
            return inner(value)
        except BadInput as problem:
            raise BadInput(f'{problem.why}, or "max"', problem.errno, word=problem.word, at=problem.at) from None

    return parse


@formed("0 or 1")
def switch(value: str) -> bool:
    """0 or 1."""
    word = value.strip(" \t")
    if word not in ("0", "1"):
        raise BadInput("must be 0 or 1", word=word or None, at=0)
    return word == "1"


@formed("1", ranged=True)
def one(value: str) -> int:
    """1, and nothing else: the go-ahead of whatever does something. ERANGE of another number, EINVAL of other text."""
    word = value.strip(" \t")
    if word != "1":
        code = errno.EINVAL if _number(word) is None else errno.ERANGE
        raise BadInput("must be 1", code, word=word or None, at=0)
    return 1


def or_word(inner: Callable[[str], int], name: str, meant: int) -> Callable[[str], int]:
    """What `inner` reads, or a word that stands for a number."""

    def parse(value: str) -> int:
        if value.strip(" \t") == name:
            return meant
        try:
            return inner(value)
        except BadInput as problem:
            raise BadInput(f'{problem.why}, or "{name}"', problem.errno, word=problem.word, at=problem.at) from None

    return parse


def one_of(names: Collection[str]) -> Callable[[str], str]:
    """One of some words, spelled exactly so."""

    @formed(" or ".join(names))
    def parse(value: str) -> str:
        word = value.strip(" \t")
        if word not in names:
            raise BadInput(f"must be one of: {' '.join(names)}", word=word or None, at=0)
        return word

    return parse


@dataclass(frozen=True)
class Numbers:
    """What a written list of CPUs or nodes asks for: a set, or a change to one. `all` is the word all."""

    chosen: frozenset[int]
    change: str = ""  # "", "+" or "-"
    all: bool = False
    parts: tuple[tuple[str, range], ...] = ()  # the words that the numbers came from

    def applied(self, now: Collection[int], possible: Collection[int], what: str) -> frozenset[int]:
        """The set that results from `now`; ERANGE names the first number that is not possible."""
        odd = sorted(self.chosen - frozenset(possible))
        if odd:
            limit = f"{min(possible)} to {max(possible)}" if possible else "none"
            word = next((part for part, run in self.parts if odd[0] in run), str(odd[0]))
            raise BadInput(f"no {what} {odd[0]} here ({limit})", errno.ERANGE, word=word)
        if self.all:
            return frozenset(possible)
        if self.change == "+":
            return frozenset(now) | self.chosen
        return frozenset(now) - self.chosen if self.change == "-" else self.chosen


def number_list(what: str = "CPU") -> Callable[[str], Numbers]:
    """A list such as "0-3,8", "+4", "-0-1" or "all"."""

    @formed(f"list of {what}s such as 0-3,8, a change such as +4 or -4, or all", ranged=True)
    def parse(value: str) -> Numbers:
        body = value.strip(" \t")
        if body == "all":
            return Numbers(frozenset(), all=True)
        change = body[0] if body[:1] in ("+", "-") else ""
        words = [word.strip(" \t") for word in body[len(change) :].split(",")]
        parts = tuple((word, _run(word, what)) for word in words)
        return Numbers(frozenset(number for _, run in parts for number in run), change, parts=parts)

    return parse


def _run(part: str, what: str) -> range:
    match = re.fullmatch(r"([0-9]{1,20})(?:-([0-9]{1,20}))?", part)
    if not match:
        raise BadInput(f'not a list of {what}s such as "0-3,8", or "all"', word=part or None, at=0)
    low = int(match[1])
    high = int(match[2] or low)
    if high < low:
        raise BadInput("this range runs backwards", word=part)
    if high >= _MOST_IN_A_LIST:
        raise BadInput(f"no {what} has such a number", errno.ERANGE, word=part)
    return range(low, high + 1)


@formed("UUID")
def handle(value: str) -> bytes:
    """A UUID in its usual form, as the sixteen bytes of a domain's handle."""
    word = value.strip(" \t")
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", word):
        raise BadInput("not a UUID such as 01234567-89ab-cdef-0123-456789abcdef", word=word or None, at=0)
    return uuid.UUID(word).bytes


def fields(*parts: tuple[str, Callable[[str], object]]) -> Callable[[str], tuple[object, ...]]:
    """Several words, each with a name and a parser of its own."""

    @formed("; ".join(f"{name}: {form(inner).words}" for name, inner in parts), ranged=True)
    def parse(value: str) -> tuple[object, ...]:
        given = re.findall(r"[^ \t]+", value)
        if len(given) != len(parts):
            raise BadInput(f"wants {len(parts)} words: {' '.join(name for name, _ in parts)}", at=0)
        return tuple(inner(word) for word, (_, inner) in zip(given, parts, strict=True))

    return parse
