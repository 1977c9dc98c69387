"""A buffer: memory on loan from the pool, from `take` to `release`."""

from __future__ import annotations

import errno
import sys
from array import array
from types import SimpleNamespace, TracebackType
from typing import Any, Protocol

from xenfs.errors import PoolError
from xenfs.pool.blocks import BYTES, Block
from xenfs.pool.handles import FieldPath, place_of, point, pointer_to
from xenfs.pool.libc import ffi
from xenfs.pool.pages import PAGE

_ALL = slice(None)


class Keeper(Protocol):
    """What a buffer knows of the pool that lent it: who is on loan, who is in flight, and where it goes back to."""

    _live: set[Buffer]
    _flying: set[Buffer]

    def _refusal(self, thing: object, doing: str) -> PoolError:
        """Why that cannot be done with a buffer that is not on loan."""

    def _give_back(self, buf: Buffer) -> None:
        """Take back a buffer that needs more than zeroing."""


class Address:
    """Where a buffer lies. Not an integer: only a backend makes one of it, and only while the buffer is live."""

    __slots__ = ("_buffer",)

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer

    def __int__(self) -> int:
        buf = self._buffer
        return buf._start if buf._live else buf._checked_start("addressed")

    def __repr__(self) -> str:
        return f"<Address of {self._buffer.name}>"


