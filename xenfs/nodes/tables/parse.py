"""Text to values. Each parser takes the text of one write and returns a value, or raises BadInput, which says what is
wrong, where, and what would be right. No parser asks the hypervisor anything."""

from __future__ import annotations

import errno
import re
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from xenfs.errors import BadInput
from xenfs.nodes.tables.forms import form, formed

Meant = TypeVar("Meant")
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


def span(value: str, number: Callable[[str], int]) -> tuple[int, int]:
    """One number, or first-last, each as `number` reads it: (first, last)."""
    match = re.fullmatch(r"([^\s-]+)(?:-([^\s-]+))?", value)
    if not match:
        raise BadInput("not a number, or first-last", word=value or None, at=0)
    first = number(match[1])
    last = number(match[2]) if match[2] else first
    if last < first:
        raise BadInput("this range runs backwards", word=value)
    return first, last


@formed("path of a node of the device tree, such as /chosen")
def tree_path(value: str) -> str:
    """The path of a node of the device tree."""
    word = value.strip(" \t")
    if not re.fullmatch("/[!-~]*", word):
        raise BadInput("not the path of a node of the device tree, such as /chosen", word=word or None, at=0)
    return word


_SIZE = re.compile(r"([0-9]{1,20})([kKmMgGtT])")
_POWERS = {letter: 1024**power for power, letter in enumerate("kmgt", 1)}


def size(of: int, high: int, what: str, *, unit: int) -> Callable[[str], int]:
    """A number of `unit` bytes, or with a letter as in 512M or 1g; a multiple of `of`, in units. EINVAL, ERANGE."""
    number = integer(0, high, what)

    @formed(f"{what}, a multiple of {of}, to {high}, or a size such as 512M", ranged=True)
    def parse(value: str) -> int:
        word = value.strip(" \t")
        match = _SIZE.fullmatch(word)
        found = number(value) if match is None else int(match[1]) * _POWERS[match[2].lower()]
        if match is not None:
            found, odd = divmod(found, unit)
            if odd or found > high:
                raise BadInput(f"{what} must be 0 to {high}", errno.ERANGE, word=word)
        if found % of:
            raise BadInput(f"the {what} must be a multiple of {of}", word=word)
        return found

    return parse


def or_word(inner: Callable[[str], int], name: str, meant: Meant) -> Callable[[str], int | Meant]:
    """What `inner` reads, or a word that stands for something else."""

    @formed(f"{form(inner).words}, or {name}", ranged=form(inner).ranged)
    def parse(value: str) -> int | Meant:
        if value.strip(" \t") == name:
            return meant
        try:
            return inner(value)
        except BadInput as problem:
            raise BadInput(f'{problem.why}, or "{name}"', problem.errno, word=problem.word, at=problem.at) from None

    return parse


def or_max(inner: Callable[[str], int]) -> Callable[[str], int | None]:
    """What `inner` reads, or the word max."""
    return or_word(inner, "max", MAX)


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


def one_of(names: Collection[str]) -> Callable[[str], str]:
    """One of some words, spelled exactly so."""

    @formed(" or ".join(names))
    def parse(value: str) -> str:
        word = value.strip(" \t")
        if word not in names:
            raise BadInput(f"must be one of: {' '.join(names)}", word=word or None, at=0)
        return word

    return parse


class Part(NamedTuple):
    """A word of a list: a run of numbers, or all where `run` is None; of nodes, whose CPUs are meant; taken out."""

    word: str
    run: range | None
    of_nodes: bool = False
    excluded: bool = False


@dataclass(frozen=True)
class Numbers:
    """What a written list of CPUs or nodes asks for: a set, or a change to one. Later words change what earlier say."""

    parts: tuple[Part, ...]
    change: str = ""  # "", "+" or "-"

    @property
    def all(self) -> bool:
        """Whether it is the word all and nothing else."""
        return not self.change and [part[1:] for part in self.parts] == [(None, False, False)]

    def applied(
        self,
        now: Collection[int],
        possible: Collection[int],
        what: str,
        nodes: Callable[[], Mapping[int, Collection[int]]] = dict,
        every: Collection[int] | None = None,
    ) -> frozenset[int]:
        """The set that results from `now`; ERANGE names the first number that is not possible.

        `nodes` gives the CPUs of each node, where a word asks for them. `every` is what all means, if not `possible`.
        """
        chosen: set[int] = set()
        for part in self.parts:
            found = self._found(part, frozenset(possible), what, nodes, frozenset(possible if every is None else every))
            chosen = chosen - found if part.excluded else chosen | found
        if self.change == "+":
            return frozenset(now) | chosen
        return frozenset(now) - chosen if self.change == "-" else frozenset(chosen)

    def _found(
        self, part: Part, possible: frozenset[int], what: str, nodes: Callable[[], Mapping[int, Collection[int]]],
        every: frozenset[int],
    ) -> frozenset[int]:  # fmt: skip
        if part.run is None:
            return every
        if not part.of_nodes:
            _within(part, possible, what)
            return frozenset(part.run)
        known = nodes()
        _within(part, known.keys(), "node")
        return possible.intersection(cpu for node in part.run for cpu in known[node])


def _within(part: Part, possible: Collection[int], what: str) -> None:
    odd = next((number for number in part.run or () if number not in possible), None)
    if odd is not None:
        limit = f"{min(possible)} to {max(possible)}" if possible else "none"
        raise BadInput(f"no {what} {odd} here ({limit})", errno.ERANGE, word=part.word)


def number_list(what: str = "CPU", *, empty: bool = False) -> Callable[[str], Numbers]:
    """A list as xl takes it: "0-3,8", "all,^0-1", of CPUs also "nodes:0-1,^node:1"; "+4" or "-4" change one.

    `empty` says that nothing at all may be written, too: a list without any.
    """
    nodes = ", or node:0" if what == "CPU" else ""

    @formed(f"list of {what}s such as 0-3,8 or all,^0{nodes}, or a change such as +4 or -4", ranged=True)
    def parse(value: str) -> Numbers:
        body = value.strip(" \t")
        if empty and not body.strip("\n"):
            return Numbers(())
        change = body[0] if body[:1] in ("+", "-") else ""
        words = [word.strip(" \t") for word in body[len(change) :].split(",")]
        parts = tuple(_part(word, what) for word in words)
        if parts[0].excluded:
            raise BadInput(f"this takes out of nothing: write all,{words[0]}", word=words[0])
        if change == "-" and not empty and len(parts) == 1 and parts[0].run is None:
            raise BadInput(f"no {what} would be left", word=parts[0].word)
        return Numbers(parts, change)

    return parse


_PART = re.compile(r"(\^?)(nodes?:)?(all|([0-9]{1,20})(?:-([0-9]{1,20}))?)")


def _part(word: str, what: str) -> Part:
    match = _PART.fullmatch(word)
    if not match or (match[2] and (what != "CPU" or match[3] == "all")):
        raise BadInput(f'not a list of {what}s such as "0-3,8" or "all,^0"', word=word or None, at=0)
    if match[3] == "all":
        return Part(word, None, excluded=bool(match[1]))
    low = int(match[4])
    high = int(match[5] or low)
    if high < low:
        raise BadInput("this range runs backwards", word=word)
    if high >= _MOST_IN_A_LIST:
        raise BadInput(f"no {what} has such a number", errno.ERANGE, word=word)
    return Part(word, range(low, high + 1), bool(match[2]), bool(match[1]))


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
