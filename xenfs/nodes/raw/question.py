"""A question from its text to its answer: parsed whole, packed, passed through the pool, made, and read."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, NamedTuple

from xenfs.abi.operations import Way
from xenfs.calls.multicall import wide
from xenfs.errors import BadInput, HypercallError, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.raw.form import Form
from xenfs.nodes.raw.leaves import ARGUMENT, Kind, Leaf
from xenfs.nodes.raw.life import NAMES, Life, life
from xenfs.nodes.raw.words import Memory, Value, Word, digits, packed, shown, split, value
from xenfs.nodes.tables.asking import ROOT, asking
from xenfs.pool import Buffer, Held

_LONGEST_TAIL = 1 << 20


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
        self.given[word.name] = Given(leaf, found, word)
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
                if leaf is not None and number.isascii() and number.isdecimal() and len(number) < 8:
                    given = Given(leaf, value(leaf, word), word)
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


def ask(xen: Hypervisor, form: Form, text: str) -> str:
    """The answer to one question."""
    question = Question(form, text)
    with ExitStack() as loans:
        call = Posed(xen, question, loans)
        call.require_life()
        result = call.make()
        call.require_life(after=True)
        return "\n".join((f"result {result}", *call.answer()))


class Posed:
    """A question in memory that Xen may use, until `loans` is closed. `args` are the hypercall's arguments."""

    def __init__(self, xen: Hypervisor, question: Question, loans: ExitStack) -> None:
        self.xen, self.question, self.form, self._loans = xen, question, question.form, loans
        self._lent: dict[str, tuple[Buffer, Memory]] = {}
        self._struct = self._placed() if self.form.nbytes else None
        for leaf in self.form.handles:
            if leaf.name in question.given or leaf.name in question.elements:
                self._attach(leaf)
        self.args = tuple(self._arguments())

    @property
    def domid(self) -> int | None:
        """The domain that it is about."""
        return self.question.number(self.form.op.domain) if self.form.op.domain else None

    def _placed(self) -> Buffer:
        question, image = self.question, self.question.image
        if question.held is not None:
            return self._whole(question.held)
        tail = next((leaf for leaf in self.form.leaves.values() if leaf.kind is Kind.TAIL), None)
        room = min(question.promised(tail), _LONGEST_TAIL) if tail is not None else 0
        image.extend(bytes(max(0, (tail.offset if tail else 0) + room - len(image))))
        buf = self._loans.enter_context(self.xen.pool.take(len(image)))
        buf.fill(image)
        return buf

    def _whole(self, word: Word) -> Buffer:
        buf = self._loans.enter_context(held(self.xen, word).used(alone=True))
        if buf.nbytes < self.form.nbytes:
            raise BadInput(f"{self.form.op.struct} has {self.form.nbytes} bytes", at=word.at)
        image = bytearray(buf.part(0, self.form.nbytes))
        finish(self.form, image, word.at)
        for given in self.question.given.values():
            if given.leaf.offset != ARGUMENT and not isinstance(given.value, Memory):
                packed(given.leaf, given.value, image)
        self.question.image = image
        buf.fill(image)
        return buf

    def _attach(self, leaf: Leaf) -> None:
        """Let a handle of the struct, or an argument, be the memory that the question gives it."""
        needs, parts = self.question.promised(leaf), self.question.elements.get(leaf.name, [])
        given = self.question.given.get(leaf.name)
        word = given.word if given is not None else parts[0][1].word
        memory = given.value if given is not None else Memory(data=bytes(needs), shown=leaf.way is not Way.IN)
        assert isinstance(memory, Memory)
        buf = self._memory(memory, word, alone=bool(parts))
        if buf is None:
            return
        if buf.nbytes < needs:
            raise BadInput(f"{leaf.name} promises Xen {needs} bytes, and {buf.nbytes} are there", at=word.value_at)
        self._fill(leaf, buf, parts, word)
        self._lent[leaf.name] = buf, memory
        if leaf.offset != ARGUMENT:
            assert self._struct is not None
            self._point(self._struct, self.xen.abi.view(self.form.op.struct, self._struct), leaf.steps, buf, needs)

    def _point(self, holder: Buffer, view: Any, steps: tuple[str | int, ...], buf: Buffer, needs: int = 0) -> None:
        """Attach, until the question is over: a held buffer must not go on pointing to what was given back."""
        holder.attach(view, steps, buf, needs)
        self._loans.callback(holder.attach, view, steps, None)

    def _memory(self, memory: Memory, word: Word, *, alone: bool = False) -> Buffer | None:
        if memory.held:
            return self._loans.enter_context(held(self.xen, word).used(alone=alone))
        return None if memory.data is None else self._bounced(memory, word)

    def _fill(self, leaf: Leaf, buf: Buffer, parts: list[tuple[int, Given]], word: Word) -> None:
        """Elements that the question gives one by one. Handles in them are buffers too, and never numbers."""
        known = self.form.elements(leaf)
        if not known or leaf.promise is None:
            return
        stride = self.xen.abi.sizeof(leaf.promise.element)
        for inner in (each for each in known.values() if each.kind is Kind.HANDLE):
            if any(any(buf.part(at, 8)) for at in range(inner.offset, buf.nbytes - 7, stride)):
                raise BadInput(f"{inner.name} is an address in these bytes: make it zeros", at=word.value_at)
        for number, given in parts:
            if (number + 1) * stride > buf.nbytes:
                raise BadInput(f"there are {buf.nbytes // stride} elements, from 0 on", at=given.word.at)
            if not isinstance(given.value, Memory):
                image = bytearray(buf.part(number * stride, stride))
                packed(given.leaf, given.value, image)
                buf.fill(image, number * stride)
            elif (other := self._memory(given.value, given.word)) is not None:
                element = self.xen.abi.array(leaf.promise.element, number + 1, buf)[number]
                self._point(buf, element, given.leaf.steps, other)

    def _bounced(self, memory: Memory, word: Word) -> Buffer:
        assert memory.data is not None
        if not memory.data:
            raise BadInput("a buffer has at least one byte; null is none", at=word.value_at)
        buf = self._loans.enter_context(self.xen.pool.take(len(memory.data)))
        if any(memory.data):
            buf.fill(memory.data)
        return buf

    def _arguments(self) -> Iterator[int | Buffer]:
        for argument in self.form.op.arguments:
            if argument.kind == "cmd":
                yield self.form.op.cmd
            elif argument.kind == "struct":
                yield 0 if self._struct is None else self._struct
            elif argument.kind == "plain":
                yield self.question.number(argument.name)
            elif argument.kind == "memory":
                yield self._buffer(argument.name) or 0
            elif argument.kind == "nr_buffers":
                yield 1 + len(self.form.op.further)
            elif argument.kind == "buffers":
                yield self._buffers()
            else:
                yield argument.value

    def _buffer(self, name: str) -> Buffer | None:
        return self._lent[name][0] if name in self._lent else None

    def _buffers(self) -> Buffer:
        """dm_op's array: the struct, and what further buffers the operation has."""
        abi, further = self.xen.abi, [self._buffer(each.name) for each in self.form.op.further]
        count = 1 + len(further)
        array = self._loans.enter_context(self.xen.pool.take(count * abi.sizeof("struct xen_dm_op_buf")))
        for entry, buf in zip(abi.array("struct xen_dm_op_buf", count, array), [self._struct, *further], strict=True):
            if buf is not None:
                entry.size = buf.nbytes
                array.attach(entry, "h", buf, buf.nbytes)
        return array

    def require_life(self, *, after: bool = False) -> None:
        """ESTALE where the question is for another life of the domain."""
        if self.question.life is not None:
            self.question.life.require(self.xen, self.domid, after=after)

    def make(self) -> int:
        """The hypercall. What a pretended Xen does not do is said in words."""
        try:
            if self.form.op.wide:
                return wide(self.xen, self.form.op, *self.args)
            return self.xen.hypercall(self.form.op, *self.args, domid=self.domid)
        except HypercallError as problem:
            if self.xen.backend.pretends and problem.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
                raise XenfsError(f"{self.form.op.name}: not simulated", errno.EOPNOTSUPP) from problem
            raise

    def answer(self) -> Iterator[str]:
        """What came back: members, and the memory behind handles."""
        if self._struct is not None and self.form.told:
            image = self._struct.part(0, self._struct.nbytes)
            yield from (f"{leaf.name} {shown(leaf, image)}" for leaf in self.form.told)
        for name, (buf, memory) in self._lent.items():
            if memory.held:
                yield f"{name} %{memory.held}"
            elif memory.shown:
                yield f"{name} {buf.part(0, buf.nbytes).hex()}"
                yield from self._elements(name, buf)

    def _elements(self, name: str, buf: Buffer) -> Iterator[str]:
        """Those elements of an array that the question spoke of, member by member."""
        handle = self.form.leaves[name]
        for number in sorted({number for number, _ in self.question.elements.get(name, ())}):
            assert handle.promise is not None
            stride = self.xen.abi.sizeof(handle.promise.element)
            image = buf.part(number * stride, stride)
            for leaf in self.form.elements(handle).values():
                if leaf.kind is not Kind.HANDLE and not leaf.padding:
                    yield f"{name}.{number}.{leaf.name} {shown(leaf, image)}"


def held(xen: Hypervisor, word: Word) -> Held:
    """The held buffer that a word names; ENOENT where there is none, EACCES where it is another user's."""
    name = word.value.removeprefix("%")
    found = xen.held.find(name)
    if found is None:
        raise BadInput(f"there is no raw/buffers/{name}", errno.ENOENT, at=word.value_at)
    if asking.get() not in (ROOT, found.owner):
        raise BadInput(f"raw/buffers/{name} belongs to user {found.owner}", errno.EACCES, at=word.value_at)
    return found


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
    body = text.lstrip()
    if body.startswith("%"):
        name, _, rest = body.partition(" ")
        at = len(text) - len(body)
        yield Word("", name.strip(), at, at)
        text = " " * (at + len(name)) + (f" {rest}" if rest else "")
    yield from split(text)
