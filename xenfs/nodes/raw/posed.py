"""A question in memory that Xen may use: passed through the pool, made, and its answer read.

What else has to hold before it is made is in checked.py.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from xenfs.abi.operations import Way
from xenfs.calls.multicall import wide
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.raw import arrays
from xenfs.nodes.raw.leaves import ARGUMENT, Kind, Leaf
from xenfs.nodes.raw.question import Given, Question, finish
from xenfs.nodes.raw.words import Memory, Word, packed, shown
from xenfs.nodes.tables.asking import ROOT, asking
from xenfs.pool import Buffer, Held

_LONGEST_TAIL = 1 << 20
_MOST_BOUNCED = 1 << 20  # bytes of a question's buffers: they are zeroed, copied and shown where all are served
_TOO_MUCH = f"a question's buffers have {_MOST_BOUNCED} bytes at most, a held one (%NAME) may have more"


class Posed:
    """A question in memory that Xen may use, until `loans` is closed. `args` are the hypercall's arguments."""

    def __init__(self, xen: Hypervisor, question: Question, loans: ExitStack) -> None:
        self.xen, self.question, self.form, self._loans = xen, question, question.form, loans
        self._lent: dict[str, tuple[Buffer, Memory]] = {}
        self._bounced_bytes = 0
        self._struct = self._placed() if self.form.nbytes else None
        for leaf in self.form.handles:
            if leaf.name in question.given or leaf.name in question.elements:
                self._attach(leaf)
            elif leaf.promise is not None:
                self._require_none(leaf, question.caret(*leaf.promise.members))
        self.args = tuple(self._arguments())

    @property
    def domid(self) -> int | None:
        """The domain that it is about: of mmu_update's foreigndom the lower half, in the upper one are page tables."""
        return self.question.number(self.form.op.domain) & 0xFFFF if self.form.op.domain else None

    def _placed(self) -> Buffer:
        question, image = self.question, self.question.image
        if question.held is not None:
            return self._whole(question.held)
        image.extend(bytes(max(0, self._with_tail() - len(image))))
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
        if buf.nbytes < max(len(image), self._with_tail()):
            raise BadInput("it is shorter than what the struct promises Xen behind it", at=word.at)
        buf.fill(image)
        return buf

    def _with_tail(self) -> int:
        """The bytes of the struct, with those that it promises to follow it."""
        tail = next((leaf for leaf in self.form.leaves.values() if leaf.kind is Kind.TAIL), None)
        if tail is None or tail.promise is None:
            return self.form.nbytes
        room = self.question.promised(tail)
        if room > _LONGEST_TAIL:
            at = self.question.caret(*tail.promise.members)
            raise BadInput(f"at most {_LONGEST_TAIL} bytes may follow the struct", at=at)
        return max(self.form.nbytes, tail.offset + room)

    def _attach(self, leaf: Leaf) -> None:
        """Let a handle of the struct, or an argument, be the memory that the question gives it."""
        needs, parts = self.question.promised(leaf), self.question.elements.get(leaf.name, [])
        given = self.question.given.get(leaf.name)
        word = given.word if given is not None else parts[0][1].word
        if given is None and needs > _MOST_BOUNCED:
            raise BadInput(f"{leaf.name} promises Xen {needs} bytes: {_TOO_MUCH}", at=word.at)
        memory = given.value if given is not None else Memory(data=bytes(needs), shown=leaf.way is not Way.IN)
        assert isinstance(memory, Memory)
        judged = arrays.is_judged(self.form, leaf)  # nobody may write to it between the look at it and the call
        buf = self._memory(memory, word, alone=bool(parts) or judged)
        if buf is None:
            return self._require_none(leaf, word.value_at)
        if buf.nbytes < needs:
            raise BadInput(f"{leaf.name} promises Xen {needs} bytes, and {buf.nbytes} are there", at=word.value_at)
        self._fill(leaf, buf, parts, word)
        if judged:
            arrays.judge(self.form, leaf, buf, needs, word)
        if leaf.promise is not None and leaf.promise.content:
            readable = needs if leaf.promise.content == "ending in 0" and leaf.promise.count else buf.nbytes
            if doubt := leaf.promise.doubt(buf.part(0, readable)):
                raise BadInput(f"{leaf.name} {doubt}", at=word.value_at)
        self._lent[leaf.name] = buf, memory
        if leaf.offset != ARGUMENT:
            assert self._struct is not None
            self._point(self._struct, self.xen.abi.view(self.form.op.struct, self._struct), leaf.steps, buf, needs)

    def _require_none(self, leaf: Leaf, at: int) -> None:
        """EINVAL where a handle is null and the question says that there is something behind it."""
        needs = self.question.promised(leaf)
        optional = leaf.promise is not None and leaf.promise.optional and leaf.name not in self.form.op.needs.split()
        if needs > 0 and not optional:
            raise BadInput(f"{leaf.name} promises Xen {needs} bytes, and is null", at=at)
        if leaf.promise is not None and leaf.promise.content:
            raise BadInput(f"{leaf.name} is read by Xen, and is null", at=at)

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
        for number, given in sorted(parts, key=lambda part: isinstance(part[1].value, Memory)):  # numbers tell lengths
            if (number + 1) * stride > buf.nbytes:
                raise BadInput(f"there are {buf.nbytes // stride} elements, from 0 on", at=given.word.at)
            if not isinstance(given.value, Memory):
                image = bytearray(buf.part(number * stride, stride))
                packed(given.leaf, given.value, image)
                buf.fill(image, number * stride)
            elif (other := self._memory(given.value, given.word)) is not None:
                element = self.xen.abi.array(leaf.promise.element, number + 1, buf)[number]
                needs = given.leaf.promise.nbytes(self.xen.abi, element) if given.leaf.promise is not None else 0
                if other.nbytes < needs:
                    why = f"{given.word.name} promises Xen {needs} bytes, and {other.nbytes} are there"
                    raise BadInput(why, at=given.word.value_at)
                self._point(buf, element, given.leaf.steps, other, needs)

    def _bounced(self, memory: Memory, word: Word) -> Buffer:
        assert memory.data is not None
        if not memory.data:
            raise BadInput("a buffer has at least one byte; null is none", at=word.value_at)
        self._bounced_bytes += len(memory.data)
        if self._bounced_bytes > _MOST_BOUNCED:
            raise BadInput(f"too much: {_TOO_MUCH}", at=word.value_at)
        buf = self._loans.enter_context(self.xen.pool.take(len(memory.data)))
        if memory.data.count(0) < len(memory.data):
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

    def make(self) -> int:
        """The hypercall."""
        if self.form.op.wide:
            return wide(self.xen, self.form.op, *self.args)
        return self.xen.hypercall(self.form.op, *self.args, domid=self.domid)

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