class Buffer:
    """`nbytes` zeroed bytes that Xen may read and write, until `release` or the end of a `with` block."""

    __slots__ = (
        "_aboard", "_attached", "_block", "_exporter", "_live", "_memory", "_places", "_pool", "_simple", "_start",
        "_use", "nbytes", "operation",
    )  # fmt: skip

    def __init__(self, pool: Keeper, block: Block) -> None:
        self._pool, self._block, self._start = pool, block, block.start
        self._live = False
        self._use = self.nbytes = 0
        self.operation = ""
        self._renew()

    def _renew(self) -> None:
        self._simple = self._block.zeros is not None  # zeroing is all that release has to do
        self._memory: memoryview | None = None
        self._exporter: Any = None
        self._attached: dict[int, tuple[Buffer, int]] | None = None
        self._places: dict[int, range] | None = None  # of handles that were attached at once, by the first
        self._aboard: list[Buffer] | None = None

    # What it is

    @property
    def name(self) -> str:
        """What messages call it: the block's number, which use of the block this is, and the size."""
        return f"buffer {self._block.number}.{self._use or self._block.uses} of {self.nbytes} bytes"

    @property
    def live(self) -> bool:
        """True until the buffer is released."""
        return self._live

    @property
    def state(self) -> str:
        """ "live", "in flight" while a hypercall is using it, "released"."""
        if not self._live:
            return "released"
        return "in flight" if self in self._pool._flying else "live"

    @property
    def pool(self) -> Keeper:
        """The pool that lent it."""
        return self._pool

    @property
    def attached(self) -> tuple[Buffer, ...]:
        """The buffers that guest handles inside this one point to."""
        return tuple(other for other, _ in (self._attached or {}).values())

    @property
    def links(self) -> tuple[tuple[int, Buffer], ...]:
        """Where the guest handles inside this one lie, in bytes from its start, and what they point to."""
        places = self._places or {}
        return tuple(
            (place, other)
            for first, (other, _) in (self._attached or {}).items()
            for place in places.get(first, (first,))
        )

    def carries(self, other: Buffer) -> bool:
        """Whether a hypercall that has this buffer reaches the other one too."""
        return other is self or other in (self._aboard or ())

    def __len__(self) -> int:
        return self.nbytes

    def __repr__(self) -> str:
        return f"<{self.name}, {self.state}>"

    # Its bytes

    @property
    def address(self) -> Address:
        """Where it lies, as a type of its own."""
        if not self._live:
            self._checked_start("addressed")
        return Address(self)

    @property
    def memory(self) -> memoryview:
        """A writable view of exactly nbytes, revoked at release: using it later raises ValueError."""
        self._checked_start("opened")
        if self._memory is None:
            self._exporter = ffi.buffer(ffi.cast(BYTES, self._start), self.nbytes)
            self._memory = memoryview(self._exporter)
            self._simple = False
        return self._memory

    def __buffer__(self, flags: int) -> memoryview:
        return self.memory

    def __bytes__(self) -> bytes:
        start = self._checked_start("read")
        self._block.bytes_out += self.nbytes
        return bytes(ffi.buffer(ffi.cast(BYTES, start), self.nbytes))

    def part(self, at: int, nbytes: int) -> bytes:
        """A copy of nbytes from byte `at` on; EINVAL where they are not in the buffer."""
        begin = self._inside(at, nbytes)
        self._block.bytes_out += nbytes
        return bytes(self._block.raw[begin : begin + nbytes])

    def fill(self, data: Any, at: int = 0) -> None:
        """Copy any contiguous buffer object in, from byte `at` on; EINVAL where it does not fit."""
        start = self._checked_start("filled")
        count = data.nbytes if isinstance(data, memoryview) else memoryview(data).nbytes
        if at < 0 or at + count > self.nbytes:
            raise PoolError(f"{count} bytes do not fit at byte {at} of {self.name}", errno.EINVAL)
        self._block.bytes_in += count
        ffi.memmove(ffi.cast(BYTES, start + at), data, count)

    def _inside(self, at: int, nbytes: int) -> int:
        """Where in the block byte `at` lies; EINVAL where nbytes from there on are not in the buffer."""
        start = self._start if self._live else self._checked_start("used")
        if at < 0 or at + nbytes > self.nbytes:
            raise PoolError(f"{nbytes} bytes do not fit at byte {at} of {self.name}", errno.EINVAL)
        return start - self._block.base + at

    def touch(self) -> None:
        """Write to every page of it, without a change: what a child or a moved page left read-only is writable then."""
        bytes_ = ffi.cast(BYTES, self._checked_start("touched"))
        for at in (*range(0, self.nbytes, PAGE), self.nbytes - 1):
            bytes_[at] = bytes_[at]

    def view(self, ffi: Any, ctype: str) -> Any:
        """A cffi pointer to that struct laid over the start of the buffer; EINVAL where the buffer is too short."""
        start = self._checked_start("viewed")
        pointer, size = pointer_to(ffi, ctype)
        if size > self.nbytes:
            raise PoolError(f"{ctype} needs {size} bytes, more than {self.name}", errno.EINVAL)
        return ffi.cast(pointer, start)

    def cast(self, ffi: Any, ctype: Any) -> Any:
        """The same without looking at sizes: a cffi pointer of a type that the caller has at hand."""
        return ffi.cast(ctype, self._start if self._live else self._checked_start("viewed"))

    def attach(self, view: Any, field: FieldPath, other: Buffer | None, needs: int = 0) -> None:
        """Let a guest handle of a struct that lies in this buffer point to another live buffer, or to nothing.

        `field`: the member, or the way to it: ("args", 2). `needs`: how many bytes the struct promises behind the
        handle; a hypercall that finds less is refused.
        """
        if other is not None and not (isinstance(other, Buffer) and other._live and other._pool is self._pool):
            raise TypeError(f"{field} of {self.name} takes a live buffer of the same pool, not {other!r}")
        handle, address = place_of(view, field)
        place = address - self._checked_start("attached to")
        if not 0 <= place <= self.nbytes - 8:
            raise PoolError(f"{field} does not lie in {self.name}", errno.EINVAL)
        point(handle, 0 if other is None else other._start)
        attached = self._attached = self._attached or {}
        self._simple = False
        if other is None:
            attached.pop(place, None)
        else:
            attached[place] = other, needs

    def attach_each(self, at: int, step: int, other: Buffer, stride: int, count: int) -> None:
        """Let `count` handles, at byte `at` and every `step` bytes from there, point to so many structs in a row.

        The structs lie in `other`, `stride` bytes apart: how a batch asks the same of many. Both are multiples of 8.
        """
        if not (isinstance(other, Buffer) and other._live and other._pool is self._pool):
            raise TypeError(f"{self.name} takes a live buffer of the same pool, not {other!r}")
        start = self._checked_start("attached to")
        if count < 1 or at < 0 or at % 8 or step % 8 or step < 8 or at + (count - 1) * step + 8 > self.nbytes:
            raise PoolError(f"{count} handles do not lie in {self.name}", errno.EINVAL)
        first = other._start  # all addresses in one step: a sixth of the time of one after the other
        words = memoryview(ffi.buffer(ffi.cast(BYTES, start), at + (count - 1) * step + 8)).cast("Q")
        words[at >> 3 :: step >> 3] = memoryview(array("Q", range(first, first + count * stride, stride)))
        attached = self._attached = self._attached or {}
        self._simple = False
        attached[at] = other, count * stride
        self._places = {**(self._places or {}), at: range(at, at + count * step, step)}

    # Its end

    def release(self) -> None:
        """Give it back: zeroed, and lent to somebody else from now on."""
        try:
            self._pool._live.remove(self)  # atomic: of two threads that release at once, one gets here
        except KeyError:
            raise self._pool._refusal(self, "released") from None
        self._retire()

    def _retire(self) -> None:
        """The way back of a buffer that is in no set any more."""
        self._live = False
        if self._simple:
            block = self._block
            block.raw[_ALL] = block.zeros
            block.free.append(block)
        else:
            self._pool._give_back(self)

    def __enter__(self) -> Buffer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.release()
        except PoolError as problem:
            if exc is None:
                raise
            exc.add_note(str(problem))  # the traceback on its way may well be what holds a view

    def _checked_start(self, doing: str) -> int:
        if not self._live:
            raise self._pool._refusal(self, doing)
        return self._start

    def _views_outlive(self) -> bool:
        """Revoke the memory view. True where something made from it is still there, so that the bytes may be used."""
        if self._memory is None:
            return False
        try:
            self._memory.release()
        except BufferError:
            return True
        return _holders(self) > _NOBODY


def _holders(owner: Any) -> int:
    # All slices of a memory view share one hold on the exporter, and keep it after the view itself is revoked.
    return sys.getrefcount(owner._exporter)


_NOBODY = _holders(SimpleNamespace(_exporter=ffi.buffer(ffi.new("char[1]"))))


def _alone() -> int:
    block = SimpleNamespace(buffer=SimpleNamespace())
    buf = block.buffer
    return sys.getrefcount(buf)


ALONE = _alone() if getattr(sys, "_is_gil_enabled", lambda: True)() else -1
"""What sys.getrefcount(buf) says of a block's buffer that only the block and one variable refer to."""
