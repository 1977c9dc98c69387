"""A question from its text to bytes: all that can be understood of it without asking Xen, and no memory of the pool."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

from xenfs.errors import BadInput
from xenfs.nodes.raw.form import Form
from xenfs.nodes.raw.leaves import ARGUMENT, Kind, Leaf
from xenfs.nodes.raw.life import NAMES, Life, life
from xenfs.nodes.raw.words import Memory, Value, Word, digits, packed, shown, split, value

_ELEMENT = re.compile(r"0|[1-9][0-9]{0,6}")
_FIRST = re.compile(r"\s*(%\S*)")


class Given(NamedTuple):
    """A member, what the question says of it, and the word that says it."""

    leaf: Leaf
    value: Value
    word: Word


class Question:
    """What one write asks: understood as far as that is possible without asking Xen."""

    def __init__(self, form: Form, text: str) -> None:
        self.form = form
        self.image = bytearray(form.start)
        self.held: Word | None = None  # the held buffer that is the whole struct
        self.given: dict[str, Given] = {}
        self.elements: dict[str, list[tuple[int, Given]]] = {}  # of arrays behind handles, by the handle's name
        self._said: dict[str, Given] = {}  # about elements, by the words' names
        self.life: Life | None = None
        words = list(_words(text))
        if form.nbytes and words and (words[0].name in ("bytes", "") and "bytes" not in form.leaves):
            self._whole(words.pop(0))
        self.life = life(form.op, [words.pop(at) for at in reversed(range(len(words))) if self._of_life(words[at])])
        for word in words:
            self._take(word)

    def _of_life(self, word: Word) -> bool:
        return word.name in NAMES and word.name not in self.form.leaves and bool(self.form.op.domain)

    def _whole(self, word: Word) -> None:
        """bytes=HEX or %NAME: the whole struct, with members after it as ever; handles are never numbers."""
        if not word.name:
            self.held = word
            return
        found = digits(word.value, word.value_at, "bytes")
        if len(found) != self.form.nbytes:
            raise BadInput(f"{self.form.op.struct} has {self.form.nbytes} bytes", at=word.value_at)
        self.image = bytearray(found)
        finish(self.form, self.image, word.value_at)

    def _take(self, word: Word) -> None:
        leaf = self.form.leaves.get(word.name)
        if leaf is None:
            self._take_element(word)
            return
        found = value(leaf, word)
        fixed = (self.form.op.given or {}).get(word.name)
        if fixed is not None and found != fixed:
            raise BadInput(f"{word.name} is always {fixed} here", at=word.value_at)
        self.given[word.name] = given = Given(leaf, found, word)
        for rival in self.form.rivals.get(leaf.name, ()):
            _require_agreement(given, self.given.get(rival))
        if leaf.kind is Kind.TAIL:
            assert isinstance(found, bytes)
            self.image[leaf.offset :] = found
        elif leaf.offset != ARGUMENT and not isinstance(found, Memory):
            packed(leaf, found, self.image)

    def _take_element(self, word: Word) -> None:
        """HANDLE.NUMBER.MEMBER: a member of an element of the array behind a handle."""
        for handle in self.form.handles:
            if word.name.startswith(f"{handle.name}."):
                number, _, name = word.name[len(handle.name) + 1 :].partition(".")
                leaf = self.form.elements(handle).get(name)
                if leaf is not None and _ELEMENT.fullmatch(number):
                    self._said[word.name] = given = Given(leaf, value(leaf, word), word)
                    for rival in self.form.rivals_of(handle).get(leaf.name, ()):
                        _require_agreement(given, self._said.get(f"{handle.name}.{number}.{rival}"))
                    self.elements.setdefault(handle.name, []).append((int(number), given))
                    return
        raise BadInput(f"{self.form.op.name} has no member {word.name}: read the file to see which", at=word.at)

    def number(self, name: str) -> int:
        """A member or an argument that is a number, as the question has it."""
        leaf = self.form.leaves.get(name)
        if leaf is None:
            return 0
        if leaf.offset == ARGUMENT:
            found = self.given[name].value if name in self.given else 0
            return found if isinstance(found, int) else 0
        return int(shown(leaf, self.image)) if leaf.kind in (Kind.INT, Kind.BITS) else 0

    def promised(self, leaf: Leaf) -> int:
        """How many bytes the struct, or the arguments, promise behind a handle or the struct."""
        if leaf.promise is None or not leaf.promise.count:
            return 0
        if leaf.offset == ARGUMENT:
            beside: Any = SimpleNamespace(**{name: self.number(name) for name in self.form.leaves if "." not in name})
        else:
            beside = self.form.view(self.image, leaf.within)
        return leaf.promise.nbytes(self.form.abi, beside)

    def caret(self, *names: str) -> int:
        """Where the question says one of these members, by their last names; 0 where it does not by name."""
        wanted = {name.rpartition(".")[2] for name in names}
        found = (given.word.at for name, given in self.given.items() if name.rpartition(".")[2] in wanted)
        return next(found, 0)


def _require_agreement(given: Given, other: Given | None) -> None:
    """EINVAL for a second arm of a union that says something else: the first would be lost behind it."""
    if other is None:
        return
    if not isinstance(given.value, Memory) and not isinstance(other.value, Memory):
        image = bytearray(max(leaf.offset + leaf.size * leaf.length for leaf in (given.leaf, other.leaf)))
        packed(other.leaf, other.value, image)
        before = shown(other.leaf, image)
        packed(given.leaf, given.value, image)
        if shown(other.leaf, image) == before:
            return
    raise BadInput(f"{given.word.name} lies where {other.word.name} does: give one of them", at=given.word.at)


def finish(form: Form, image: bytearray, at: int) -> None:
    """Bytes of a user become this operation's struct: its number and version are ours, and no handle is a number."""
    for leaf in form.handles:
        if leaf.offset != ARGUMENT and any(image[leaf.offset : leaf.offset + 8]):
            raise BadInput(
                f"{leaf.name} is an address in these bytes: make it zeros, and give {leaf.name}= a buffer", at=at
            )
    for leaf, number in form.fixed:
        packed(leaf, number, image)


def _words(text: str) -> Iterator[Word]:
    """The words of a question; one that is %NAME may come first."""
    if first := _FIRST.match(text):
        yield Word("", first[1], first.start(1), first.start(1))
        text = " " * first.end() + text[first.end() :]
    yield from split(text)
